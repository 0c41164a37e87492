"""``ezpath-bench control``: how long a controller waits for the software ToR, over gRPC on a unix socket.

The switch is a process of its own with real BPF maps; the client is this one. What is timed begins with Python values
and ends with Python values: entries to confirmations, and a request to columns of numbers.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc.aio
import numpy as np
from ezpath_collector.cells import CELL_BYTES, decode
from ezpath_lab.shell import LabError, in_namespace, program, run
from p4rt.arbitration import uint128
from p4rt.p4info import RegisterInfo
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.dataplane.paths import Workshop
from ezpath_bench.rounds import Spread, interleaved
from p4rt import Client, P4Info, P4RuntimeError, TableEntry, Update, messages, service

ENTRIES = 10_000
ELECTION_ID = 1
TARGETS_MS = {"insert": 300.0, "cells, all in use": 30.0}
"""At most, for the median."""

_FILL_BATCH = 4096

_EPILOG = """\b
Examples:
  ezpath-bench control                     5 rounds (about 20 seconds)
  ezpath-bench control --rounds 15 --out results
  ezpath-bench control --quick             1 round with few entries, to see that it works
"""


_T = TypeVar("_T")


class NotTaken(Exception):
    """The switch did not do what was to be timed."""


@click.command("control", epilog=_EPILOG)
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Each figure once a round, in turn."
)
@click.option("--quick", is_flag=True, help="One round, 100 entries: shows that it works, proves nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(rounds: int, quick: bool, p4_dir: Path, out: Path | None) -> None:
    """Milliseconds for a table's entries in, changed, read back and out, and for all cells of the flow monitor.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs root.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder,
            asyncio.Runner() as runner,
            _switch(Workshop(Path(folder), p4_dir, runner)) as address,
        ):
            bench = _Bench(runner, address, p4_dir, 100 if quick else ENTRIES)
            try:
                values = _measured(bench, 1 if quick else rounds)
            finally:
                bench.close()
    except (LabError, NotTaken, P4RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    spreads = {figure: Spread.of(series) for figure, series in values.items()}
    _show(bench, spreads)
    results = {"milliseconds": values, "entries": bench.entries, "cells": bench.cells}
    report.save(out, "control", results)
    if not _verdicts(bench, spreads):
        raise SystemExit(1)


@contextmanager
def _switch(workshop: Workshop) -> Iterator[str]:
    """The address of an ``ezpath-tor`` with two ports that lead nowhere."""
    with ExitStack() as stack:
        namespace = workshop.namespace(stack, "control", "sw")
        run("ip", "-n", namespace, "link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
        address = f"unix:{workshop.folder}/tor.sock"
        words = [program("ezpath-tor"), "--device-id", "1", "--listen", address, "--log-level", "warning"]
        words += ["--port", "1=eth1", "--port", "2=eth2", "--empty", "--die-with-parent"]
        switch = subprocess.Popen(in_namespace(namespace, *words), start_new_session=True)
        stack.callback(switch.wait, 10)
        stack.callback(switch.send_signal, signal.SIGTERM)
        yield address


class _Bench:
    """A controller that is the switch's primary, and a monitor whose cells are all in use."""

    def __init__(self, runner: asyncio.Runner, address: str, p4_dir: Path, entries: int) -> None:
        self._runner = runner
        self._info = P4Info.load(p4_dir / "ezpath.p4info.txtpb")
        self._registers = [register for register in self._info.registers if register.width_bytes == CELL_BYTES]
        self._client = Client(address, 1)
        self._updates = {
            kind: [make(_endpoint(number, kind)) for number in range(entries)]
            for kind, make in (("insert", Update.insert), ("modify", Update.modify), ("delete", Update.delete))
        }
        self.entries = entries
        self.cells = sum(register.size for register in self._registers)
        runner.run(self._begin((p4_dir / "ezpath.json").read_bytes()))

    def close(self) -> None:
        self._runner.run(self._client.close())

    def write(self, kind: str) -> float:
        """Milliseconds for all entries to be inserted, modified or deleted, in a table that is empty otherwise."""
        took = {step: self._write(step) for step in ("insert", "modify", "delete")}
        return took[kind]

    def read_entries(self) -> float:
        """Milliseconds for all entries of the table to be read."""
        self._write("insert")
        took, found = self._timed(self._client.read_table("endpoint"))
        self._write("delete")
        if len(found) != self.entries:
            raise NotTaken(f"{len(found)} of {self.entries} entries were read back")
        return took

    def read_cells(self) -> float:
        """Milliseconds for all cells of the monitor to be read and made columns."""
        took, flows = self._timed(self._flows())
        if flows < self.cells // 2:
            raise NotTaken(f"{flows} flows in {self.cells} cells that are all in use")
        return took

    def _write(self, kind: str) -> float:
        took, failures = self._timed(self._client.write(self._updates[kind]))
        if failures:
            raise NotTaken(str(failures[0]))
        return took

    def _timed(self, work: Coroutine[Any, Any, _T]) -> tuple[float, _T]:
        began = time.perf_counter()
        found = self._runner.run(work)
        return (time.perf_counter() - began) * 1e3, found

    async def _flows(self) -> int:
        return len(
            decode(await asyncio.gather(*(self._client.read_register(each.name) for each in self._registers))).vni
        )

    async def _begin(self, config: bytes) -> None:
        deadline = time.monotonic() + 15
        while True:
            try:
                await self._client.connect()
                break
            except P4RuntimeError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
        await self._client.become_primary(ELECTION_ID)
        await self._client.set_pipeline(self._info, config, cookie=1)
        async with grpc.aio.insecure_channel(self._client.address, options=service.CHANNEL_OPTIONS) as channel:
            for number, register in enumerate(self._registers):
                await self._fill(service.Stub(channel), register, seed=number)

    async def _fill(self, stub: service.Stub, register: RegisterInfo, seed: int) -> None:
        """Every cell in use, each by another flow."""
        cells = np.random.default_rng(seed).integers(0, 256, (register.size, CELL_BYTES), dtype=np.uint8)
        cells[:, 0] = 1
        for start in range(0, register.size, _FILL_BATCH):
            request = messages.WriteRequest(device_id=1, election_id=uint128(ELECTION_ID))
            for index in range(start, min(start + _FILL_BATCH, register.size)):
                entry = request.updates.add(type=messages.Update.MODIFY).entity.register_entry
                entry.register_id, entry.index.index = register.id, index
                entry.data.bitstring = cells[index].tobytes()
            await stub.write(request)


def _endpoint(number: int, kind: str) -> TableEntry:
    return TableEntry(
        "endpoint",
        {"vni": 5001, "mac": 0x020100000000 + number},
        "to_port",
        {"port": 1, "vid": number % 4000 + (kind == "modify")},
    )


def _measured(bench: _Bench, rounds: int) -> dict[str, list[float]]:
    figures: dict[str, Callable[[], float]] = {
        "insert": lambda: bench.write("insert"),
        "modify": lambda: bench.write("modify"),
        "delete": lambda: bench.write("delete"),
        "read back": bench.read_entries,
        "cells, all in use": bench.read_cells,
    }
    values: dict[str, list[float]] = {figure: [] for figure in figures}
    for number, figure, value in interleaved(figures, rounds):
        values[figure].append(value)
        Console(stderr=True).print(f"round {number + 1}/{rounds} {figure:>17} {value:8.1f} ms", highlight=False)
    return values


def _show(bench: _Bench, spreads: dict[str, Spread]) -> None:
    heads = ["milliseconds", "of", "median", "least", "greatest", "target"]
    rows = []
    for figure, spread in spreads.items():
        what = f"{bench.cells:,} cells of 256 bits" if figure.startswith("cells") else f"{bench.entries:,} entries"
        target = f"{TARGETS_MS[figure]:.0f}" if figure in TARGETS_MS else ""
        numbers = [f"{value:.1f}" for value in (spread.median, spread.least, spread.greatest)]
        rows.append([figure, what, *numbers, target])
    report.show("A controller and the software ToR, over gRPC", heads, rows)


def _verdicts(bench: _Bench, spreads: dict[str, Spread]) -> bool:
    """Whether every target is reached; prints each."""
    reached = True
    for figure, target in TARGETS_MS.items():
        median = spreads[figure].median
        reached &= median <= target
        click.echo(f"{'reached' if median <= target else 'MISSED '}  {figure}: {median:.1f} ms (target {target:.0f})")
    return reached
