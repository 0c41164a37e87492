"""One host, for as long as the service runs: keep connected, carry out commands, keep the rules as they ought to be.

A host that cannot be reached is named, tried again, and holds up nobody else: each host has a worker of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog
from ezpath.answers import Installed, to_document
from ezpath.bus import Bus, BusError, Delivery, Saying
from ezpath.condition import Condition
from ezpath.desired import union
from ezpath.events import HostCommand, StepReport
from ezpath.inventory import Endpoint, Host, Inventory
from ezpath.items import asked
from ezpath.leases import Deposed
from ezpath.leases.writers import take_place
from ezpath.live import endpoints_of, follow_host
from ezpath.metrics import WriterMetrics
from ezpath.ovs import OvsError, OvsFenced, OvsRefused, OvsUnreachable, OvsUntrusted
from ezpath.ovs.reach import NO_TLS
from ezpath.tls import TlsFiles
from ezpath.tracing import Exchange

from ezpath_host_writer.book import Book, Entries
from ezpath_host_writer.compare import agrees, compare
from ezpath_host_writer.endpoints import needed
from ezpath_host_writer.host import HostOvs
from ezpath_host_writer.rules import items_of
from ezpath_host_writer.wanted import Documents, Wanted

FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 2.0
SAY_EVERY_S = 10.0
PACE_S = 0.015
"""From one batch to the next, at least, seconds: bundles and passes over the datapath cost far more than a rule."""


class HostWorker:
    """Made once for each host; :meth:`run` it."""

    def __init__(
        self,
        bus: Bus,
        host: Host,
        inventory: Inventory,
        audit_s: float,
        term: int = 0,
        metrics: WriterMetrics | None = None,
        tls: TlsFiles = NO_TLS,
    ) -> None:
        """``term``: of the lease of the host."""
        self.host = host
        self.target = f"host:{host.name}"
        self.condition = Condition(self.target)
        self.first_attempt = asyncio.Event()
        """Set when the host was connected, or could not be, for the first time."""
        self._tls = tls
        self._metrics = metrics or WriterMetrics()
        self._metrics.watch(self.target)
        self._bus = bus
        self._inventory = inventory
        self._endpoints: tuple[Endpoint, ...] = ()
        self._audit_s = audit_s
        self._term = term
        self._later_term = 0
        self._fenced = asyncio.Event()
        self._wanted = Wanted(bus, self.target)
        self._book: Book | None = None
        self._ovs: HostOvs | None = None
        self._why_not = f"host {host.name}: not connected yet"
        self._problems: set[str] = set()
        self._lock = asyncio.Lock()
        self._log = structlog.get_logger().bind(host=host.name)

    @property
    def connected(self) -> bool:
        return self._ovs is not None

    async def run(self) -> None:
        """Until cancelled. What is installed stays installed. Raises :class:`Deposed` where another has the host."""
        self._endpoints = await endpoints_of(self._bus, self._inventory, self.host.name)
        # No command before the desired state is known: it says which of the commands in the stream are old.
        desired = await self._wanted.insist()
        if desired:
            self._book = Book()
            for shard, document in desired.items():
                self._book.adopt(document, shard)
        name = self.host.name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_connected(), name=f"{name}-link")
            tasks.create_task(self._until_fenced(), name=f"{name}-fence")
            tasks.create_task(self._follow_endpoints(), name=f"{name}-endpoints")
            tasks.create_task(self.condition.run(self._bus), name=f"{name}-condition")
            await self.first_attempt.wait()
            commands = f"ezpath.command.host.{name}"
            durable = f"host-writer-{name}"
            start = await take_place(self._bus, durable)
            await self._bus.consume(durable, commands, HostCommand, self._on_commands, pace_s=PACE_S, start=start)

    async def on_installed(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to :func:`ezpath.answers.ask_installed`."""
        return to_document(await self.installed())

    async def installed(self) -> Installed:
        """For whoever asks: what the host holds at this moment, compared with what KV says it ought to hold."""
        if self._ovs is None:
            return Installed(self.target, time.time(), problem=self._why_not)
        async with self._lock:
            if self._ovs is None:
                return Installed(self.target, time.time(), problem=self._why_not)
            try:
                desired = await self._wanted.ask()
                found = await self._ovs.found()
            except (BusError, OvsError) as error:
                return Installed(self.target, time.time(), problem=str(error))
            whole = union(desired.values())
            gap = compare(whole.items, self._ovs.ports, found)
            return gap.told(self.target, time.time(), whole.generation if desired else None, len(whole.items))

    # ---- the connection ---------------------------------------------------

    async def _keep_connected(self) -> NoReturn:
        backoff, said, say_again = FIRST_BACKOFF_S, "", 0.0
        while True:
            try:
                await self._session()
            except OvsFenced as error:
                self._notice(error)
            except OvsError as error:
                self._why_not = self._words(error)
                self.condition.is_now("unreachable" if isinstance(error, OvsUnreachable) else "differs", self._why_not)
            except Exception as error:  # noqa: BLE001 - one host's surprise must not take the others down
                self._why_not = f"host {self.host.name}: {type(error).__name__}: {error}"
                self.condition.is_now("differs", self._why_not)
                self._log.error("host failed", exc_info=error)
            if self._ovs is not None:
                self._ovs, backoff, said = None, FIRST_BACKOFF_S, ""
            if self._why_not != said or time.monotonic() > say_again:
                self._log.warning("host not ready", reason=self._why_not, next="trying again until it is")
                said, say_again = self._why_not, time.monotonic() + SAY_EVERY_S
            self.first_attempt.set()
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    def _notice(self, error: OvsFenced) -> None:
        self._why_not = f"host {self.host.name}: {error}"
        self.condition.is_now("standby", self._why_not)
        self._later_term = max(self._later_term, error.term)
        self._fenced.set()

    async def _until_fenced(self) -> NoReturn:
        await self._fenced.wait()
        raise Deposed(self._why_not, self._later_term)

    def _words(self, error: OvsError) -> str:
        name = self.host.name
        if not isinstance(error, OvsUnreachable):
            return str(error)
        if isinstance(error, OvsUntrusted):
            return f"host {name}: Open vSwitch at {error}"
        return (
            f"host {name}: Open vSwitch is not reachable: {error}. "
            f"See that it runs, and that hosts.{name}.ovsdb and run_dir in the inventory are right"
        )

    async def _session(self) -> NoReturn:
        """From connecting to losing the connection, which is an :class:`OvsError` with the reason."""
        ovs = await HostOvs.connect(self.host, self._endpoints, self._term, self._tls)
        lost = asyncio.create_task(ovs.until_lost())
        try:
            async with self._lock:
                await self._reconcile(ovs)
                self._ovs = ovs
            self.first_attempt.set()
            while not lost.done():
                await self._wait_for_reason(ovs, lost)
                if not lost.done():
                    # Before the lock, for commands wait for that: what is older than one of them counts for nothing.
                    desired = await self._wanted.soon()
                    if not await self._is_right(ovs, desired):
                        async with self._lock:
                            await self._audit(ovs, desired)
            raise OvsUnreachable(lost.result())
        finally:
            lost.cancel()
            await ovs.close()

    async def _wait_for_reason(self, ovs: HostOvs, lost: asyncio.Task[str]) -> None:
        """Until there is something to look at: a change in the database, the next audit, or the end."""
        changed = asyncio.create_task(ovs.changed.wait())
        try:
            await asyncio.wait((changed, lost), timeout=self._audit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    async def _reconcile(self, ovs: HostOvs) -> None:
        """Install what is missing and remove what is surplus, by the newest desired state there is."""
        desired = await self._wanted.soon()
        if self._book is None:
            # Nobody says what ought to be here: what is here stays, until somebody does.
            installed = await ovs.installed()
            self._book = Book(items_of(installed.integration))
        for shard, document in desired.items():
            if not self._book.adopt(document, shard):
                self._log.debug("desired state is older than the last command", generation=document.generation)
        changed = await self._put_right(ovs) + await self._remove_strays(ovs)
        self._metrics.repaired(self.target, changed, len(self._problems))
        self._log.info("host ready", items=len(self._book.items), rules_changed=changed)

    async def _is_right(self, ovs: HostOvs, desired: Documents) -> bool:
        """Whether an audit would change anything: found out while commands go on, for it takes long.

        Where it would, or nobody can tell because of them, it is done with nobody else at work.
        """
        assert self._book is not None
        async with self._lock:  # all that is wanted now is there, unless something is wrong
            before = self._book.items
        if self._problems or any(self._book.is_news(document, shard) for shard, document in desired.items()):
            return False
        await ovs.put_up_fences()
        found = await ovs.found()
        if ovs.changed.is_set():
            return False
        after, ports = self._book.items, ovs.ports
        right = await asyncio.to_thread(agrees, before, after, ports, found)
        if right:
            self._metrics.repaired(self.target, 0, 0)
            self.condition.compared(len(after), "")
        return right

    async def _audit(self, ovs: HostOvs, desired: Documents) -> None:
        """Rules stay as they ought to be: whoever removes one, whatever port is renumbered, whatever was lost."""
        assert self._book is not None
        renumbered = await ovs.refresh()
        news = sum(self._book.hear(document, shard) for shard, document in desired.items())
        changed = await self._put_right(ovs) + await self._remove_strays(ovs)
        self._metrics.repaired(self.target, changed, len(self._problems))
        if changed:
            cause = "port numbers changed" if renumbered else "ezpath's rules were changed by somebody"
            cause = "the desired state says what no command had said" if news else cause
            self._log.warning("rules put back", rules_changed=changed, cause=cause)

    async def _put_right(self, ovs: HostOvs) -> int:
        """Bring the rules to what the book says. A refusal is said, and is no reason to let go of the host."""
        assert self._book is not None
        problems: set[str] = set()
        changed = 0
        try:
            changed = await ovs.apply(self._book.items)
        except OvsRefused as error:
            problems.add(str(error))
        problems.update(ovs.problems(self._book.items).values())
        for reason in sorted(problems - self._problems):
            self._log.warning("not installed", reason=reason)
        self._problems = problems
        self.condition.compared(len(self._book.items), "; ".join(sorted(problems)))
        return changed

    async def _remove_strays(self, ovs: HostOvs) -> int:
        """A bridge that refuses is no reason to let go of the host."""
        try:
            return await ovs.remove_strays()
        except OvsRefused as error:
            self._log.warning("rules of ezpath on a bridge where none belong stay", reason=str(error))
            return 0

    async def _follow_endpoints(self) -> None:
        """They come and go while the service runs, and the ports that rules need with them."""
        async for now in follow_host(self._bus, self.host.name):
            async with self._lock:
                self._endpoints = needed(now, self._endpoints, self._book.items if self._book else ())
                if self._ovs is not None:
                    self._ovs.learn(self._endpoints)
            self._log.debug("endpoints", count=len(now))

    # ---- commands ---------------------------------------------------------

    async def _on_commands(self, deliveries: list[Delivery[HostCommand]]) -> None:
        for delivery in deliveries:
            if delivery.event.host != self.host.name:
                delivery.reject(f"a command for host {delivery.event.host}, sent to {self.host.name}")
        commands = [delivery.event for delivery in deliveries if delivery.event.host == self.host.name]
        async with self._lock:
            began, began_at = time.perf_counter(), time.time()
            try:
                reasons = await self._carry_out(commands)
            except OvsFenced as error:
                self._notice(error)  # whoever has the host gets them again
                raise
            took_ms = (time.perf_counter() - began) * 1e3
        exchange = Exchange(began_at, began_at + took_ms / 1e3, len(commands)) if self._ovs is not None else None
        self._metrics.carried_out(self.target, reasons, took_ms / 1e3)
        answered = zip(commands, reasons, strict=True)
        reports = [self._report(command, reason, took_ms) for command, reason in answered]
        await self._bus.publish_all(Saying(report, exchange=exchange) for report in reports)

    def _report(self, command: HostCommand, reason: str, took_ms: float) -> StepReport:
        report = StepReport(
            command.saga, command.pair, command.generation, command.phase, self.target, not reason, reason, took_ms
        )
        log = self._log.info if report.ok else self._log.warning
        log(
            "command carried out" if report.ok else "command failed",
            saga=command.saga,
            phase=command.phase,
            generation=command.generation,
            took_ms=round(took_ms, 1),
            **({**asked(command.put, command.remove), "reason": reason} if reason else {}),
        )
        return report

    async def _carry_out(self, commands: list[HostCommand]) -> list[str]:
        """All of ``commands`` at once. For each of them, why it failed; empty where it is done and read back."""
        if self._book is None:
            return [self._why_not] * len(commands)
        before = self._book.snapshot()
        self._book.enter(commands)
        overtaken = [self._book.staleness(command) for command in commands]
        try:
            failed = await self._apply(commands, before)
        except OvsUnreachable as error:
            self._withdraw(commands, before)
            failed = [self._words(error)] * len(commands)
        except OvsError as error:
            if len(commands) > 1:
                # One of them spoils it for all: each for itself.
                self._book.restore(before)
                return [(await self._carry_out([command]))[0] for command in commands]
            self._withdraw(commands, before)
            if self._ovs is not None:
                await self._put_right(self._ovs)
            failed = [str(error)]
        return [stale or reason for stale, reason in zip(overtaken, failed, strict=True)]

    async def _apply(self, commands: list[HostCommand], before: Entries) -> list[str]:
        """Bring the rules to what the book says. Commands that cannot be carried out are withdrawn, with the reason."""
        assert self._book is not None
        if self._ovs is None:
            self._withdraw(commands, before)
            return [self._why_not] * len(commands)
        if self._ovs.changed.is_set():
            await self._ovs.refresh()
        await self._ovs.advance(self._book.snapshot())
        problems = self._ovs.problems(item for command in commands for item in command.put)
        reasons = ["; ".join(problems[item] for item in command.put if item in problems) for command in commands]
        impossible = [command for command, reason in zip(commands, reasons, strict=True) if reason]
        if impossible:
            self._withdraw(impossible, before)
            await self._ovs.advance(self._book.snapshot())
        return reasons

    def _withdraw(self, commands: list[HostCommand], before: Entries) -> None:
        """A failed command leaves nothing behind that it put. What cannot be undone now, the next audit undoes."""
        assert self._book is not None
        for command in commands:
            self._book.withdraw(command, before)
