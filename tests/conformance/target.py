"""A switch under test: a process that is driven over P4Runtime, with its ports on real wires.

What differs between switches is how they are started. The rest, from the program to the counters, goes through the
same client and the same packet sockets for all of them.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from bmv2 import BINARY
from conformance.vector import Outcome, Sent
from packet.entries import entry
from packet.frames import IPV4, ethernet, ipv4, udp
from packet.wire import Wires, run

from p4rt import Client, P4Info, P4RuntimeError, TableEntry, Update

PORTS = {1: "ezt-con-1", 2: "ezt-con-2", 10: "ezt-con-10"}
MTU = 9300
DEVICE_ID = 1
DROPS = "EzIngress.drops"

_START_S = 20
_SETTLE_S = 10
_IN_FLIGHT, _IN_FLIGHT_OCTETS = 48, 256 << 10
"""What is sent before the switch is given time: BMv2's queue of a port has 64 places, and drops silently."""

_SENTINEL_MAC, _SENTINEL_SRC = "02:00:00:5e:00:01", "169.254.200.1"
_SENTINEL_IPS = {port: f"169.254.200.{100 + port}" for port in PORTS}
SENTINELS = (
    entry("router_mac", {"mac": _SENTINEL_MAC}, "for_router"),
    *(entry("local_vtep", {"vtep": address}, "not_local_vtep") for address in _SENTINEL_IPS.values()),
    *(
        entry("route", {"prefix": (address, 32)}, "next_hop", port=port, src=_SENTINEL_MAC, dst=_SENTINEL_MAC)
        for port, address in _SENTINEL_IPS.items()
    ),
)
"""What a switch holds besides a vector's own entries: a way for the frames that tell when all others have come out."""


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
    segments: ClassVar[bool] = True
    """Its ports may be handed segments that the hardware has to cut."""

    def __init__(self, runner: asyncio.Runner, directory: Path, label: str = "") -> None:
        self.label = label or self.name
        self._runner = runner
        self._directory = directory
        self._wires = Wires(PORTS, name=f"con-{self.label}", mtu=MTU)
        self._process: subprocess.Popen[bytes] | None = None
        self._client = Client(self.address, DEVICE_ID)
        self._held: frozenset[TableEntry] = frozenset()
        self._dropped: npt.NDArray[np.uint64] = np.zeros((0, 2), np.uint64)
        self.rounds = 0
        """How often the sentinels have been sent."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """What starts the switch, listening on :attr:`address`."""

    @property
    def address(self) -> str:
        return f"unix:{self._directory}/{self.label}.sock"

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
                inside = ["ip", "netns", "exec", self._wires.switch]
                self._process = subprocess.Popen([*inside, *self.command()], stdout=log, stderr=log)
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
                await self._client.become_primary(1)
                return
            except P4RuntimeError as error:
                assert time.monotonic() < deadline, f"{self.label} does not answer: {error}; {self.log[-2000:]}"
            await asyncio.sleep(0.05)

    # ---- what it holds

    def load(self, program: Program) -> None:
        """The program runs, with empty tables, and registers and counters at zero."""
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

    # ---- frames

    def observe(self, sent: Sent) -> Outcome:
        """What came out and what was counted as dropped when these frames had gone in, one port after the other."""
        out: dict[int, list[bytes]] = {}
        for port, frames in itertools.groupby(sent, key=lambda one: one[0]):
            for some in _in_flight([frame for _, frame in frames]):
                for frame in some:
                    self._wires.far[port].send(frame)
                for number, came in self.settle(port).items():
                    out.setdefault(number, []).extend(came)
        before, self._dropped = self._dropped, self.counter(DROPS)
        drops = {
            int(reason): (int(packets), int(octets))
            for reason, (packets, octets) in enumerate(self._dropped - before)
            if packets or octets
        }
        visible = {port: tuple(filter(_can_be_seen, frames)) for port, frames in sorted(out.items())}
        return Outcome({port: frames for port, frames in visible.items() if frames}, drops)

    def settle(self, port: int) -> Mapping[int, Sequence[bytes]]:
        """All that comes out of all ports before what is sent into ``port`` now comes out of each of them."""
        self.rounds += 1
        payload = self.rounds.to_bytes(8, "big")
        for address in _SENTINEL_IPS.values():
            self._wires.far[port].send(_sentinel(address, payload, ttl=64))
        out: dict[int, list[bytes]] = {}
        for number, address in _SENTINEL_IPS.items():
            last = _sentinel(address, payload, ttl=63)
            while (frame := self._receive(number)) != last:
                out.setdefault(number, []).append(frame)
        return out

    def _receive(self, port: int) -> bytes:
        frame = self._wires.far[port].receive(_SETTLE_S)
        if frame is None:
            raise Stuck(f"{self.label}: nothing comes out of port {port} any more, not even the sentinel; {self.log}")
        return frame.data


def _can_be_seen(frame: bytes) -> bool:
    """Linux drops a tagged frame with less than two bytes behind the EtherType, unless its tag came beside the bytes.

    So one switch's may be captured and another one's not: no such frame counts.
    """
    return len(frame) >= 20 or frame[12:14] not in (b"\x81\x00", b"\x88\xa8")


class Stuck(Exception):
    """The switch does not pass frames on."""


def _sentinel(address: str, payload: bytes, ttl: int) -> bytes:
    packet = ipv4(_SENTINEL_SRC, address, udp(9, 9, payload), ttl=ttl)
    return ethernet(_SENTINEL_MAC, _SENTINEL_MAC, IPV4, packet)


def _in_flight(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Runs of frames that a port's queues hold at once."""
    some: list[bytes] = []
    octets = 0
    for frame in frames:
        if len(some) == _IN_FLIGHT or octets + len(frame) > _IN_FLIGHT_OCTETS:
            yield some
            some, octets = [], 0
        some.append(frame)
        octets += len(frame)
    yield some


class SoftwareTor(Target):
    """``ezpath-tor`` as it is installed."""

    name = "software-tor"

    def command(self) -> list[str]:
        tor = str(Path(sys.executable).parent / "ezpath-tor")
        ports = [argument for number, interface in PORTS.items() for argument in ("--port", f"{number}={interface}")]
        return [tor, "--device-id", str(DEVICE_ID), "--listen", self.address, "--die-with-parent", *ports]


class Bmv2(Target):
    """``simple_switch_grpc``, the reference."""

    name = "bmv2"
    # With them, its capture ring has slots for the largest segment there is: eight of them.
    segments = False

    def command(self) -> list[str]:
        ports = [argument for number, interface in PORTS.items() for argument in ("-i", f"{number}@{interface}")]
        switch = [shutil.which(BINARY) or BINARY, "--no-p4", "--device-id", str(DEVICE_ID), *ports]
        return [*switch, "--", "--grpc-server-addr", self.address]


TARGETS: Mapping[str, type[Target]] = {target.name: target for target in (SoftwareTor, Bmv2)}
