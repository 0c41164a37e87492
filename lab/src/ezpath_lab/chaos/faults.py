"""How each kind of fault is done, and undone: one function for each, on a :class:`Stand`.

What interrupts traffic by itself returns the :class:`Window` in which it did.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ezpath.bus import BusError

from ezpath_lab.chaos.driver import Driver
from ezpath_lab.chaos.judge import Judge
from ezpath_lab.chaos.ledger import Window
from ezpath_lab.chaos.plan import Fault
from ezpath_lab.chaos.stand import Stand
from ezpath_lab.chaos.wire import Wire
from ezpath_lab.shell import LabError

MOMENT_S = 3.0
"""How long a kill waits for its moment, before it comes all the same."""
CUT_S = 4.0
BACK_S = 60.0
"""How long a switch or host may take to be as it should be again, before chaos gives up."""
MARGIN_S = 0.5
"""What was sent so short before an outage may have been under way in it; after it, the same."""
READY_S = 4.0
"""How long the next fault waits for a service that was killed. After that, it may be killed while it starts."""


@dataclass(slots=True)
class Injected:
    """What was really done."""

    by_kind: Counter[str] = field(default_factory=Counter)
    at_moment: Counter[str] = field(default_factory=Counter)
    """Kills, by service and moment, that came at their moment."""
    too_late: int = 0
    """Kills whose moment did not come in time."""
    copies: int = 0

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())


@dataclass(frozen=True, slots=True)
class Interruption:
    """One outage, over."""

    window: Window
    down_s: float
    """Until what passes there without EZPath passes again."""


class Faults:
    """Several may be under way at once; two on the same thing take turns."""

    def __init__(self, stand: Stand, wire: Wire, driver: Driver, judge: Judge) -> None:
        self._stand = stand
        self._wire = wire
        self._driver = driver
        self._judge = judge
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.done = Injected()
        self.log: list[tuple[float, str]] = []
        """When (CLOCK_MONOTONIC) what was done, for who has to find out why a packet is missing."""

    async def inject(self, fault: Fault) -> None:
        """Do it, and wait until it is undone. Raises :class:`LabError` where something does not come back."""
        # Of several servers one goes at a time: the rest of them are to be enough.
        async with self._turns["nats" if fault.kind in ("bus-restart", "disk-full") else fault.target]:
            match fault.kind:
                case "kill":
                    await self._kill(fault)
                case "grpc-cut":
                    await self._cut(fault)
                case "duplicates":
                    await self._duplicate(fault)
                case "partition":
                    await self._partition(fault)
                case "clock-jump":
                    self._note(fault)
                    self._stand.clocks.jump(fault.target, fault.size)
                case "bus-restart":
                    await self._restart_bus(fault)
                case "disk-full":
                    await self._fill(fault)
                case "tor-restart":
                    await self._restart_tor(fault)
                case _:
                    raise AssertionError(f"{fault.kind} is an outage")

    async def outage(self, fault: Fault) -> Interruption:
        """A switch or an Open vSwitch loses everything and comes back. Raises :class:`LabError`."""
        stand, topology = self._stand, self._stand.lab.topology
        began_ns = time.monotonic_ns() - int(MARGIN_S * 1e9)
        self._note(fault)
        if fault.kind == "tor-empty":
            target = f"switch:{fault.target}"
            containers = {c.name for h in topology.hosts_of(fault.target) for c in topology.on_host(h.name)}
            stand.kill(fault.target)
            await asyncio.sleep(fault.size)
            await stand.start_tor(fault.target, empty=True)
            await self._until(target, lambda: self._judge.base_missing(target))
        else:
            target = f"host:{fault.target}"
            containers = {c.name for c in topology.on_host(fault.target)}
            await stand.restart_ovs(fault.target, fault.size)
        down_s = time.monotonic() - began_ns / 1e9
        await self._until(target, lambda: self._judge.missing(target, self._driver.records))
        await asyncio.sleep(MARGIN_S)
        pairs = frozenset(p for p in self._driver.pairs if {*p.split(".")[1:]} & containers)
        return Interruption(Window(fault.kind, pairs, began_ns, time.monotonic_ns()), down_s)

    # ---- one each

    async def _kill(self, fault: Fault) -> None:
        stand = self._stand
        assert fault.moment is not None

        def blow() -> None:
            stand.kill(fault.target)
            self._note(fault)

        if await self._wire.strike(fault.moment, blow, MOMENT_S):
            self.done.at_moment[f"{fault.target} {fault.moment}"] += 1
        else:
            self.done.too_late += 1
        await asyncio.sleep(fault.size)
        stand.spawn(fault.target)
        await stand.ready(fault.target, READY_S)

    async def _cut(self, fault: Fault) -> None:
        gate = self._stand.tor_gates[fault.target]
        gate.cut_after(int(fault.size))
        try:
            async with asyncio.timeout(CUT_S):
                await gate.cut.wait()
        except TimeoutError:
            gate.cut_all()
        self._note(fault)

    async def _duplicate(self, fault: Fault) -> None:
        self._note(fault)
        self.done.copies += 9 * await self._wire.repeat(fault.target, int(fault.size), 3.0)

    async def _partition(self, fault: Fault) -> None:
        gate = self._stand.gates[fault.target]
        self._note(fault)
        (gate.hush if fault.silent else gate.shut)()
        await asyncio.sleep(fault.size)
        gate.open()

    async def _restart_bus(self, fault: Fault) -> None:
        self._note(fault)
        self._stand.kill(fault.target)
        await asyncio.sleep(fault.size)
        await self._stand.bus.start(fault.target)

    async def _fill(self, fault: Fault) -> None:
        """Full for a while; then its operator makes room, and starts a server that has given up on its store."""
        stand = self._stand
        self._note(fault)
        await asyncio.to_thread(stand.bus.fill_disk, fault.target)
        await asyncio.sleep(fault.size)
        await asyncio.to_thread(stand.bus.free_disk, fault.target)
        stand.kill(fault.target)
        await stand.bus.start(fault.target)

    async def _restart_tor(self, fault: Fault) -> None:
        """Only its process: what is on its ports goes on forwarding, and nothing may be lost."""
        self._note(fault)
        self._stand.kill(fault.target)
        await asyncio.sleep(fault.size)
        await self._stand.start_tor(fault.target, empty=False)

    # ---- helpers

    async def _until(self, target: str, look: Callable[[], Awaitable[list[str]]]) -> None:
        deadline = time.monotonic() + BACK_S
        missing = ["not looked at"]
        while missing:
            if time.monotonic() > deadline:
                raise LabError(f"{target} was not put right within {BACK_S:.0f} s: {'; '.join(missing[:3])}")
            await asyncio.sleep(0.1)
            try:
                missing = await look()
            except BusError as error:
                missing = [str(error)]

    def _note(self, fault: Fault) -> None:
        self.done.by_kind[fault.kind] += 1
        self.log.append((time.monotonic(), str(fault)))
