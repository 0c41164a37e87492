"""The strategies that come with EZPath: who goes on the switches, who stays, who comes back, and why."""

from __future__ import annotations

import math

import numpy as np
import pytest
from decider_support import FullTable, Network
from ezpath.inventory import Inventory, parse
from ezpath_decider.allowance import BudgetRules
from ezpath_decider.budgets import Budgets
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Mask
from ezpath_decider.loading import StrategyError, bind, load, names
from ezpath_decider.pins import Lists, Paused
from ezpath_decider.strategy import Selection, fill
from network import NETWORK

P13, P14, P23, P24 = "red.red-1.red-3", "red.red-1.red-4", "red.red-2.red-3", "red.red-2.red-4"
BLUE = "blue.blue-1.blue-3"
RACK = "red.red-1.red-2"
MBIT = 1e6
LEVELS = {"enter_bps": 5e6, "enter_polls": 3, "exit_bps": 1e6, "idle_polls": 4}
ONE_FLOW = BudgetRules(entries=3, headroom=0.0)
"""A flow between racks needs three entries on each ToR."""


class TestThreshold:
    @pytest.fixture
    def network(self, inventory: Inventory) -> Network:
        return Network(inventory, "threshold", settings=LEVELS)

    def test_given_a_rate_that_holds_then_offload_once(self, network: Network) -> None:
        assert network.seconds(3, {P13: 6 * MBIT}) == [], "two rounds with a rate so far"
        assert network.second({P13: 6 * MBIT}) == [f"offload {P13}"]
        assert network.on_switch == {P13}
        assert network.seconds(10, {P13: 6 * MBIT}) == []

    def test_given_one_low_round_then_its_time_begins_anew(self, network: Network) -> None:
        network.seconds(3, {P13: 6 * MBIT})
        assert network.second({P13: 4 * MBIT}) == []
        assert network.seconds(2, {P13: 6 * MBIT}) == []
        assert network.second({P13: 6 * MBIT}) == [f"offload {P13}"]

    def test_given_rates_between_the_levels_then_everyone_stays_where_he_is(self, network: Network) -> None:
        network.seconds(4, {P13: 6 * MBIT, P24: 4 * MBIT})
        assert network.seconds(30, {P13: 2 * MBIT, P24: 4 * MBIT}) == []
        assert network.on_switch == {P13}

    def test_given_an_idle_flow_on_the_switches_then_revert(self, network: Network) -> None:
        network.seconds(5, {P13: 6 * MBIT})
        assert network.seconds(3, {}) == []
        assert network.second({}) == [f"revert {P13}"]

    def test_given_a_flow_long_idle_that_is_moved_by_hand_then_its_idle_time_begins_there(
        self, inventory: Inventory
    ) -> None:
        network = Network(inventory, "threshold", settings=LEVELS)
        network.seconds(20, {P13: 0.1 * MBIT})
        network.offload_by_hand(P13)
        assert network.seconds(3, {P13: 0.1 * MBIT}) == []
        assert network.second({P13: 0.1 * MBIT}) == [f"revert {P13}"]

    def test_given_a_silent_collector_then_no_flow_is_idle_or_busy(self, network: Network) -> None:
        network.seconds(5, {P13: 6 * MBIT})
        network.deaf = frozenset({"tor2"})
        assert network.seconds(30, {P24: 9 * MBIT}) == []
        network.deaf = frozenset()
        network.second({P24: 9 * MBIT})
        assert network.on_switch == {P13}

    def test_given_a_dwell_then_at_least_so_long_on_the_switches(self, inventory: Inventory) -> None:
        network = Network(inventory, "threshold", settings={**LEVELS, "dwell_s": 20.0})
        network.seconds(4, {P13: 6 * MBIT})
        assert network.seconds(19, {}) == []
        assert network.seconds(2, {}) == [f"revert {P13}"]

    def test_given_room_for_one_then_the_busier_goes_and_nobody_is_put_out(self, inventory: Inventory) -> None:
        network = Network(inventory, "threshold", settings=LEVELS, budget=ONE_FLOW)
        assert network.seconds(4, {P13: 6 * MBIT, P24: 9 * MBIT}) == [f"offload {P24}"]
        assert network.seconds(20, {P13: 60 * MBIT, P24: 9 * MBIT}) == []
        assert network.reason(P13) == "no room in a ToR's budget"

    def test_the_reason_names_the_rate_and_the_levels(self, network: Network) -> None:
        network.seconds(4, {P13: 6 * MBIT, P24: 2 * MBIT})
        levels = "in from 5 for 3 polls on, out below 1 for 4 polls"
        assert network.reason(P13) == "busy: 6.00 Mbit/s, at least 5 for 3 polls"
        assert network.reason(P24) == f"2.00 Mbit/s: {levels}"
        network.second({P13: 6 * MBIT})
        assert network.reason(P13) == f"6.00 Mbit/s: {levels}"
        network.seconds(4, {})
        assert network.reason(P13) == "idle: 0.00 Mbit/s, below 1 for 4 polls"

    def test_given_levels_the_wrong_way_round_then_refused(self, inventory: Inventory) -> None:
        network = Network(inventory, "threshold", settings={"enter_bps": 1.0, "exit_bps": 2.0})
        with pytest.raises(StrategyError, match="exit_bps 2 is above enter_bps 1"):
            network.engine.trial()


