"""A switch under test: a process that is driven over P4Runtime, with its ports on real wires.

What differs between switches is how they are started. The rest, from the program to the counters, goes through the
same client and the same packet sockets for all of them.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from conformance.bursts import PORTS, SENTINELS, bursts, can_be_seen, sentinel
from conformance.vector import Outcome, Sent
from packet.rack import STAGES
from packet.wire import Wires, run

from p4rt import Client, P4Info, P4RuntimeError, RegisterCells, TableEntry, Update

MTU = 9300
DEVICE_ID, ELECTION_ID = 1, 1
DROPS, UNMONITORED = "EzIngress.drops", "EzIngress.monitor.unmonitored"
P4 = Path(__file__).parents[2] / "p4"

_START_S = 20
_SETTLE_S = 10
_EPOCH, _STRENGTH = slice(22, 24), slice(29, 32)
_TIMELESS = np.full(32, 0xFF, np.uint8)
_TIMELESS[_EPOCH] = _TIMELESS[_STRENGTH] = 0
"""What p4/ezpath/monitor.p4 keeps in a cell, but when, and how strong that makes it now."""


@dataclass(frozen=True)
class Program:
    """A compilation of a P4 program: what SetForwardingPipelineConfig takes."""

    name: str
    info: P4Info
    config: bytes

    @classmethod
    def read(cls, config: Path) -> Program:
        return cls(config.name, P4Info.load(config.with_suffix(".p4info.txtpb")), config.read_bytes())


class Target(abc.ABC):
    """One switch. ``start``, ``load``, then ``install`` and ``observe`` as often as wanted, and ``stop``.

    ``runner`` is one event loop that all targets of a process share; ``label`` tells two of a kind apart.
    """

    name: ClassVar[str]
    build: ClassVar[Path] = P4 / "ezpath.json"
    """The compilation of EZPath's program that is meant for it."""
    segments: ClassVar[bool] = True
    """Its ports may be handed segments that the hardware has to cut."""

    def __init__(self, runner: asyncio.Runner, directory: Path, label: str = "") -> None:
        self.label = label or self.name
        self._runner = runner
        self._directory = directory
        self._wires = Wires(PORTS, name=f"con-{self.label}", mtu=MTU)
        self._process: subprocess.Popen[bytes] | None = None
        self._client = Client(self.address, DEVICE_ID)
        self._program: Program | None = None
        self._held: frozenset[TableEntry] = frozenset()
        self._dropped: npt.NDArray[np.uint64] = np.zeros((0, 2), np.uint64)
        self._unmonitored: npt.NDArray[np.uint64] = np.zeros((1, 2), np.uint64)
        self.rounds = 0
        """How often the sentinels have been sent."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """What starts the switch, listening on :attr:`address`."""

    @property
    def address(self) -> str:
        return f"unix:{self._directory}/{self.label}.sock"

    @property
    def info(self) -> P4Info:
        """Of the program that runs."""
        assert self._program is not None, "no program is loaded"
        return self._program.info

    @property
    def namespace(self) -> str:
        """The network namespace that the switch runs in."""
        return self._wires.switch

    @property
    def log(self) -> str:
        """What the process has written so far."""
        return (self._directory / f"{self.label}.log").read_text(errors="replace")

    # ---- the switch's life

    def start(self) -> None:
        """The process runs, and this is its primary."""
        self._wires.__enter__()
        try:
            run("ip", "-n", self.namespace, "link", "set", "lo", "up")
            for interface in () if self.segments else PORTS.values():
                off = [argument for feature in ("tso", "gso", "gro") for argument in (feature, "off")]
                self._wires.switch_command("ethtool", "-K", interface, *off)
            with (self._directory / f"{self.label}.log").open("ab") as log:
                there = ["ip", "netns", "exec", self._wires.switch]
                self._process = subprocess.Popen([*there, *self.command()], stdout=log, stderr=log)
            self._runner.run(self._become_primary())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Everything that start made is gone. Idempotent."""
        self._runner.run(self._client.close())
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._wires.__exit__()

    async def _become_primary(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.label} did not start: {self.log[-2000:]}"
            try:
                await self._client.connect()
                await self._client.become_primary(ELECTION_ID)
                return
            except P4RuntimeError as error:
                assert time.monotonic() < deadline, f"{self.label} does not answer: {error}; {self.log[-2000:]}"
            await asyncio.sleep(0.05)

    # ---- what it holds

    def load(self, program: Program) -> None:
        """The program runs, with empty tables, and registers and counters at zero."""
        self._program = program
        self._runner.run(self._client.set_pipeline(program.info, program.config, cookie=1))
        self._held = frozenset()
        self._dropped = self.counter(DROPS)
        self.rounds = 0
        self.install(())

    def install(self, entries: Iterable[TableEntry]) -> None:
        """The tables hold exactly ``entries``, default actions among them, and the sentinels' own."""
        wanted = frozenset((*entries, *SENTINELS))
        gone = sorted(self._held - wanted, key=str)
        new = sorted(wanted - self._held, key=str)
        kept_defaults = {one.table for one in new if one.default}
        updates = [
            Update.modify(TableEntry(one.table, default=True)) if one.default else Update.delete(one)
            for one in gone
            if not (one.default and one.table in kept_defaults)
        ]
        updates += [Update.modify(one) if one.default else Update.insert(one) for one in new]
        failures = self._runner.run(self._client.write(updates))
        assert not failures, f"{self.label}: {failures[0]}"
        self._held = wanted

    def counter(self, name: str) -> npt.NDArray[np.uint64]:
        """All cells: packets, bytes."""
        return self._runner.run(self._client.read_counter(name))

    # ---- the monitor

    def forget(self) -> None:
        """The monitor is empty again; entries stay."""
        self.clear_registers()
        self._unmonitored = self.counter(UNMONITORED)

    @abc.abstractmethod
    def clear_registers(self) -> None:
        """All cells of all registers are 0."""

    def monitored(self) -> Mapping[str, int]:
        """Place to cell, of all that are used, without what depends on the clock; and the packets that won no cell."""
        found = {"unmonitored": int((self.counter(UNMONITORED) - self._unmonitored)[0, 0])}
        for name, cells in zip(STAGES, self.stages(), strict=True):
            timeless = cells & _TIMELESS
            for index in np.flatnonzero(cells[:, 0]).tolist():
                found[f"{name}[{index}]"] = int.from_bytes(timeless[index].tobytes(), "big")
        return found

    @abc.abstractmethod
    def stages(self) -> Sequence[RegisterCells]:
        """All cells of the monitor's stages, 32 bytes each."""

    # ---- frames

    def observe(self, sent: Sent) -> Outcome:
        """What came out and what was counted as dropped when these frames had gone in, one port after the other."""
        out: dict[int, list[bytes]] = {}
        for port, frames in itertools.groupby(sent, key=lambda one: one[0]):
            for burst in bursts([frame for _, frame in frames]):
                for frame in burst:
                    self._wires.far[port].send(frame)
                for number, came in self.settle(port).items():
                    out.setdefault(number, []).extend(came)
        before, self._dropped = self._dropped, self.counter(DROPS)
        drops = {
            int(reason): (int(packets), int(octets))
            for reason, (packets, octets) in enumerate(self._dropped - before)
            if packets or octets
        }
        visible = {port: tuple(filter(can_be_seen, frames)) for port, frames in sorted(out.items())}
        return Outcome({port: frames for port, frames in visible.items() if frames}, drops)

    def settle(self, port: int) -> Mapping[int, Sequence[bytes]]:
        """All that comes out of all ports before what is sent into ``port`` now comes out of each of them."""
        self.rounds += 1
        for number in PORTS:
            self._wires.far[port].send(sentinel(number, self.rounds, arrived=False))
        out: dict[int, list[bytes]] = {}
        for number in PORTS:
            last = sentinel(number, self.rounds, arrived=True)
            while (frame := self._receive(number)) != last:
                out.setdefault(number, []).append(frame)
        return out

    def _receive(self, port: int) -> bytes:
        frame = self._wires.far[port].receive(_SETTLE_S)
        if frame is None:
            raise Stuck(f"{self.label}: nothing comes out of port {port} any more, not even the sentinel; {self.log}")
        return frame.data


class Stuck(Exception):
    """The switch does not pass frames on."""
