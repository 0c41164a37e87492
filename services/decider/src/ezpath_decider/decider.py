"""A decider at work: what it hears, its rounds, what it asks for. Adapter around the pure engine, beside its leader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog
from ezpath.bus import BusError, Saying
from ezpath.events import (
    FlowSample,
    FlowsSnapshot,
    OffloadRequested,
    RevertRequested,
    SwitchTables,
    TargetState,
)
from ezpath.inventory import Inventory
from ezpath.names import HostName, PairId, Tenant
from ezpath.saga import Saga
from ezpath.saga import Settings as SagaSettings
from ezpath.service import Service

from ezpath_decider.allowance import Allowance
from ezpath_decider.book import TABLES
from ezpath_decider.controls import Controls
from ezpath_decider.directory import directory_of, succeed
from ezpath_decider.dryrun import Onlooker
from ezpath_decider.engine import Decision, Engine
from ezpath_decider.gone import Gone
from ezpath_decider.inventories import Inventories
from ezpath_decider.leader import Leader
from ezpath_decider.metrics import DeciderMetrics
from ezpath_decider.othersagas import OtherSagas
from ezpath_decider.paced import paced
from ezpath_decider.pins import Pins
from ezpath_decider.policyfile import PolicyFile
from ezpath_decider.questions import Questions
from ezpath_decider.recorder import Recorder
from ezpath_decider.recording import RecordedEngine, Tape
from ezpath_decider.rounds import Shown
from ezpath_decider.sagas import Standing
from ezpath_decider.sharing import Sharing
from ezpath_decider.term import Term
from ezpath_decider.underway import counts

FORGET_S = 10.0
GONE_AFTER_S = 10.0


def steady_clock() -> Callable[[], float]:
    """Unix time at the start, carried on by the monotonic clock: a jump of the wall clock moves no deadline."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