class TestTopk:
    def test_given_room_for_one_then_whoever_is_busiest_now(self, inventory: Inventory) -> None:
        network = Network(inventory, "topk", budget=ONE_FLOW)
        assert network.seconds(2, {P13: 5 * MBIT, P24: 4 * MBIT}) == [f"offload {P13}"]
        moves = network.seconds(6, {P13: 5 * MBIT, P24: 6 * MBIT})
        assert moves == [f"revert {P13}", f"offload {P24}"]

    def test_given_at_most_one_then_one(self, inventory: Inventory) -> None:
        network = Network(inventory, "topk", settings={"most": 1})
        assert network.seconds(3, {P13: 5 * MBIT, P24: 4 * MBIT}) == [f"offload {P13}"]


class TestValue:
    def network(self, inventory: Inventory, **options: object) -> Network:
        settings = {"stickiness": 0.5, **options.pop("settings", {})}  # type: ignore[dict-item]
        return Network(inventory, "value", settings=settings, **options)  # type: ignore[arg-type]

    def test_given_two_that_share_entries_then_they_go_before_one_that_is_busier(self, inventory: Inventory) -> None:
        """Six entries on each ToR hold the busiest and the next busiest, or the busiest and two that share with it."""
        rates = {P13: 8 * MBIT, BLUE: 6 * MBIT, P14: 5 * MBIT, P23: 5 * MBIT}
        budget = BudgetRules(entries=6, headroom=0.0)
        by_rate, by_value = Network(inventory, "topk", budget=budget), self.network(inventory, budget=budget)
        by_rate.seconds(20, rates)
        by_value.seconds(20, rates)
        assert by_rate.on_switch == {P13, BLUE} and by_value.on_switch == {P13, P14, P23}

    def test_given_flows_that_swing_around_each_other_then_nobody_moves(self, inventory: Inventory) -> None:
        network = self.network(inventory, budget=ONE_FLOW)
        network.seconds(30, {P13: 6 * MBIT, P24: 5 * MBIT})
        assert network.on_switch == {P13}
        moves: list[str] = []
        for second in range(200):
            swing = 1.1 * math.sin(second / 10)
            moves += network.second({P13: (6 + swing) * MBIT, P24: (6 - swing) * MBIT})
        assert moves == []

    def test_given_a_jump_then_it_is_believed_in_seconds_and_swings_are_not(self, inventory: Inventory) -> None:
        network = self.network(inventory, budget=ONE_FLOW, half_life_s=30.0)
        assert network.seconds(20, {P13: 6 * MBIT, P24: 5 * MBIT}) == [f"offload {P13}"]
        swings = [(12.0 if second % 2 else 1.0) * MBIT for second in range(60)]
        assert [move for rate in swings for move in network.second({P13: 6 * MBIT, P24: rate})] == []
        moves = network.seconds(15, {P13: 6 * MBIT, P24: 25 * MBIT})
        assert moves == [f"revert {P13}", f"offload {P24}"]

    def test_given_one_that_is_better_for_good_then_it_takes_the_place(self, inventory: Inventory) -> None:
        network = self.network(inventory, budget=ONE_FLOW)
        network.seconds(30, {P13: 6 * MBIT, P24: 5 * MBIT})
        assert network.seconds(60, {P13: 6 * MBIT, P24: 30 * MBIT}) == [f"revert {P13}", f"offload {P24}"]

    def test_given_importance_then_it_counts_like_traffic(self) -> None:
        text = NETWORK.replace("host: h12, interface: red2}", "host: h12, interface: red2, importance: 3}")
        network = self.network(parse(text), budget=ONE_FLOW)
        network.seconds(30, {P13: 6 * MBIT, P24: 3 * MBIT})
        assert network.on_switch == {P24}

    def test_given_kinds_that_the_policy_weighs_then_they_count(self) -> None:
        text = NETWORK.replace("host: h11, interface: red1}", "host: h11, interface: red1, kind: batch}")
        network = self.network(parse(text), budget=ONE_FLOW, kinds={"batch": 0.1})
        network.seconds(30, {P13: 6 * MBIT, P24: 3 * MBIT})
        assert network.on_switch == {P24}

    def test_given_packets_or_bytes_then_what_is_asked_for_counts(self, inventory: Inventory) -> None:
        # all packets are of one size here: both agree, and both are known
        for per in ("packets", "bytes"):
            network = self.network(inventory, budget=ONE_FLOW, settings={"per": per})
            network.seconds(10, {P13: 6 * MBIT, P24: 3 * MBIT})
            assert network.on_switch == {P13}

    def test_given_silence_then_it_comes_back(self, inventory: Inventory) -> None:
        network = self.network(inventory)
        network.seconds(10, {P13: 6 * MBIT})
        assert network.seconds(120, {}) == [f"revert {P13}"]

    def test_given_a_trickle_then_it_is_not_worth_an_entry(self, inventory: Inventory) -> None:
        network = self.network(inventory, settings={"floor": 100.0})
        assert network.seconds(60, {P13: 0.5 * MBIT}) == []
        assert "in from 100 packets/s on" in network.reason(P13)


