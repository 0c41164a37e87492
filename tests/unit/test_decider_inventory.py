"""The decider's engine while endpoints come, go and move: histories stay, what moved is offloaded anew."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from decider_support import Network
from ezpath.inventory import Endpoint, Inventory, parse
from ezpath.names import EndpointName, HostName, Mac, PairId
from ezpath_decider.directory import directory_of, renumbered, succeed
from ezpath_decider.engine import Round
from ezpath_decider.loading import load
from ezpath_decider.pins import Paused
from ezpath_decider.policy import Policy
from ezpath_decider.recording import RecordedEngine, Tape, replay
from ezpath_decider.sagas import Standing
from hypothesis import given, settings
from hypothesis import strategies as st
from network import NETWORK

RED, OTHER, BLUE = "red.red-1.red-3", "red.red-2.red-4", "blue.blue-1.blue-3"
INVENTORY = parse(NETWORK)
BUSY = {RED: 20e6, OTHER: 20e6, BLUE: 20e6}


def endpoint(inventory: Inventory, called: str, /, **other: object) -> Endpoint:
    return replace(inventory.endpoints[EndpointName(called)], **other)  # type: ignore[arg-type]


def test_given_an_endpoint_that_moves_then_it_comes_back_and_goes_again_and_nobody_else_does(
    inventory: Inventory,
) -> None:
    network = Network(inventory)
    network.seconds(10, BUSY)
    assert network.on_switch == set(BUSY)
    network.change(endpoint(inventory, "red-1", host=HostName("h12")))
    assert network.on_switch == {OTHER, BLUE}
    decided = network.seconds(12, BUSY)
    assert decided == [f"offload {RED}"]
    assert network.on_switch == set(BUSY)
    sides = network.world.sagas[PairId(RED)].sides
    assert sides is not None and {side.host for side in sides} == {"h12", "h21"}


def test_given_an_endpoint_that_vanishes_then_its_flows_are_forgotten_and_others_keep_their_history(
    inventory: Inventory,
) -> None:
    network = Network(inventory)
    network.seconds(10, BUSY)
    rounds = network.engine.series.rows.rounds[0]
    network.change(gone=["red-1"])
    series, directory = network.engine.series, network.engine.directory
    names = {directory.pair_name(key) for key in series.rows.key[: series.rows.count]}
    assert names == {OTHER, BLUE}
    (row,) = series.find(np.array([directory.pair_key(PairId(OTHER))], np.uint64))
    assert series.rows.rounds[row] == rounds, "its history goes on"
    assert network.seconds(5, {OTHER: 20e6, BLUE: 20e6}) == []
    assert network.on_switch == {OTHER, BLUE}
    # and when it is back, it is somebody new
    network.change(endpoint(inventory, "red-1"))
    assert network.seconds(10, BUSY) == [f"offload {RED}"]


def test_given_a_new_endpoint_then_its_flows_are_seen(inventory: Inventory) -> None:
    network = Network(inventory)
    network.seconds(3, {OTHER: 20e6})
    new = endpoint(inventory, "red-1", name=EndpointName("a-first"), mac=Mac("02:00:00:00:00:77"), interface="x")
    network.change(new)
    network.seconds(8, {OTHER: 20e6, "red.a-first.red-3": 20e6})
    assert network.on_switch == {OTHER, "red.a-first.red-3"}


def test_given_another_importance_then_it_counts_at_once_and_nothing_moves(inventory: Inventory) -> None:
    network = Network(inventory)
    network.seconds(10, BUSY)
    network.change(endpoint(inventory, "red-1", importance=5.0))
    assert network.on_switch == set(BUSY)
    network.second(BUSY)
    key = network.engine.directory.pair_key(PairId(RED))
    (row,) = network.engine.series.find(np.array([key], np.uint64))
    assert network.last.candidates.importance[row] == 5.0


def test_given_budgets_then_entries_are_counted_at_the_new_place(inventory: Inventory) -> None:
    network = Network(inventory)
    network.seconds(10, {RED: 20e6})
    assert network.held("tor1") == network.held("tor2") == 3
    network.change(endpoint(inventory, "red-3", host=HostName("h12")))
    network.seconds(12, {RED: 20e6})
    assert (network.held("tor1"), network.held("tor2")) == (4, 0), "both in one rack: two endpoints, two tags"


def test_given_a_recording_then_changes_of_the_inventory_are_in_it_and_the_same_is_decided_again(
    inventory: Inventory,
) -> None:
    told = BytesIO()
    tape = Tape(told.write, directory_of(inventory))
    policy = Policy()

    class Taped(RecordedEngine):
        def round(self, now: float, *more: Any) -> Round:
            decided = super().round(now, *more)
            tape.decided(decided, now)
            return decided

    network = Network(inventory)
    network.engine = Taped(directory_of(inventory), load("threshold", {}), tape)
    policy.apply(network.engine, network.engine.strategy)
    network.standing = Standing(network.engine)
    tape.policy(policy, Paused())
    network.seconds(8, BUSY)
    network.change(endpoint(inventory, "red-1", host=HostName("h12")), gone=["blue-1"])
    network.seconds(10, {RED: 20e6, OTHER: 20e6})
    steps = list(replay(BytesIO(told.getvalue())))
    assert len(steps) == 18
    assert [decision.pair for step in steps for decision in step.live].count(RED) == 2, "there, and there anew"
    assert [step.difference() for step in steps] == [""] * 18


@given(st.sets(st.integers(0, 6)), st.sets(st.integers(0, 6)))
@settings(deadline=None)
def test_given_any_change_then_pairs_keep_their_ends_and_their_order(before: set[int], after: set[int]) -> None:
    inventory = INVENTORY
    everybody = list(inventory.endpoints.values())
    first = directory_of(inventory.with_endpoints(everybody[number] for number in sorted(before)))
    then = inventory.with_endpoints(everybody[number] for number in sorted(after, reverse=True))
    second, numbers = succeed(first, then)
    assert sorted(second.names) == sorted(then.endpoints)
    keys = np.array(
        [one << 32 | other for one in range(len(first.names)) for other in range(one + 1, len(first.names))], np.uint64
    )
    kept, renamed = renumbered(keys, numbers)
    for old, new in zip(keys[kept], renamed, strict=True):
        for shift in (32, 0):  # the smaller end stays the smaller one: directions are not swapped
            a, b = int(old) >> shift & 0xFFFFFFFF, int(new) >> shift & 0xFFFFFFFF
            assert first.names[a] == second.names[b]
    assert len(kept) == len(before & after) * (len(before & after) - 1) // 2
