"""The simulation: one data centre, one traffic, and each policy's own engine over it, round by round.

The engines are the service's. They share one series (what is measured does not depend on where it goes) and one book.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ezpath_decider.allowance import Allowance, BudgetRules
from ezpath_decider.book import NONE, Book
from ezpath_decider.budgets import I64, Budgets
from ezpath_decider.columns import F32, U64
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Engine
from ezpath_decider.loading import load
from ezpath_decider.pins import Pins
from ezpath_decider.places import ON_SWITCH
from ezpath_decider.series import Series
from ezpath_decider.sim.cells import Monitors
from ezpath_decider.sim.fabric import Delays, Fabric
from ezpath_decider.sim.network import Size, calls, places
from ezpath_decider.sim.policies import NAIVE, Future, Oracle, ideal, plain_threshold, static_topk
from ezpath_decider.sim.recorded import Recorded
from ezpath_decider.sim.tally import Tally
from ezpath_decider.sim.traffic import Second, Shape, Source, Traffic
from ezpath_decider.strategy import Strategy

ORACLE = "oracle"
IDEAL = "ideal"
"""Not a policy: what could be carried if moves took no time and cost nothing."""
EPOCH_S = 1000.0
"""When simulated time begins: not at zero, which means "never" to a series."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate."""

    size: Size = field(default_factory=Size)
    shape: Shape = field(default_factory=Shape)
    delays: Delays = field(default_factory=Delays)
    policies: Sequence[str] = ("value", "topk")
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Of strategies, by their name."""
    seconds: float = 180.0
    interval_s: float = 1.0
    budget: float = 0.05
    """Part of the entries that would hold all flows there could be, on each ToR."""
    half_life_s: float = 30.0
    level_packets_s: float = 200.0
    """Of the plain threshold."""
    warm_up_s: float = 60.0
    seed: int = 1


@dataclass(slots=True)
class Runner:
    """One policy at work."""

    engine: Engine
    fabric: Fabric
    tally: Tally
    future: Future | None = None


class Simulation:
    """``for _ in simulation.rounds(): …``, then :attr:`tallies`."""

    def __init__(self, plan: Plan, recorded: Recorded | None = None) -> None:
        """``recorded`` instead of the plan's own network and traffic."""
        self.plan = (
            plan
            if recorded is None
            else replace(plan, interval_s=recorded.interval_s, seconds=min(plan.seconds, recorded.seconds))
        )
        self._source: Source = recorded or synthetic(plan)
        self.directory = self._source.directory
        self.series = Series(self.directory, plan.half_life_s)
        self._book = Book(self.directory)
        self.entries = entries_of(self._source.all_flows(), self.directory)
        """That all flows would need, by ToR."""
        self.budget = np.maximum(1, (self.entries * plan.budget).astype(np.int64))
        self._monitors = Monitors(self.series, self.plan.interval_s)
        self.runners = [self._runner(policy) for policy in plan.policies if policy != IDEAL]
        self._ideal = Tally(IDEAL)

    @property
    def containers(self) -> int:
        source = self._source
        return len(source.tenant if isinstance(source, Traffic) else self.directory.names)

    @property
    def started_anew(self) -> int:
        """Containers, so far."""
        return self._source.moved if isinstance(self._source, Traffic) else 0

    @property
    def tallies(self) -> list[Tally]:
        tallies = [runner.tally for runner in self.runners]
        return [*tallies, self._ideal] if IDEAL in self.plan.policies else tallies

    def rounds(self) -> Iterator[float]:
        """Simulate. Yields the simulated seconds after each round."""
        futures = [runner.future for runner in self.runners if runner.future is not None]
        horizon = max((future.intervals for future in futures), default=0)
        ahead = deque(self._source.next() for _ in range(horizon))
        for number in range(1, int(self.plan.seconds / self.plan.interval_s) + 1):
            now = EPOCH_S + number * self.plan.interval_s
            ahead.append(self._source.next())
            second = ahead.popleft()
            self._carry(second, now)
            for future in futures:
                future.look(ahead, now)
            for sample in self._monitors.poll(second, now):
                self.series.add(sample, now)
            self.series.round(now)
            for runner in self.runners:
                self._decide(runner, now)
            yield now - EPOCH_S

    def _carry(self, second: Second, now: float) -> None:
        """What each policy's switches carried of this interval."""
        rows = self.series.rows_of(second.flows, now)
        everything = float(second.packets.sum(dtype=np.float64)), float(second.octets.sum(dtype=np.float64))
        for runner in self.runners:
            part = self._on_switch(runner, now)[rows]
            packets = float((second.packets * part).sum(dtype=np.float64))
            octets = float((second.octets * part).sum(dtype=np.float64))
            runner.tally.carried(now - EPOCH_S, (packets, octets), everything)
        if IDEAL in self.plan.policies:
            budgets = Budgets.of(self.directory)
            budgets.switches[:] = self.budget
            self._ideal.carried(now - EPOCH_S, ideal(second, self._book, budgets), everything)

    def _on_switch(self, runner: Runner, now: float) -> F32:
        """The part of the interval that each flow was on the switches."""
        part = np.zeros(self.series.rows.count, np.float32)
        places = runner.engine.places
        records, rows = places.beside(self.series)
        part[rows] = places.rows.state[records] == ON_SWITCH
        for at, flows in runner.fabric.settle(now):
            part[self.series.rows_of(flows, now)] = (now - at) / self.plan.interval_s
        return part

    def _decide(self, runner: Runner, now: float) -> None:
        fabric, tally = runner.fabric, runner.tally
        moves, refusals = fabric.moves, fabric.refusals
        began = time.perf_counter()
        decided = runner.engine.decide(now)
        tally.decide_s.append(time.perf_counter() - began)
        fabric.begin(decided, now)
        tally.moves.append(fabric.moves - moves)
        tally.refusals.append(fabric.refusals - refusals)
        tally.table_use.append(float(fabric.used.sum() / self.budget.sum()))
        if decided.fault:
            tally.faults.append(decided.fault)

    def _runner(self, policy: str) -> Runner:
        plan, directory = self.plan, self.directory
        strategy, future = self._strategy(policy)
        budget = BudgetRules(switches=dict(zip(directory.switches, self.budget.tolist(), strict=True)))
        engine = Engine(directory, strategy, Allowance(directory, budget), Pins(directory), plan.half_life_s)
        engine.series, engine.book = self.series, self._book
        engine.moves_per_round = max(engine.moves_per_round, int(self.budget.sum()) // 50)
        return Runner(engine, Fabric(engine, plan.delays), Tally(policy), future)

    def _strategy(self, policy: str) -> tuple[Strategy, Future | None]:
        plan = self.plan
        if policy.startswith(f"{ORACLE}-"):
            future = Future(self.series, _intervals(policy, plan.interval_s))
            delays = plan.delays
            return Oracle(future, (delays.revert_s + delays.offload_s) / plan.interval_s), future
        if policy in NAIVE:
            return NAIVE[policy], None
        if policy == "static-topk":
            return static_topk(plan.warm_up_s / 2), None
        if policy == "plain-threshold":
            return plain_threshold(plan.level_packets_s), None
        return load(policy, plan.settings.get(policy, {})), None


def _intervals(oracle: str, interval_s: float) -> int:
    """How far ahead ``oracle-SECONDS`` sees."""
    seconds = oracle.removeprefix(f"{ORACLE}-")
    if not seconds.isdecimal() or int(seconds) < interval_s:
        raise ValueError(f"{oracle} sees nothing: give whole seconds, an interval at least, such as {ORACLE}-20")
    return int(int(seconds) / interval_s)


def synthetic(plan: Plan) -> Traffic:
    """The plan's data centre, and what goes on in it."""
    rng = np.random.default_rng(plan.seed)
    directory, tenant = places(plan.size, rng)
    return Traffic(directory, calls(tenant, plan.size, rng), tenant, plan.shape, plan.interval_s, rng)


def entries_of(flows: U64, directory: Directory) -> I64:
    """Entries that each ToR needs for all of ``flows``."""
    book = Book(directory)
    needed = np.unique(book.entries(flows))
    return np.bincount(book.switch[needed[needed != NONE]], minlength=len(directory.switches)).astype(np.int64)