class TestLists:
    def test_given_always_then_it_goes_at_once_idle_or_not_and_before_all_others(self, inventory: Inventory) -> None:
        lists = Lists(always=("red.red-4.red-2",))
        for strategy in ("threshold", "topk", "value", "pinned"):
            network = Network(inventory, strategy, budget=ONE_FLOW, lists=lists)
            decided = network.seconds(30, {P13: 50 * MBIT})
            assert decided == [f"offload {P24}"], strategy
            assert network.on_switch == {P24}

    def test_given_always_and_no_room_then_the_others_make_room(self, inventory: Inventory) -> None:
        network = Network(inventory, "topk", budget=ONE_FLOW)
        network.seconds(3, {P13: 50 * MBIT})
        network.list(Lists(always=(P24,)))
        assert network.seconds(6, {P13: 50 * MBIT}) == [f"revert {P13}", f"offload {P24}"]

    @pytest.mark.parametrize("strategy", ["threshold", "topk", "value"])
    def test_given_deny_then_never_and_what_is_there_comes_back(self, inventory: Inventory, strategy: str) -> None:
        network = Network(inventory, strategy)
        network.seconds(6, {P13: 50 * MBIT, BLUE: 50 * MBIT})
        assert network.on_switch == {P13, BLUE}
        network.list(Lists(deny=("red.*.red-3",)))
        assert network.seconds(20, {P13: 50 * MBIT, BLUE: 50 * MBIT}) == [f"revert {P13}"]

    @pytest.mark.parametrize("strategy", ["threshold", "topk", "value"])
    def test_given_allow_then_nobody_else(self, inventory: Inventory, strategy: str) -> None:
        network = Network(inventory, strategy, lists=Lists(allow=("red.red-?.red-4",)))
        network.seconds(6, {P13: 50 * MBIT, P14: 50 * MBIT, BLUE: 50 * MBIT})
        assert network.on_switch == {P14}

    def test_given_always_and_deny_then_deny(self, inventory: Inventory) -> None:
        network = Network(inventory, "pinned", lists=Lists(always=(P13,), deny=("*.*.*",)))
        assert network.seconds(5, {}) == []

    def test_given_pinned_then_nobody_else_however_busy(self, inventory: Inventory) -> None:
        network = Network(inventory, "pinned", lists=Lists(always=(P24,)))
        network.seconds(6, {P13: 50 * MBIT})
        assert network.on_switch == {P24}


