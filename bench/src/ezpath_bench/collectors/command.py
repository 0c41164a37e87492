"""``ezpath-bench collectors``: what polling a switch costs a collector, and that it costs the same with many of them.

Everything is real but the switches, which answer with bytes made beforehand (:mod:`ezpath_bench.collectors.switch`):
nats-server, and the collectors as processes, which share the switches by their leases. What is counted is processor
time from /proc, of each process by itself, over polls that were published while it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from ezpath.bus import Bus, BusError
from ezpath.events import FlowSample
from ezpath.telemetry import configure_logging
from ezpath_lab.shell import LabError, program
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.saga.shares import Shares

TARGET_MS = 25.0
"""Of one core, for one poll of 65,536 cells, from the request to the published sample: forty switches a second."""
LINEAR = 1.25
"""The dearest poll, whatever the number of switches, costs at most so many times what the cheapest does."""
_READY_S = 60.0

_EPILOG = """\b
Examples:
  ezpath-bench collectors                               1 collector with 5, 10 and 20 switches, 2 with 20 (a minute)
  ezpath-bench collectors --switches 500 --collectors 8 --interval 25    as many as there can be on few cores
  ezpath-bench collectors --quick                       few cells, to see that it works
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some seconds of polling."""

    switches: int
    collectors: int
    polls: int
    seconds: float
    cores: float
    """In use by the collectors, all together."""
    switch_cores: float
    nats_cores: float
    polled_by: tuple[int, ...]
    """How many switches each collector had, by what it published."""

    @property
    def ms_a_poll(self) -> float:
        return self.cores * self.seconds / self.polls * 1e3

    @property
    def share(self) -> float:
        """Of a core, for one switch that is polled once a second."""
        return self.ms_a_poll / 1e3


class NotPolled(Exception):
    """The collectors did not do what was to be measured."""


@click.command("collectors", epilog=_EPILOG)
@click.option("--switches", type=click.IntRange(1), multiple=True, help="How many; repeatable. [default: 5 10 20]")
@click.option("--collectors", type=click.IntRange(1), help="How many. [default: 1, and 2 with the most switches]")
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between polls.")
@click.option("--cells", type=click.IntRange(64), default=65536, show_default=True, help="Of each switch.")
@click.option("--used", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Part of them in use.")
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True, help="Measured, for each case.")
@click.option("--quick", is_flag=True, help="256 cells, 2 seconds: shows that it works, proves nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(
    switches: tuple[int, ...],
    collectors: int | None,
    interval: float,
    cells: int,
    used: float,
    seconds: float,
    quick: bool,
    p4_dir: Path,
    out: Path | None,
) -> None:
    """Processor time that polling a switch takes, as the number of switches and of collectors grows.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs no root.
    """
    configure_logging("warning")
    counts = sorted(set(switches or (5, 10, 20)))
    cases = [(count, collectors or 1) for count in counts] + ([] if collectors else [(counts[-1], 2)])
    if quick:
        cells, seconds, cases = 256, 2.0, [(2, 1), (4, 2)]
    costs: list[Cost] = []
    try:
        with tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder, ExitStack() as stack:
            rig = _Rig(Path(folder), stack, p4_dir, cells, used, interval)
            for switch_count, collector_count in cases:
                costs.append(asyncio.run(rig.measured(switch_count, collector_count, seconds)))
    except (LabError, NotPolled, BusError) as error:
        raise click.ClickException(str(error)) from error
    _show(costs, cells, used)
    results = {"cells": cells, "used": used, "interval_s": interval, "cases": [asdict(cost) for cost in costs]}
    report.save(out, "collectors", results)
    if not all(_verdicts(costs)) and not quick:
        raise SystemExit(1)


class _Rig:
    """NATS and the switches, which all cases share."""

    def __init__(
        self, directory: Path, stack: ExitStack, p4_dir: Path, cells: int, used: float, interval_s: float
    ) -> None:
        self._directory = directory
        self._interval_s = interval_s
        port = _free_port()
        self._url = f"nats://127.0.0.1:{port}"
        nats = [program("nats-server"), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(directory / "store")]
        self._nats = stack.enter_context(_running(nats, directory / "nats.log"))
        self._address = f"unix:{directory}/switches.sock"
        words = ["--listen", self._address, "--p4-dir", str(p4_dir), "--cells", str(cells), "--used", str(used)]
        module = [sys.executable, "-m", "ezpath_bench.collectors.switch", *words]
        self._switches = stack.enter_context(_running(module, directory / "switches.log"))
        _wait((directory / "switches.sock").exists, "the switches answer")

    async def measured(self, switches: int, collectors: int, seconds: float) -> Cost:
        """Start so many collectors on so many switches, and look on once each switch is polled."""
        inventory = self._directory / f"network-{switches}.yaml"
        inventory.write_text(_inventory(switches, self._address))
        words = [program("ezpath-collector"), "--nats", self._url, "--inventory", str(inventory)]
        words += ["--interval", str(self._interval_s), "--log-level", "warning"]
        last: dict[str, str] = {}
        polls = Counter[str]()

        async def on_sample(sample: FlowSample) -> None:
            last[sample.switch] = sample.collector
            polls[sample.switch] += 1

        async with await Bus.connect(self._url, "bench", wait_s=10) as bus:
            with ExitStack() as stack:
                running = [
                    stack.enter_context(_running(words, self._directory / f"collector-{number}.log"))
                    for number in range(collectors)
                ]
                await bus.subscribe_samples(on_sample)
                await self._until_shared(last, switches, collectors)
                processes = [("collectors", child.pid) for child in running]
                shares = Shares([*processes, ("switches", self._switches.pid), ("nats", self._nats.pid)])
                polls.clear()
                shares.begin()
                began = time.monotonic()
                await asyncio.sleep(seconds)
                took, used = time.monotonic() - began, shares.read()
                counted = polls.total()
                parts = tuple(sorted(Counter(last.values()).values(), reverse=True))
        if len(polls) < switches:
            raise NotPolled(f"only {len(polls)} of {switches} switches were polled: give it more time, or cores")
        return Cost(switches, collectors, counted, took, used["collectors"], used["switches"], used["nats"], parts)

    async def _until_shared(self, last: dict[str, str], switches: int, collectors: int) -> None:
        deadline = time.monotonic() + _READY_S + 2 * self._interval_s
        while len(last) < switches or len(set(last.values())) < min(collectors, switches):
            if time.monotonic() > deadline:
                raise NotPolled(f"{len(last)} of {switches} switches are polled, by {len(set(last.values()))}")
            await asyncio.sleep(0.1)


def _inventory(count: int, address: str) -> str:
    switches = {
        f"tor{number}": {
            "rack": f"r{number}",
            "device_id": number,
            "address": address,
            "vtep": f"10.255.{number >> 8}.{number & 255}",
            "mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        }
        for number in range(1, count + 1)
    }
    # JSON is YAML
    return json.dumps({"tenants": {"red": {"vni": 5001}}, "switches": switches, "hosts": {}, "endpoints": []})


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    with log.open("ab") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, env=clean)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(20)


def _wait(true: object, what: str) -> None:
    assert callable(true)
    deadline = time.monotonic() + 20
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"not within 20 s: {what}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _show(costs: Sequence[Cost], cells: int, used: float) -> None:
    columns = ("switches", "collectors", "polls", "ms of a core a poll", "share a switch", "all collectors", "switches")
    rows = [
        (
            str(cost.switches),
            f"{cost.collectors} ({'+'.join(map(str, cost.polled_by))})",
            str(cost.polls),
            f"{cost.ms_a_poll:.1f}",
            f"{cost.share:.1%}",
            f"{cost.cores:.2f} cores",
            f"{cost.switch_cores:.2f} cores",
        )
        for cost in costs
    ]
    report.show(f"Polling switches of {cells:,} cells, {used:.0%} of them in use", columns, rows)


def _verdicts(costs: Sequence[Cost]) -> list[bool]:
    worst, best = max(cost.ms_a_poll for cost in costs), min(cost.ms_a_poll for cost in costs)
    console = Console()
    cheap, linear = worst <= TARGET_MS, worst <= LINEAR * best
    for reached, words in (
        (
            cheap,
            f"a poll takes {worst:.1f} ms of a core at most, {TARGET_MS:g} wanted: {1e3 / worst:.0f} switches a core",
        ),
        (linear, f"{worst / best:.2f} times the cheapest at most, {LINEAR:g} wanted: the cost is linear"),
    ):
        console.print(f"[{'green' if reached else 'red'}]{'reached' if reached else 'MISSED '}[/]  {words}")
    return [cheap, linear]
