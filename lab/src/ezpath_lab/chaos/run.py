"""One run: the overlay alone, then rounds of chaos, each checked, then the same outages with EZPath idle."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ezpath.bus import Bus, BusError

from ezpath_lab import overlay
from ezpath_lab.chaos import accounts
from ezpath_lab.chaos.accounts import Outage, Report, Violation
from ezpath_lab.chaos.driver import Driver
from ezpath_lab.chaos.faults import Faults, Interruption
from ezpath_lab.chaos.judge import Judge
from ezpath_lab.chaos.ledger import Window
from ezpath_lab.chaos.needs import Record
from ezpath_lab.chaos.plan import Fault, Round
from ezpath_lab.chaos.stand import READY_S, Stand
from ezpath_lab.chaos.streams import Settled, Streams
from ezpath_lab.chaos.wire import Wire
from ezpath_lab.shell import LabError
from ezpath_lab.workload import Pair

OVERLAY_S = 5.0
REST_S = 60.0
"""How long sagas may take to end once nothing is broken any more."""
CONVERGE_S = 15.0
"""How long installed and intended may differ then."""
LIFE_S = 7200.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is to be."""

    seed: int
    minutes: float
    pairs: Sequence[Pair]
    """That move."""
    watched: Sequence[Pair]
    """Of these, those with streams."""
    rate: float
    """Packets a second of each stream, each way."""
    p4_dir: Path = Path("p4")


