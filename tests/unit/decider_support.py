"""A network in small for tests of the decider's engine: traffic by the second, and sagas that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
from ezpath.events import FlowSample, HostCommand, OffloadRequested, RevertRequested, StepReport, SwitchCommand
from ezpath.inventory import Endpoint, Inventory
from ezpath.names import PairId, SwitchName, Tenant, mac_to_int
from ezpath.saga import InventoryChanged, SagaInput, Settings, Tick, World, step
from ezpath_decider.allowance import Allowance, BudgetRules
from ezpath_decider.directory import directory_of, succeed
from ezpath_decider.engine import Decision, Engine, Round
from ezpath_decider.loading import load
from ezpath_decider.pins import Lists, Paused, Pins
from ezpath_decider.sagas import Standing
from ezpath_decider.strategy import Strategy

PACKET = 1000
"""Bytes of every packet here."""
Refuse = Callable[[SwitchCommand], str]


class Network:
    """An engine, the sagas that carry out what it decides, and switches that count. One call of :meth:`second` each."""

    def __init__(
        self,
        inventory: Inventory,
        strategy: str | Strategy = "threshold",
        *,
        settings: Mapping[str, object] | None = None,
        budget: BudgetRules | None = None,
        lists: Lists | None = None,
        kinds: Mapping[str, float] | None = None,
        retry_after_s: float = 30.0,
        half_life_s: float = 5.0,
    ) -> None:
        self.inventory = inventory
        directory = directory_of(inventory)
        chosen = load(strategy, settings or {}) if isinstance(strategy, str) else strategy
        allowance = Allowance(directory, budget or BudgetRules())
        self.engine = Engine(
            directory,
            chosen,
            allowance,
            Pins(directory, lists or Lists()),
            half_life_s,
            retry_after_s,
            kinds=kinds or {},
        )
        self.standing = Standing(self.engine)
        self.world = World()
        self.saga = Settings(drain_s=1.0, quarantine_s=0.0)
        self.refuse: Refuse = lambda command: ""
        self.lose_decisions = False
        self.deaf: frozenset[str] = frozenset()
        """Switches of which nothing is heard."""
        self.now = 1000.0
        self.last: Round
        self._counted: dict[tuple[int, int, int], tuple[float, float]] = {}

    def offload_by_hand(self, pair: str) -> None:
        request = OffloadRequested(PairId(pair), Tenant(pair.partition(".")[0]), "operator", 0.0, self.now)
        self._give(request)

    def restart(self) -> None:
        """The switches start anew: their monitors are empty, and count from zero."""
        self._counted.clear()

    def change(self, *changed: Endpoint, gone: Collection[str] = ()) -> None:
        """The inventory changes: these endpoints came or are other than before, those are gone."""
        left = {name: endpoint for name, endpoint in self.inventory.endpoints.items() if name not in gone}
        self.inventory = self.inventory.with_endpoints({**left, **{each.name: each for each in changed}}.values())
        self.standing.adopt(*succeed(self.engine.directory, self.inventory))
        self._give(InventoryChanged())

    def list(self, lists: Lists) -> None:
        pins = self.engine.pins
        self.engine.pins = Pins(pins.directory, lists, pins.paused)

    def pause(self, paused: Paused) -> None:
        pins = self.engine.pins
        self.engine.pins = Pins(pins.directory, pins.lists, paused)

    def seconds(self, count: int, rates: Mapping[str, float]) -> list[str]:
        """All that was decided in so many seconds of the same traffic."""
        return [decision for _ in range(count) for decision in self.second(rates)]

    def second(self, rates: Mapping[str, float]) -> list[str]:
        """A second of traffic in bits a second by pair, then a round; its decisions are carried out at once."""
        self.now += 1
        for sample in self._samples(rates):
            self.count(sample)
        self._give(Tick())
        self.standing.learn(self.world.sagas, self.now)
        self.last = self.decide()
        decisions = list(self.last.decisions())
        for decision in decisions:
            self.standing.asked(decision.pair, decision.what, self.now)
        for decision in () if self.lose_decisions else decisions:
            self._give(_request(decision, self.now))
        return [f"{decision.what} {decision.pair}" for decision in decisions]

    def count(self, sample: FlowSample) -> None:
        self.engine.sample(sample, self.now)

    def decide(self) -> Round:
        return self.engine.round(self.now)

    def reason(self, pair: str) -> str:
        """What the last round says of a pair."""
        from ezpath_decider.reasons import words

        key = self.engine.directory.pair_key(PairId(pair))
        assert key is not None
        (row,) = self.engine.series.find(np.array([key], np.uint64))
        return words(self.last.selection, self.last.candidates, int(row))

    @property
    def on_switch(self) -> set[str]:
        return {pair for pair, saga in self.world.sagas.items() if saga.phase == "active"}

    def held(self, switch: str) -> int:
        """Entries that the engine counts as EZPath's on a switch."""
        return int(self.engine.entries_held()[self.engine.directory.switch_number[switch]].sum())

    def _give(self, event: SagaInput) -> None:
        """Move the sagas; writers answer at once, unless a switch refuses."""
        waiting: list[object] = [event]
        while waiting:
            self.world, events = step(self.world, waiting.pop(0), self.now, self.inventory, self.saga)  # type: ignore[arg-type]
            waiting += [self._answer(command) for command in events if isinstance(command, SwitchCommand | HostCommand)]

    def _answer(self, command: SwitchCommand | HostCommand) -> StepReport:
        on_switch = isinstance(command, SwitchCommand)
        target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
        reason = self.refuse(command) if on_switch else ""  # type: ignore[arg-type]
        return StepReport(command.saga, command.pair, command.generation, command.phase, target, not reason, reason)

    def _samples(self, rates: Mapping[str, float]) -> Iterator[FlowSample]:
        """Both ends of a pair send half of its rate."""
        for pair, bits in rates.items():
            ends = self.inventory.pair_by_id(PairId(pair))
            assert ends is not None, pair
            for one, other in ((ends.a, ends.b), (ends.b, ends.a)):
                flow = (ends.vni, mac_to_int(one.mac), mac_to_int(other.mac))
                octets, packets = self._counted.get(flow, (0.0, 0.0))
                self._counted[flow] = octets + bits / 16, packets + bits / 16 / PACKET
        for name in self.inventory.switches:
            if name not in self.deaf:
                cells = [(*flow, round(packets), round(octets)) for flow, (octets, packets) in self._counted.items()]
                columns = np.array(cells, np.uint64).reshape(-1, 5).T
                second = int(self.now)
                yield FlowSample(SwitchName(name), second, second * 10**9, second * 10**9, 1.0, *columns, collector="c")


def _request(decision: Decision, now: float) -> OffloadRequested | RevertRequested:
    if decision.what == "offload":
        return OffloadRequested(decision.pair, decision.tenant, decision.reason, decision.rate_bps, now)
    return RevertRequested(decision.pair, decision.tenant, decision.reason, now)


class FullTable:
    """A switch whose endpoint table holds only so many entries, as its writer would answer."""

    def __init__(self, switch: str, size: int) -> None:
        self.switch, self.size = switch, size
        self.refusals = 0
        self._entries: set[object] = set()

    def __call__(self, command: SwitchCommand) -> str:
        if command.switch != self.switch:
            return ""
        self._entries -= {item.key for item in command.remove if item.key[0] == "endpoint"}
        wanted = self._entries | {item.key for item in command.put if item.key[0] == "endpoint"}
        if len(wanted) > self.size:
            self.refusals += 1
            return f"RESOURCE_EXHAUSTED: table endpoint is full: {self.size} entries (INSERT endpoint[...])"
        self._entries = wanted
        return ""
