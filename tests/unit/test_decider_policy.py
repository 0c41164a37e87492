"""The decision: thresholds that hold, room on both ToRs, and no flapping."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.events import OffloadRequested
from ezpath.inventory import Inventory
from ezpath.names import PairId, SwitchName, Tenant
from ezpath.saga import Settings, World, step
from ezpath_decider.policy import PairView, PolicySettings, Streaks, decide
from ezpath_decider.rounds import entries_in_use, flow_lines, sightings, views
from ezpath_decider.series import Series
from saga_support import run_to_active

SETTINGS = PolicySettings(enter_bps=5e6, enter_polls=3, exit_bps=1e6, idle_polls=5, budget=8, retry_after_s=30)
TOR1, TOR2 = SwitchName("tor1"), SwitchName("tor2")
P1, P2 = PairId("red.a.b"), PairId("red.a.c")


def view(pair: PairId = P1, **changes: object) -> PairView:
    cost = {TOR1: frozenset({f"{pair}1", f"{pair}2", "tag"}), TOR2: frozenset({f"{pair}3"})}
    return replace(PairView(pair, 1e7, 3, 0, "overlay", cost), **changes)  # type: ignore[arg-type]


def decided(*given: PairView, held: dict[SwitchName, frozenset[object]] | None = None, now: float = 100) -> list[str]:
    return [f"{d.what} {d.pair}" for d in decide(given, held or {}, SETTINGS, now)]


def test_given_a_rate_that_held_then_offload() -> None:
    assert decided(view()) == ["offload red.a.b"]


@pytest.mark.parametrize(
    "changes",
    [{"busy_polls": 2}, {"state": "moving"}, {"state": "switch"}, {"failed_at": 80.0}],
    ids=["not long enough", "under way", "there already", "rolled back lately"],
)
def test_given_a_reason_against_it_then_no_offload(changes: dict[str, object]) -> None:
    assert decided(view(**changes)) == []


def test_given_a_rollback_long_ago_then_it_is_tried_again() -> None:
    assert decided(view(failed_at=70.0)) == ["offload red.a.b"]


def test_given_an_idle_pair_on_the_switches_then_revert() -> None:
    assert decided(view(state="switch", idle_polls=5, rate_bps=0)) == ["revert red.a.b"]
    assert decided(view(state="switch", idle_polls=4, rate_bps=0)) == []
    assert decided(view(state="moving", idle_polls=9, rate_bps=0)) == []


def test_given_room_for_one_then_the_busier_goes() -> None:
    full = {TOR1: frozenset(range(5))}
    assert decided(view(P1, rate_bps=6e6), view(P2, rate_bps=9e6), held=full) == ["offload red.a.c"]


def test_given_entries_that_others_hold_already_then_they_cost_nothing() -> None:
    held: dict[SwitchName, frozenset[object]] = {TOR1: frozenset({"tag", *range(5)})}
    assert decided(view(), held=held) == ["offload red.a.b"]
    assert decided(view(), held={TOR1: frozenset(range(6))}) == []


def test_given_a_full_peer_tor_then_no_offload() -> None:
    assert decided(view(), held={TOR2: frozenset(range(8))}) == []


class TestStreaks:
    def test_given_one_low_round_then_busy_begins_anew(self) -> None:
        streaks = Streaks(SETTINGS)
        for rate in (6e6, 6e6, 2e6, 6e6):
            streaks.round({P1: rate}, {P1})
        assert (streaks.busy[P1], streaks.idle[P1]) == (1, 0)

    def test_given_no_fresh_word_then_nothing_counts(self) -> None:
        streaks = Streaks(SETTINGS)
        streaks.round({P1: 0.0}, {P1})
        streaks.round({}, {P1})
        assert streaks.idle[P1] == 1

    def test_given_a_pair_long_silent_that_is_moved_by_hand_then_its_idle_time_begins_there(self) -> None:
        streaks = Streaks(SETTINGS)
        for _ in range(100):
            streaks.round({P1: 0.0}, ())
        streaks.round({P1: 0.0}, {P1})
        assert streaks.idle[P1] == 1


class TestRounds:
    def test_given_an_active_pair_that_no_monitor_holds_any_more_then_it_is_seen_as_silent(
        self, inventory: Inventory
    ) -> None:
        pair = PairId("red.red-1.red-3")
        world = run_to_active(inventory, pair)
        seen = sightings(Series(inventory), world, inventory)
        assert seen[pair].rate.bits_s == 0
        (only,) = views(seen, Streaks(SETTINGS), world, inventory)
        assert only.state == "switch"
        (line,) = flow_lines(seen, world, inventory)
        assert (line.where, line.phase, line.switches) == ("switch", "active", ("tor1", "tor2"))

    def test_given_a_pair_on_the_switches_then_a_pair_that_shares_an_end_costs_less(self, inventory: Inventory) -> None:
        world = run_to_active(inventory, PairId("red.red-1.red-3"))
        held = entries_in_use(world, inventory)
        assert {name: len(keys) for name, keys in held.items()} == {"tor1": 3, "tor2": 3}
        other, _ = step(
            world,
            OffloadRequested(PairId("red.red-1.red-4"), Tenant("red"), "", 0, 0),
            0,
            inventory,
            Settings(),
        )
        seen = sightings(Series(inventory), other, inventory)
        cost = {v.pair: v.cost for v in views(seen, Streaks(SETTINGS), other, inventory)}
        new = {switch: len(keys - held[switch]) for switch, keys in cost[PairId("red.red-1.red-4")].items()}
        assert new == {"tor1": 1, "tor2": 2}, "tag and local endpoint on tor1 are there; tor2 knows red-1 already"

    def test_given_a_pair_on_one_host_then_the_policy_never_sees_it(self, inventory: Inventory) -> None:
        series = Series(inventory)
        assert views(sightings(series, World(), inventory), Streaks(SETTINGS), World(), inventory) == []