class TestPaused:
    @pytest.mark.parametrize(
        "paused, moved",
        [
            (Paused(everywhere=True), set()),
            (Paused(racks=frozenset({"r2"})), {RACK}),
            (Paused(tenants=frozenset({"red"})), {BLUE}),
            (Paused(racks=frozenset({"r9"})), {P13, RACK, BLUE}),
        ],
    )
    def test_given_a_pause_then_nothing_it_covers_is_moved_either_way(
        self, inventory: Inventory, paused: Paused, moved: set[str]
    ) -> None:
        rates = {P13: 6 * MBIT, RACK: 6 * MBIT, BLUE: 6 * MBIT}
        network = Network(inventory, "threshold", settings=LEVELS)
        network.pause(paused)
        network.seconds(6, rates)
        assert network.on_switch == moved
        network.pause(Paused())
        network.seconds(6, rates)
        assert network.on_switch == set(rates), "resumed"
        network.pause(paused)
        network.seconds(10, {})
        assert network.on_switch == set(rates) - moved


class TestRoom:
    """Full tables: the better one gets in, nobody is asked in a loop, and the order of moves leaves no gap."""

    def test_given_headroom_then_the_better_one_arrives_before_the_worse_one_leaves(self, inventory: Inventory) -> None:
        network = Network(inventory, "value", budget=BudgetRules(entries=6, headroom=0.5))
        network.seconds(20, {P13: 6 * MBIT})
        assert network.on_switch == {P13}
        rates = {P13: 6 * MBIT, P24: 60 * MBIT}
        both = False
        moves: list[str] = []
        for _ in range(20):
            moves += network.second(rates)
            both |= network.on_switch == {P13, P24}
        assert moves == [f"offload {P24}", f"revert {P13}"] and both

    def test_given_no_headroom_then_the_worse_one_leaves_first_and_the_other_follows_when_it_is_gone(
        self, inventory: Inventory
    ) -> None:
        network = Network(inventory, "value", budget=ONE_FLOW)
        network.seconds(20, {P13: 6 * MBIT})
        most = 0
        moves: list[str] = []
        for _ in range(20):
            moves += network.second({P13: 6 * MBIT, P24: 60 * MBIT})
            most = max(most, network.held("tor1"))
        assert moves == [f"revert {P13}", f"offload {P24}"] and most == 3

    def test_given_a_quota_then_one_tenant_leaves_room_for_another(self, inventory: Inventory) -> None:
        budget = BudgetRules(entries=6, headroom=0.0, tenants={"red": 3})
        network = Network(inventory, "value", budget=budget)
        network.seconds(20, {P13: 60 * MBIT, P24: 50 * MBIT, BLUE: 1 * MBIT})
        assert network.on_switch == {P13, BLUE}
        assert network.reason(P24) == "over the tenant's quota"

    @pytest.mark.parametrize("strategy", ["threshold", "topk", "value"])
    def test_given_a_table_that_is_fuller_than_anybody_knows_then_no_loop_of_errors(
        self, inventory: Inventory, strategy: str
    ) -> None:
        network = Network(inventory, strategy, retry_after_s=1.0)
        network.refuse = full = FullTable("tor2", size=3)
        rates = {P13: 9 * MBIT, P14: 8 * MBIT, P23: 7 * MBIT, P24: 6 * MBIT, BLUE: 5 * MBIT}
        network.seconds(20, rates)
        soon = full.refusals
        network.seconds(600, rates)
        assert 0 < soon <= len(rates)
        assert full.refusals - soon <= 12, "asked again now and then in ten minutes"
        assert len(network.on_switch) >= 1

    def test_given_such_a_table_then_a_better_flow_still_gets_in(self, inventory: Inventory) -> None:
        network = Network(inventory, "value", retry_after_s=1.0)
        network.refuse = FullTable("tor2", size=2)
        network.seconds(20, {P13: 6 * MBIT})
        network.seconds(20, {P13: 6 * MBIT, P24: 12 * MBIT})
        network.seconds(100, {P13: 6 * MBIT, P24: 120 * MBIT})
        assert network.on_switch == {P24}

    def test_given_a_flow_that_was_rolled_back_then_it_rests_longer_each_time(self, inventory: Inventory) -> None:
        network = Network(inventory, "threshold", settings=LEVELS, retry_after_s=10.0)
        network.refuse = lambda command: "broken" if command.put else ""
        tries = []
        for second in range(200):
            if network.second({P13: 9 * MBIT}):
                tries.append(second)
        waits = np.diff(tries).tolist()
        assert waits[0] == 10 and waits[1] == 20 and waits[2] == 40 and waits[3] == 80

    def test_given_a_decision_that_no_saga_took_up_then_it_is_made_again(self, inventory: Inventory) -> None:
        network = Network(inventory, "topk")
        network.lose_decisions = True
        network.seconds(3, {P13: 9 * MBIT})
        network.lose_decisions = False
        assert network.seconds(10, {P13: 9 * MBIT}) == [f"offload {P13}"]