class Run:
    """Call :meth:`go`; the report grows as it goes."""

    def __init__(self, stand: Stand, settings: Settings, plan: Iterator[Round], say: Say) -> None:
        self._stand = stand
        self._settings = settings
        self._plan = plan
        self._say = say
        self._streams = Streams(stand.lab.topology, stand.lab.processes, settings.watched, settings.rate)
        self._judge = Judge(stand.lab)
        self.report = Report(settings.seed, settings.minutes)
        self._outages: list[Fault] = []
        self._times: list[float] = []
        """When the last round's faults were over, and when its sagas were at rest."""
        self._driving: asyncio.Task[None] | None = None
        self._driver: Driver
        self._faults: Faults

    async def go(self) -> None:
        """Raises :class:`LabError` where going on makes no sense."""
        stand, settings = self._stand, self._settings
        await stand.up(settings.p4_dir)
        await self._judge.remember_base()
        self._say(f"{len(settings.pairs)} pairs, {len(settings.watched)} of them with numbered packets")
        await asyncio.to_thread(overlay.warm_up, stand.lab.topology)
        await asyncio.to_thread(self._streams.start, LIFE_S)
        began = time.monotonic()
        dice = random.Random(settings.seed)
        wire = Wire(stand.nats, dice)
        async with await Bus.connect(stand.nats, "chaos", patience_s=20.0) as bus:
            await wire.open()
            self._driver = Driver(bus, settings.pairs, dice)
            self._faults = Faults(stand, wire, self._driver, self._judge)
            self._driving = driving = asyncio.create_task(self._driver.run())
            try:
                await self._overlay_alone()
                await self._chaos(began + settings.minutes * 60)
                await self._idle()
            finally:
                self._totals(began)
                driving.cancel()
                with suppress(asyncio.CancelledError):
                    await driving
                await wire.close()
                await stand.close()

    # ---- parts

    async def _overlay_alone(self) -> None:
        """What the lab itself loses on this machine: nothing, or no verdict is possible."""
        await self._settle([])
        await asyncio.sleep(OVERLAY_S)
        settled = await self._settle([])
        self.report.overlay = settled.account
        self._packets_right(0, settled)
        if settled.account.lost:
            raise LabError("the overlay alone loses packets on this machine: lower --rate, or give it more room")
        self._say(f"overlay alone: {settled.account.sent} packets, none lost")

    async def _chaos(self, end: float) -> None:
        """Rounds, until so much time is left as the same outages will take with EZPath idle."""
        idle_s = 0.0
        while time.monotonic() + idle_s < end:
            began = time.monotonic()
            round_ = next(self._plan)
            outage_s = await self._round(round_)
            idle_s += outage_s
            self.report.rounds += 1
            self._totals_now()
            self._say(self._line(round_, began))
            if self._driving is not None and self._driving.done():
                self._driving.result()
            if self.report.violations:
                return

    async def _round(self, round_: Round) -> float:
        """Returns how long its outage took."""
        windows: list[Window] = []
        interruption: Interruption | None = None
        self._driver.move()
        await self._all_at_once(round_.faults)
        outage = round_.outage
        if outage is not None:
            # What it costs is to be compared with the same one when nothing else was broken.
            await self._all_ready()
            interruption = await self._faults.outage(outage)
            windows.append(interruption.window)
            self._outages.append(outage)
            await asyncio.sleep(0.5)
        self._driver.pause()
        self._times = [time.monotonic()]
        await self._all_ready()
        moving = await self._driver.at_rest(REST_S)
        for record in moving:
            self._violated(round_.number, "a saga does not end", f"{record.pair} is in {record.phase}")
        self._times.append(time.monotonic())
        settled = await self._settle(windows)
        self._packets_right(round_.number, settled)
        self.report.packets.add(settled.account)
        took_s = 0.0
        if outage is not None and interruption is not None:
            took_s = self._outage_done(self.report.outages, outage, interruption, settled)
        if not moving:
            await self._installed_right(round_.number, ask_ezpath=outage is not None)
        self.report.died += self._stand.died()
        for name in self._stand.died():
            self._violated(round_.number, "a process died by itself", name)
        return took_s + 1.5

    async def _all_ready(self) -> None:
        """Nobody is broken any more. Raises :class:`LabError` where a service does not come back."""
        for service in self._stand.services:
            if not await self._stand.ready(service, READY_S):
                raise LabError(f"{service} is not ready {READY_S:.0f} s after the last fault. See its log")

    async def _all_at_once(self, faults: Sequence[Fault]) -> None:
        """Each at its time; the first that cannot be undone ends them all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for fault in faults:
                    tasks.create_task(self._later(fault))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_s)
        await self._faults.inject(fault)

    async def _idle(self) -> None:
        """The same outages once more, with nothing offloaded and nothing asked for."""
        if not self._outages or self.report.violations:
            return
        self._say(f"the same {len(self._outages)} outages with EZPath idle")
        left = await self._driver.revert_all(REST_S)
        if left:
            self._violated(self.report.rounds, "a pair does not come back", ", ".join(r.pair for r in left))
            return
        await self._settle([])
        done, self._faults.done = self._faults.done, type(self._faults.done)()
        try:
            for outage in self._outages:
                interruption = await self._faults.outage(outage)
                settled = await self._settle([interruption.window])
                self.report.idle.add(settled.account)
                self._packets_right(self.report.rounds, settled)
                self._outage_done(self.report.idle_outages, outage, interruption, settled)
        finally:
            self._faults.done = done
        await self._installed_right(self.report.rounds, ask_ezpath=True)
        reason = accounts.excess(self.report.outages, self.report.idle_outages)
        if reason:
            self._violated(self.report.rounds, "more lost in outages than they explain", reason)

    # ---- checks

    async def _settle(self, windows: Sequence[Window]) -> Settled:
        return await asyncio.to_thread(self._streams.settle, windows)

    def _packets_right(self, number: int, settled: Settled) -> None:
        account = settled.account
        if settled.unexcused:
            first = settled.unexcused[0]
            before = [f"{when - first.sent_ns / 1e9:+.2f} s {what}" for when, what in self._faults.log[-12:]]
            detail = f"{account.lost}, the first {first}; faults near it: {'; '.join(before)}"
            self._violated(number, "packets lost", detail)
        if account.foreign:
            self._violated(number, "packets of another tenant or pair", ", ".join(settled.strangers))
        if account.duplicated:
            self._violated(number, "packets doubled", str(account.duplicated))

    async def _installed_right(self, number: int, *, ask_ezpath: bool) -> None:
        """Nothing is under way: what the switches and hosts hold is what the records say, at once or soon.

        ``ask_ezpath``: and ``ezpath diff`` says so too.
        """
        deadline = time.monotonic() + CONVERGE_S
        while True:
            found = await self._differences()
            if not found and ask_ezpath:
                found = await asyncio.to_thread(self._stand.ezpath_diff)
            if not found:
                return
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        self.report.orphans += sum(": orphan " in line for line in found)
        self._violated(number, "installed is not what is intended", "; ".join(found[:6]))

    async def _differences(self) -> list[str]:
        try:
            records: list[Record] = await self._driver.records()
        except BusError as error:
            return [str(error)]
        return await self._judge.differences(records)

    def _violated(self, number: int, what: str, detail: str) -> None:
        self.report.violations.append(Violation(number, what, detail))
        self._say(f"VIOLATION {self.report.violations[-1]}")

    # ---- sums

    def _outage_done(self, into: list[Outage], fault: Fault, over: Interruption, settled: Settled) -> float:
        window = over.window
        watched = [pair for pair in self._settings.watched if pair.id in window.pairs]
        seconds = (window.to_ns - window.from_ns) / 1e9
        lost = sum(settled.account.excused.values())
        into.append(
            Outage(fault.kind, fault.target, over.down_s, seconds, lost, len(watched) * 2 * self._settings.rate)
        )
        return seconds

    def _totals_now(self) -> None:
        done, tally = self._faults.done, self._driver.tally
        report = self.report
        report.faults, report.kills = dict(done.by_kind), dict(done.at_moment)
        report.kills_too_late, report.copies = done.too_late, done.copies
        report.outcomes, report.rolled_back = dict(tally.outcomes), dict(tally.reasons)

    def _totals(self, began: float) -> None:
        self._totals_now()
        self.report.seconds = time.monotonic() - began

    def _line(self, round_: Round, began: float) -> str:
        report = self.report
        times = [began, *self._times, time.monotonic()]
        spent = " + ".join(f"{after - before:.0f}" for before, after in pairwise(times))
        return (
            f"round {round_.number} ({spent} s): {sum(report.faults.values())} faults, "
            f"{report.switch_overs} switch-overs, {report.outcomes.get('rolled-back', 0)} rolled back, "
            f"{report.packets.sent} packets, {report.packets.lost} lost, "
            f"{sum(report.packets.excused.values())} in outages, slowest {report.packets.delay_us_max / 1e3:.0f} ms"
        )
