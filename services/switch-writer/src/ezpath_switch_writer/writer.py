"""The writer of one switch: keeps it connected and as it should be, and carries out its commands.

Each switch has one, independent of the others. While the switch is away, its commands wait in the stream, held and not
acknowledged; when it is back, first everything is put back that ought to be there, then they are looked at again. On a
switch that comes back empty the entries of active pairs come before those that let overlay packets pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import structlog
from ezpath.answers import Installed, to_document
from ezpath.bus import Bus, BusError, Delivery, Saying
from ezpath.condition import Condition
from ezpath.desired import Desired
from ezpath.events import StepReport, SwitchCommand, SwitchTables
from ezpath.inventory import Inventory, Switch
from ezpath.items import SwitchItem, asked
from ezpath.leases import Deposed
from ezpath.leases.writers import take_place
from ezpath.metrics import WriterMetrics
from ezpath.tls import TlsFiles
from ezpath.tracing import Exchange

from ezpath_switch_writer.base import base_entries
from ezpath_switch_writer.guard import Guards
from ezpath_switch_writer.program import Program
from ezpath_switch_writer.session import NotReady, Session, first_election_id
from ezpath_switch_writer.wanted import Wanted, Word
from ezpath_switch_writer.wave import waves
from p4rt import Client, NotPrimary, P4RuntimeError

FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 5.0
STAND_BY = "standing by, and taking over when it ends. Is it EZPath's, `ezpath status` names it; if not, end it"
STANDBY_S = 1.0
"""How often a writer that is not the primary asks whether there still is one, seconds."""
SAY_EVERY_S = 10.0
BATCH = 512
PACE_S = 0.015
"""From one batch to the next, at least, seconds: a Write and a Read cost far more than an entry in them."""
AUDIT_S = 10.0
"""How often a switch is compared with what it ought to hold, seconds."""
KV_WAIT_S = 10.0
"""How long a switch that passes nothing yet waits for KV to say which pairs are offloaded through it, seconds."""

_SWITCH_IS_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.PERMISSION_DENIED,  # not the primary any more
        grpc.StatusCode.FAILED_PRECONDITION,  # no pipeline any more
    }
)


class SwitchWriter:
    """Runs until cancelled."""

    def __init__(
        self,
        switch: Switch,
        inventory: Inventory,
        program: Program,
        bus: Bus,
        *,
        audit_interval_s: float = AUDIT_S,
        kv_wait_s: float = KV_WAIT_S,
        term: int = 0,
        metrics: WriterMetrics | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        """``term``: of the lease of the switch."""
        self.target = f"switch:{switch.name}"
        self.in_sync = asyncio.Event()
        """Set while the switch is connected and has been brought to what it should be."""
        self.condition = Condition(self.target)
        self._metrics = metrics or WriterMetrics()
        self._metrics.watch(self.target)
        self._switch = switch
        self._tls = tls
        self._base = base_entries(inventory, switch.name)
        self._program = program
        self._bus = bus
        self._audit_interval_s = audit_interval_s
        self._kv_wait_s = kv_wait_s
        self._guards = Guards()
        self._wanted = Wanted(bus, self.target, self._guards)
        self._session: Session | None = None
        self._broken = asyncio.Event()
        self._lock = asyncio.Lock()
        self._election_id = first_election_id(term, time.time_ns() // 1_000_000)
        self._said: tuple[str, float] = ("", float("-inf"))
        self._log = structlog.get_logger().bind(switch=switch.name)

    async def run(self) -> None:
        """Until cancelled. Raises :class:`Deposed` where the switch has heard of a later term."""
        subject = f"ezpath.command.switch.{self._switch.name}"
        durable = f"switch-writer-{self._switch.name}"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            for keys in self._wanted.keys:
                tasks.create_task(self._watch_desired(keys))
            tasks.create_task(self._audit())
            tasks.create_task(self.condition.run(self._bus))
            start = await take_place(self._bus, durable)
            tasks.create_task(
                self._bus.consume(
                    durable, subject, SwitchCommand, self._on_commands, batch=BATCH, pace_s=PACE_S, start=start
                )
            )

    async def on_installed(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to :func:`ezpath.answers.ask_installed`."""
        return to_document(await self.installed())

    async def installed(self) -> Installed:
        """For whoever asks: what the switch holds at this moment, compared with what KV says it ought to hold."""
        if not self.in_sync.is_set():
            return Installed(self.target, time.time(), problem=self._why_not())
        async with self._lock:
            if self._session is None:
                return Installed(self.target, time.time(), problem=self._why_not())
            try:
                word = await self._wanted.ask()
                await self._session.refresh()
            except (P4RuntimeError, BusError) as error:
                return Installed(self.target, time.time(), problem=str(error))
            desired = word.desired if word else Desired[SwitchItem](0, frozenset())
            gap = self._session.compare(desired.items, self._base)
            generation = desired.generation if word else None
            return gap.told(self.target, time.time(), generation, len(desired.items))

    def _why_not(self) -> str:
        state = self.condition.told()
        return f"{state.state}: {state.reason}" if state.reason else state.state

    # ---- the switch ---------------------------------------------------------

    async def _stay_connected(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            wait_s = backoff_s
            try:
                async with self._connected() as session:
                    backoff_s = wait_s = FIRST_BACKOFF_S
                    await self._tell_tables(session)
                    self._log.info("switch in sync", address=self._switch.config.address, election_id=self._election_id)
                    reason = await self._until_lost(session)
                    self.condition.is_now("unreachable", reason)
                    self._complain("switch lost", reason)
            except NotPrimary as error:
                self.condition.is_now("standby", str(error))
                self._complain("another controller is primary", str(error), next=STAND_BY)
                wait_s = STANDBY_S
            except Deposed:
                raise
            except (P4RuntimeError, NotReady, BusError, OSError) as error:
                answers = isinstance(error, NotReady | BusError)
                self.condition.is_now("differs" if answers else "unreachable", str(error))
                self._complain("switch not in sync", str(error))
                backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
            await asyncio.sleep(wait_s)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Session]:
        config = self._switch.config
        async with Client(config.address, config.device_id, tls=self._tls) as tor:
            session = Session(tor, self._program, partial(self._metrics.repaired, self.target))
            # A new one each time: the switch may not have noticed yet that our last stream is gone.
            self._election_id = await session.become_primary(self._election_id + 1)
            async with self._lock:
                await session.ensure_pipeline()
                if session.lacks(self._base):
                    await self._items_first(session)
                # The overlay passes from here on, however long KV takes to answer.
                await session.ensure_base(self._base)
                await self._put_right(session, await self._word())
                self._session = session
            self._broken.clear()
            self.in_sync.set()
            try:
                yield session
            finally:
                self.in_sync.clear()
                self._session = None

    async def _until_lost(self, session: Session) -> str:
        """Wait until primacy, the connection or the switch's memory is gone, and say which."""
        demoted = asyncio.create_task(session.tor.wait_demoted())
        broken = asyncio.create_task(self._broken.wait())
        try:
            await asyncio.wait((demoted, broken), return_when=asyncio.FIRST_COMPLETED)
            return demoted.result() if demoted.done() else "a request failed; begun anew"
        finally:
            demoted.cancel()
            broken.cancel()

    # ---- what ought to be there ---------------------------------------------

    async def _items_first(self, session: Session) -> None:
        """On a switch that lacks its base configuration: what is offloaded through it, before anything else passes.

        Hosts go on sending tagged frames while it is away. Once the overlay passes these have to pass as well, or
        pairs would be lost whose neighbours are not. KV is given a while for its word, and not for ever: that would
        keep back traffic that needs none of it.
        """
        word = await self._wanted.within(self._kv_wait_s)
        if word is not None:
            await session.reconcile(word.desired, remove=word.whole)

    async def _put_right(self, session: Session, word: Word | None) -> None:
        """Everything that ought to be there by ``word``, and nothing of ours that ought not to."""
        await session.ensure_base(self._base)
        failures = await session.reconcile(word.desired, remove=word.whole) if word is not None else []
        for failure in failures:
            self._log.error("not reconciled", reason=failure, next=f"tried again in {self._audit_interval_s:g} s")
        self.condition.compared(len(word.desired.items) if word else 0, "; ".join(failures))

    async def _word(self) -> Word | None:
        """What KV says. Where it says nothing, nothing is known: the item tables are left alone.

        Where it does not answer, what was last known is put back; nothing is removed by an old word. Raises BusError
        where nothing was ever known.
        """
        try:
            word = await self._wanted.ask()
        except BusError as error:
            word = self._wanted.remembered()
            if word is None:
                raise
            self._complain("desired state not read", str(error), next="what was last known is put back")
        if word is None:
            self._complain("nothing is known about what should be installed", "", next="entries are left as they are")
        return word

    async def _watch_desired(self, keys: str) -> None:
        """Take note of each new document. Commands bring the switch there, unless the world began anew."""
        async for anew in self._wanted.changes(keys):
            if anew and self.in_sync.is_set():
                self._break("the desired state began anew")

    async def _audit(self) -> None:
        """Put right what nobody commanded: entries that went missing, or had no room when they were wanted."""
        while True:
            await asyncio.sleep(self._audit_interval_s)
            await self.in_sync.wait()
            session = self._session
            if session is None:
                continue
            try:
                # What takes long comes before the lock, for commands wait for that.
                await session.refresh()
                word = await self._word()
                async with self._lock:
                    if self._session is not session:
                        continue
                    await self._put_right(session, self._wanted.with_commands(word))
                await self._tell_tables(session)
                continue
            except (P4RuntimeError, NotReady) as error:
                self._complain("switch lost", str(error))
            except BusError as error:
                self._complain("switch not compared", str(error))
                continue
            if self._session is session:
                self._break("it could not be compared with what it ought to hold")

    async def _tell_tables(self, session: Session) -> None:
        """For the decider's budgets. Nobody waits for it, and the next one says the same."""
        tables = self.condition.tables = SwitchTables(self._switch.name, time.time(), session.occupancy())
        try:
            await self._bus.publish(tables)
        except BusError as error:
            self._log.warning("how full the tables are was not told", reason=str(error))

    def _break(self, reason: str) -> None:
        """Have the switch brought up again from the start."""
        self._log.info("switch brought up again", reason=reason)
        self.in_sync.clear()
        self._broken.set()

    # ---- commands -----------------------------------------------------------

    async def _on_commands(self, batch: list[Delivery[SwitchCommand]]) -> None:
        began = time.monotonic()
        mine: list[SwitchCommand] = []
        for delivery in batch:
            if delivery.event.switch == self._switch.name:
                mine.append(delivery.event)
            else:
                delivery.reject(f"switch: {delivery.event.switch}, on the subject of {self._switch.name}")
        reasons, exchange = await self._insist(mine)
        took_ms = (time.monotonic() - began) * 1e3
        self._metrics.carried_out(self.target, reasons, took_ms / 1e3)
        reports = [self._report(command, reason, took_ms) for command, reason in zip(mine, reasons, strict=True)]
        await self._bus.publish_all(Saying(report, exchange=exchange) for report in reports)
        for command, report in zip(mine, reports, strict=True):
            if not report.ok:
                self._log_failure(command, report)
        # One line for all of them, a thousand a second: each saga is named in it.
        sagas, failed = [command.saga for command in mine], sum(not report.ok for report in reports)
        self._log.info("commands carried out", sagas=sagas, took_ms=round(took_ms, 1), failed=failed)

    def _log_failure(self, command: SwitchCommand, report: StepReport) -> None:
        self._log.warning(
            "command failed",
            saga=command.saga,
            phase=command.phase,
            generation=command.generation,
            **asked(command.put, command.remove),
            reason=report.reason,
        )

    async def _insist(self, commands: Sequence[SwitchCommand]) -> tuple[list[str], Exchange]:
        """Carry out, as often as it takes until the switch has given an answer to all of them."""
        while True:
            await self.in_sync.wait()
            async with self._lock:
                if self._session is None or not self.in_sync.is_set():
                    continue
                began_at = time.time()
                try:
                    reasons = await self._carry_out(self._session, commands)
                    return reasons, Exchange(began_at, time.time(), len(commands))
                except P4RuntimeError as error:
                    self._complain("switch lost", str(error), next="commands are kept until it is back")
            self._break("a request failed")

    async def _carry_out(self, session: Session, commands: Sequence[SwitchCommand]) -> list[str]:
        """For each command why it failed, or nothing. Raises :class:`P4RuntimeError` for a switch that is away."""
        reasons = {}
        accepted = []
        for index, command in enumerate(commands):
            reasons[index] = self._guards.stale(command)
            if not reasons[index]:
                self._guards.record(command)
                accepted.append((index, command))
        places = iter(accepted)
        for wave in waves([command for _, command in accepted]):
            for verdict in await self._carry_out_wave(session, wave):
                reasons[next(places)[0]] = verdict
        return [reasons[index] for index in range(len(commands))]

    async def _carry_out_wave(self, session: Session, wave: Sequence[SwitchCommand]) -> list[str]:
        try:
            return await session.carry_out(wave)
        except P4RuntimeError as error:
            if error.code in _SWITCH_IS_AWAY:
                raise
            if len(wave) == 1:
                return [f"{error.code.name}: {error.answer}"]
        # One of them does not fit the program, and the batch was refused for it: find out which.
        return [(await self._carry_out_wave(session, [command]))[0] for command in wave]

    def _report(self, command: SwitchCommand, reason: str, took_ms: float) -> StepReport:
        return StepReport(
            saga=command.saga,
            pair=command.pair,
            generation=command.generation,
            phase=command.phase,
            target=self.target,
            ok=not reason,
            reason=reason,
            took_ms=round(took_ms, 3),
        )

    def _complain(self, what: str, reason: str, next: str = "tried again") -> None:
        """Say it at once, and an unchanged thing again only every few seconds."""
        now = time.monotonic()
        if what != self._said[0] or now - self._said[1] > SAY_EVERY_S:
            self._said = (what, now)
            self._log.warning(what, reason=reason, next=next)