class Decider:
    """Rounds of deciding beside the saga keeper."""

    def __init__(
        self,
        service: Service,
        interval_s: float,
        policy: PolicyFile,
        saga: SagaSettings,
        shards: int = 1,
        dry_run: bool = False,
        record: Path | None = None,
        share_flows: bool = False,
        gone_after_s: float = GONE_AFTER_S,
    ) -> None:
        self._service = service
        self._interval_s = interval_s
        self._policy = policy
        self._clock = steady_clock()
        self._metrics = DeciderMetrics(service.registry)
        self.leader = Leader(
            service.bus,
            service.instance,
            shards,
            lambda shard, epoch, since: Term(
                service.bus,
                service.instance,
                shard,
                epoch,
                since,
                service.inventory,
                saga,
                self._clock,
                self._metrics.tell,
            ),
        )
        directory = directory_of(service.inventory)
        self._tape = None if record is None else Tape(Recorder(record).write, directory)
        self._engine = (
            Engine(directory, policy.strategy, Allowance(directory), Pins(directory))
            if self._tape is None
            else RecordedEngine(directory, policy.strategy, self._tape)
        )
        self._standing = Standing(self._engine)
        self._onlooker = Onlooker(service.bus, service.inventory, self._engine) if dry_run else None
        self._sharing = self._shares(policy.policy.half_life_s) if share_flows else None
        self._others = OtherSagas(service.bus, service.inventory) if share_flows and shards > 1 else None
        self._questions = Questions(service.bus, self._engine, self._tells, dry_run)
        self._controls = Controls(service.bus, self._engine, policy, service.inventory, self._decides)
        self._gone = Gone(gone_after_s)
        self._adopted = False
        self._rounds = asyncio.Lock()
        self._apply(policy)
        self._log = structlog.get_logger()

    def _shares(self, warm_up_s: float) -> Sharing:
        service = self._service
        return Sharing(service.bus, service.instance, self._engine, self._interval_s, warm_up_s, self._clock)

    async def run(self) -> None:
        bus = self._service.bus
        await self._controls.start()
        await self._questions.start()
        if self._sharing is not None:
            await self._sharing.start()
        self._service.sagas = lambda: counts(self.leader.sagas.values())
        await bus.subscribe_states(self._on_state)
        await bus.subscribe_samples(self._on_sample)
        await bus.subscribe_tables(self._on_tables)
        inventories = Inventories(self._service, lambda: self.leader.leads_first, self._adopt)
        await inventories.begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inventories.run())
            if self._onlooker is None:
                tasks.create_task(self.leader.run())
                await self.leader.ready.wait()
            else:
                await self._onlooker.start()
            leads = [str(shard) for shard in self.leader.shards]
            self._service.ready(strategy=self._policy.policy.strategy, interval_s=self._interval_s, leads=leads)
            tasks.create_task(self._controls.run())
            if self._others is not None:
                tasks.create_task(self._others.run())
            tasks.create_task(self._every(self._interval_s, self._round))
            tasks.create_task(self._every(FORGET_S, self._forget))

    def _adopt(self, inventory: Inventory) -> None:
        """Pairs whose ends moved come back at once; the rounds take it up when the next one begins."""
        self.leader.adopt(inventory)
        self._adopted = True

    async def _take_up_inventory(self) -> None:
        if not self._adopted:
            return
        self._adopted = False
        inventory = self._service.inventory
        # With many endpoints it takes a while, and leases have to be renewed meanwhile.
        directory, numbers = await asyncio.to_thread(succeed, self._engine.directory, inventory)
        self._controls.inventory = inventory
        self._standing.adopt(directory, numbers)
        if self._sharing is not None:
            self._sharing.adopt(directory, numbers)

    async def _on_sample(self, sample: FlowSample) -> None:
        if sample.switch not in self._service.inventory.switches:
            self._log.warning("sample of a switch that is not in the inventory", switch=sample.switch)
        if self._sharing is not None:
            taken = self._sharing.sample(sample)
        else:
            taken = self._engine.sample(sample, self._clock())
        self._metrics.sample(sample.switch, taken)

    async def _on_tables(self, tables: SwitchTables) -> None:
        number = self._engine.directory.switch_number.get(tables.switch)
        if number is None:
            return
        ours = self._engine.entries_held()[number]
        self._metrics.held(tables.switch, ours)
        for use in tables.tables:
            if use.table in TABLES:
                # Who knows no sagas cannot tell whose entries they are: it is not to think them all somebody else's.
                held = int(ours[TABLES.index(use.table)]) if self._decides() else use.used
                self._engine.allowance.report(tables.switch, use.table, use.size, use.used, held)

    async def _on_state(self, state: TargetState) -> None:
        self._gone.hear(state, self._clock())

    async def _forget(self) -> None:
        async with self._rounds:  # what a round tells of stays in its place until it is told
            self._engine.forget(self._clock())
            if self._sharing is not None:
                self._sharing.forget()

    async def _every(self, seconds: float, work: Callable[[], asyncio.Future[None]] | Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await work()  # type: ignore[misc]
            due = max(due + seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _round(self) -> None:
        async with self._rounds:
            await self._decide()

    async def _decide(self) -> None:
        await self._take_up_inventory()
        self._reread_policy()
        self._heed_pauses_and_pins()
        now, sagas = self._clock(), self._sagas
        self._metrics.stand(self.leader.sagas.values(), len(self.leader.shards), now)
        self._standing.learn(sagas, now)
        if self._tape is not None:
            self._tape.policy(self._controls.with_pins(self._policy.policy), self._engine.pins.paused)
        if self._sharing is None:
            asked, decided = self._questions.asked, self._engine.round(now)
        elif self._decides():
            asked = self._questions.asked
            try:
                decided = await self._sharing.round(self._policy.policy.strategy, asked)
            except BusError as error:
                self._log.warning("nobody could be asked for the flows", reason=str(error), next="the next round")
                return
        else:
            self._sharing.rest()
            return
        if self._tape is not None:
            self._tape.decided(decided, now)
        if decided.fault:
            self._log.error("the strategy failed, everything stays where it is", reason=decided.fault)
        # All of one instant: whatever is awaited lets samples in.
        decisions, shown = list(decided.decisions()), Shown.of(decided.candidates)
        self._metrics.decided(decided, len(decided.candidates), self._clock() - now, now)
        await self._questions.after(decided, self._policy.policy.strategy, sagas, asked)
        if self._onlooker is not None:
            for decision in decisions:
                await self._onlooker.decided(decision, now)
            return
        gone = self._gone.hosts(now)
        ours = [each for each in (*decisions, *self._of_gone_hosts(sagas, now)) if self._tells(each.tenant)]
        in_vain = {
            each.pair for each in ours if each.what == "offload" and gone.intersection(self._hosts_of(each.pair))
        }
        await self._publish([each for each in ours if each.pair not in in_vain], now)
        if not self._decides():
            return  # whoever leads tells what it sees
        try:
            lines = tuple(line for line in await paced(shown.lines(sagas)) if self._tells(line.tenant))
            part = self.leader.part if self._sharing is None else ()  # one decider tells of all
            await self._service.bus.publish(FlowsSnapshot(now, lines, *part))
        except BusError as error:
            self._log.warning("flows not published", reason=str(error))

    @property
    def _sagas(self) -> Mapping[PairId, Saga]:
        """As far as they are known here."""
        if self._onlooker is not None:
            return self._onlooker.sagas
        if self._others is not None:
            # A copy: what changed since the last round is found by comparing.
            return {**self._others.sagas, **self.leader.sagas}
        return self.leader.sagas

    def _decides(self) -> bool:
        """Where the flows are shared, one decides for all: the leader of the first shard."""
        if self._sharing is None:
            return bool(self.leader.shards)
        return self.leader.leads_first

    def _tells(self, tenant: Tenant) -> bool:
        """Whether this decider decides about the tenant's flows."""
        return self._decides() if self._sharing is not None else self.leader.leads(tenant)

    def _of_gone_hosts(self, sagas: Mapping[PairId, Saga], now: float) -> Iterator[Decision]:
        for saga, reason in self._gone.to_revert(sagas.values(), now):
            yield Decision(saga.pair, saga.tenant, "revert", reason, 0.0)

    def _hosts_of(self, pair: PairId) -> frozenset[HostName]:
        known = self._service.inventory.pair_by_id(pair)
        return frozenset((known.a.host, known.b.host)) if known else frozenset()

    async def _publish(self, decisions: Sequence[Decision], now: float) -> None:
        try:
            await self._service.bus.publish_all(Saying(_request(decision, now)) for decision in decisions)
        except BusError as error:
            # The next round decides the same.
            self._log.warning("decisions not published", decisions=len(decisions), reason=str(error))
            return
        for decision in decisions:
            self._standing.asked(decision.pair, decision.what, now)
            self._metrics.asked(decision.what, decision.reason)
            self._log.info("decision", pair=decision.pair, what=decision.what, reason=decision.reason)

    def _reread_policy(self) -> None:
        try:
            changed = self._policy.reread(self._service.inventory, self._controls.policy)
        except ValueError as error:
            self._log.error("policy refused, the one before holds on", reason=str(error))
            return
        if changed:
            self._apply(self._policy)
            self._log.info(
                "policy changed", strategy=self._policy.policy.strategy, settings=self._policy.policy.settings
            )

    def _heed_pauses_and_pins(self) -> None:
        pins = self._engine.pins
        lists = self._controls.with_pins(self._policy.policy).flows.lists()
        if (lists, self._controls.paused) != (pins.lists, pins.paused):
            self._engine.pins = Pins(pins.directory, lists, self._controls.paused)

    def _apply(self, file: PolicyFile) -> None:
        file.policy.apply(self._engine, file.strategy)


def _request(decision: Decision, now: float) -> OffloadRequested | RevertRequested:
    if decision.what == "offload":
        return OffloadRequested(decision.pair, decision.tenant, decision.reason, decision.rate_bps, now)
    return RevertRequested(decision.pair, decision.tenant, decision.reason, now)
