"""Several deciders that share the counting decide what a single one would, whatever happens, however many they are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from decider_support import Network
from ezpath.events import FlowSample, MalformedEvent
from ezpath.inventory import Inventory
from ezpath_decider import counting
from ezpath_decider.allowance import BudgetRules
from ezpath_decider.counting import Counting
from ezpath_decider.directory import directory_of
from ezpath_decider.engine import Round
from ezpath_decider.gathering import ABSENT_ROUNDS, ASKED_FIRST, Gathering
from ezpath_decider.parts import Order, Part
from ezpath_decider.pins import Lists, Paused
from ezpath_decider.share import PARTS, assignment, parts_of_flows
from ezpath_decider.strategies import value
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

HEAD_START = ASKED_FIRST + 2
"""Seconds until all know who counts what, and where the counters stand."""


class Shared(Network):
    """The same network, whose flows are counted by several. What they say goes through bytes."""

    def __init__(self, inventory: Inventory, strategy: str, members: int, warm_up_s: float = 0.0, **more: Any) -> None:
        super().__init__(inventory, strategy, **more)
        self.strategy = strategy
        self.gathering = Gathering(self.engine, "one-0", warm_up_s)
        self.counting = {
            f"one-{number}": Counting(f"one-{number}", directory_of(inventory)) for number in range(members)
        }
        self.silent: set[str] = set()
        self.sent = 0

    def count(self, sample: FlowSample) -> None:
        for each in self.counting.values():
            each.sample(sample, self.now)

    def decide(self) -> Round:
        order = self.gathering.order(self.strategy, self.now).encode()
        parts = {
            name: Part.decode(each.answer(Order.decode(order), self.now).encode())
            for name, each in self.counting.items()
            if name not in self.silent
        }
        self.sent = sum(len(part.rows["vni"]) for part in parts.values())
        return self.gathering.decide(parts.values(), self.now)


PAIRS = [f"red.{a}.{b}" for a, b in combinations([f"red-{number}" for number in range(1, 6)], 2)] + [
    "blue.blue-1.blue-3"
]
RATES = (0.0, 0.0, 1e5, 2e6, 8e6, 8e6, 40e6)
"""Few, so that flows are often equal."""
POLICIES: Mapping[str, Mapping[str, object]] = {
    "threshold": {"enter_polls": 2, "idle_polls": 2},
    "topk": {},
    "topk, the first two": {"most": 2, "floor": 10.0},
    "value": {"stickiness": 0.1},
    "value, by bytes": {"per": "bytes", "floor": 2e5},
    "pinned": {},
}

second = st.fixed_dictionaries(
    {},
    optional={
        "rates": st.lists(st.sampled_from(RATES), min_size=len(PAIRS), max_size=len(PAIRS)),
        "deaf": st.sampled_from(["tor1", "tor2"]),
        "restart": st.just(True),
        "by_hand": st.sampled_from(PAIRS),
        "pause": st.sampled_from([Paused(), Paused(racks=frozenset({"r1"})), Paused(tenants=frozenset({"blue"}))]),
        "lists": st.sampled_from([Lists(), Lists(always=("red.red-1.red-4",)), Lists(deny=("red.red-2.*",))]),
        "refuse": st.booleans(),
    },
)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    policy=st.sampled_from(sorted(POLICIES)),
    members=st.integers(1, 4),
    budget=st.sampled_from(
        [BudgetRules(entries=6), BudgetRules(entries=9), BudgetRules(tenants={"red": 5}), BudgetRules()]
    ),
    seconds=st.lists(second, min_size=8, max_size=25),
)
def test_several_decide_as_one_would(inventory, policy, members, budget, seconds):
    with pytest.MonkeyPatch.context() as patch:
        # as small as the network is: else everything would be sent
        patch.setattr(value, "LEAST_CONSIDERED", 2)
        patch.setattr(value, "CONSIDERED", 0.0)
        patch.setattr(counting, "SHOWN", 1)
        kind, about = policy.partition(",")[0], {"settings": POLICIES[policy], "budget": budget, "retry_after_s": 3.0}
        one, several = Network(inventory, kind, **about), Shared(inventory, kind, members, **about)
        networks, rates = (one, several), dict.fromkeys(PAIRS, 0.0)
        for _ in range(HEAD_START):
            assert not any(network.second({}) for network in networks)
        for what in seconds:
            rates = dict(zip(PAIRS, what["rates"], strict=True)) if "rates" in what else rates
            for network in networks:
                _happen(network, what)
            decided = [network.second(rates) for network in networks]
            assert decided[0] == decided[1], what
            assert list(one.last.decisions()) == list(several.last.decisions()), "in the same words"
            assert one.on_switch == several.on_switch
            known, told = _standing(one), _standing(several)
            assert told == {flow: known[flow] for flow in told}


def test_given_a_switch_that_restarts_then_whoever_counts_a_flow_that_is_past_its_old_count_knows_it_too(inventory):
    # given a flow that is slow at first, counted by somebody who counts little else
    one, several = Network(inventory, "pinned"), Shared(inventory, "pinned", 11)
    slow = "red.red-1.red-3"
    for network in (one, several):
        network.seconds(HEAD_START, {})
        network.seconds(3, {pair: 1e5 if pair == slow else 8e6 for pair in PAIRS})
        network.restart()
        network.second({pair: 40e6 if pair == slow else 2e6 for pair in PAIRS})
    # then its rate is what it sent since, all of it
    assert network.last.candidates.bits_s.max() == pytest.approx(40e6, rel=1e-3)
    assert _standing(several) == _standing(one)


def _happen(network: Network, what: Mapping[str, Any]) -> None:
    network.deaf = frozenset({what["deaf"]}) if "deaf" in what else frozenset()
    if "restart" in what:
        network.restart()
    if "by_hand" in what:
        network.offload_by_hand(what["by_hand"])
    if "pause" in what:
        network.pause(what["pause"])
    if "lists" in what:
        network.list(what["lists"])
    if "refuse" in what:
        network.refuse = (lambda command: "no" if command.put else "") if what["refuse"] else (lambda command: "")


def _standing(network: Network) -> dict[int, tuple[Any, ...]]:
    """All that is known and was decided of each flow."""
    candidates, selection = network.last.candidates, network.last.selection
    rows = np.arange(len(selection.chosen))
    columns = (
        candidates.state, candidates.bits_s, candidates.bits_mean, candidates.packets_mean, candidates.may,
        candidates.must, candidates.since_s, candidates.rounds_here(rows), selection.chosen, selection.why,
        selection.score, candidates.burstiness, candidates.age_s,
    )  # fmt: skip
    return {int(candidates.flow[row]): tuple(each[row].item() for each in columns) for row in rows}


# ---- what is sent -----------------------------------------------------------


@pytest.mark.parametrize("policy", ["threshold", "value", "topk"])
def test_only_flows_that_can_matter_are_sent(inventory, policy, monkeypatch):
    monkeypatch.setattr(value, "LEAST_CONSIDERED", 2)
    monkeypatch.setattr(value, "CONSIDERED", 0.0)
    monkeypatch.setattr(counting, "SHOWN", 1)
    more = {"settings": {"most": 1}} if policy == "topk" else {}
    network = Shared(inventory, policy, 1, budget=BudgetRules(entries=0), **more)
    network.seconds(12, {pair: 1e5 * (1 + number) for number, pair in enumerate(PAIRS)})
    assert 0 < network.sent < len(PAIRS) // 2


def test_what_is_no_order_and_no_part_is_refused():
    for data in (b"", b"\x00", b"\x80", Order("a", 1, 0.0, (), _choice(), {}, {}).encode()):
        with pytest.raises(MalformedEvent):
            Part.decode(data)


def _choice() -> Any:
    from ezpath_decider.parts import Choice

    return Choice()


# ---- who counts what ----------------------------------------------------------


def test_parts_are_divided_evenly_enough_and_stay_where_they_are():
    names = [f"decider-{number}" for number in range(4)]
    before = assignment(names)
    assert len(before) == PARTS and all(before.count(name) >= 6 for name in names)
    after = assignment(names[:3])
    moved = [part for part in range(PARTS) if before[part] != after[part]]
    assert all(before[part] == "decider-3" for part in moved), "only those of the one who left"


def test_each_flow_is_counted_once(inventory):
    network = Shared(inventory, "value", 3)
    network.seconds(HEAD_START + 3, dict.fromkeys(PAIRS, 8e6))
    assert sum(each.flows for each in network.counting.values()) == len(PAIRS)
    assert sum(each.flows > 0 for each in network.counting.values()) > 1


# ---- one of them dies -----------------------------------------------------------


def test_given_one_that_dies_then_its_flows_stay_and_another_takes_them_over_after_warming_up(inventory):
    # given flows on the switches, counted by three
    network = Shared(inventory, "value", 3, warm_up_s=5.0)
    rates = {pair: 8e6 for pair in PAIRS if pair != "red.red-1.red-5"}
    network.seconds(20, rates)
    there = set(network.on_switch)
    owners = dict(zip(range(PARTS), network.gathering.owners, strict=True))
    flows = network.engine.places.moved()
    victim = owners[int(parts_of_flows(flows, network.engine.directory)[0])]
    assert there and victim in network.counting
    # when one of them dies
    network.silent = {victim}
    decided = network.seconds(ABSENT_ROUNDS + 4, rates)
    # then nothing moves, though nothing was heard of its flows, and then little
    assert not decided and network.on_switch == there
    assert victim not in network.gathering.owners and victim not in network.gathering.members
    # when the others have counted its flows for long enough, and those are idle
    network.seconds(5, rates)
    idle = dict.fromkeys(rates, 0.0)
    network.seconds(60, idle)
    assert not network.on_switch


def test_given_a_flow_that_was_there_for_long_when_it_is_taken_over_then_its_past_is_no_rate(inventory):
    network = Shared(inventory, "topk", 2, warm_up_s=0.0)
    network.seconds(40, dict.fromkeys(PAIRS, 8e6))
    network.silent = {"one-1"}
    for _ in range(10):
        network.second(dict.fromkeys(PAIRS, 8e6))
        assert network.last.candidates.bits_s.max() < 9e6