def greedy(candidates: Candidates, budgets: Budgets, current: Mask, *, gain: float = 1.0) -> Selection:
    everyone = np.ones(len(candidates), bool)
    return Selection(everyone, np.zeros(len(candidates), np.uint8), ("gimme",), candidates.bits_s * gain)


def broken(candidates: Candidates, budgets: Budgets, current: Mask) -> Selection:
    raise KeyError("nobody")


class TestPlugins:
    def test_all_four_are_found_by_name(self) -> None:
        assert {"pinned", "threshold", "topk", "value"} <= set(names())

    def test_given_a_name_that_nobody_has_then_those_that_there_are_are_said(self) -> None:
        with pytest.raises(StrategyError, match=r"no strategy is called 'best'. Give one of .*value"):
            load("best", {})

    @pytest.mark.parametrize(
        "settings, said",
        [
            ({"loudness": 1.0}, "has no setting 'loudness'. It knows per, stickiness, floor"),
            ({"floor": "much"}, "value: floor cannot be 'much'"),
            ({"floor": True}, "value: floor cannot be True"),
            ({"per": "frames"}, "value: per cannot be 'frames'"),
        ],
    )
    def test_given_a_setting_it_does_not_know_then_refused(self, settings: dict[str, object], said: str) -> None:
        with pytest.raises(StrategyError, match=said):
            load("value", settings)

    def test_given_a_whole_number_then_it_is_good_for_a_float(self) -> None:
        load("value", {"floor": 3})

    def test_given_a_setting_without_default_then_it_must_be_given(self) -> None:
        def mine(candidates: Candidates, budgets: Budgets, current: Mask, *, level: float) -> Selection:
            return fill(candidates, budgets, candidates.bits_s, wanted=candidates.bits_s > level)

        with pytest.raises(StrategyError, match="needs level"):
            bind("mine", mine, {})

    def test_given_a_strategy_that_wants_more_than_it_may_then_it_is_held_to_it(self, inventory: Inventory) -> None:
        network = Network(inventory, bind("greedy", greedy, {}), budget=ONE_FLOW, lists=Lists(deny=(P13,)))
        rates = {P13: 90 * MBIT, P14: 7 * MBIT, P24: 8 * MBIT}
        network.seconds(10, rates)
        assert network.on_switch == {P24} and network.held("tor1") == 3
        assert network.reason(P24) == "gimme"
        assert "against the lists, the budgets or a pause" in network.reason(P13)

    def test_given_a_strategy_that_raises_then_everything_stays_where_it_is(self, inventory: Inventory) -> None:
        network = Network(inventory, "topk")
        network.seconds(3, {P13: 9 * MBIT})
        network.engine.strategy = broken
        assert network.seconds(5, {P24: 9 * MBIT}) == []
        assert network.on_switch == {P13} and network.last.fault == "KeyError: 'nobody'"
