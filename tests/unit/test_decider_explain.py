"""What is said of a flow: the strategy's word, what outdoes it, and the numbers behind it."""

from __future__ import annotations

import pytest
from decider_support import Network
from ezpath.accounts import Account, Need
from ezpath.cli.accounts import lines
from ezpath.events import decode, encode
from ezpath.names import PairId
from ezpath_decider.allowance import BudgetRules
from ezpath_decider.changes import KEPT_A_ROUND, Changes
from ezpath_decider.explain import Explainer
from ezpath_decider.lookup import UnknownFlow, find_flow
from ezpath_decider.pins import Lists, Paused

BUSY = {"red.red-1.red-3": 20e6}


def account(network: Network, pair: str) -> Account:
    flow = network.engine.directory.pair_key(PairId(pair))
    assert flow is not None
    return Explainer(network.engine, network.last, "threshold", network.world.sagas).account(flow)


def test_given_a_flow_that_moves_now_then_offload_with_its_reason(inventory):
    network = Network(inventory)
    while not network.second(BUSY):
        assert account(network, "red.red-1.red-3").verdict == "stays"
    told = account(network, "red.red-1.red-3")
    assert (told.where, told.verdict, told.reason) == (
        "overlay",
        "offload",
        "busy: 20.00 Mbit/s, at least 5 for 3 polls",
    )
    assert told.traffic.history == (20e6, 20e6, 20e6)
    assert (told.standing.rank, told.standing.candidates, told.standing.settings["enter_bps"]) == (1, 1, 5e6)


def test_given_flows_that_share_an_endpoint_then_who_needs_what_and_with_whom(inventory):
    network = Network(inventory)
    network.seconds(6, {"red.red-1.red-3": 20e6, "red.red-1.red-4": 20e6})
    told = account(network, "red.red-1.red-3")
    assert told.where == "switch"
    assert [need for need in told.needs if need.switch == "tor1"] == [
        Need("tor1", "endpoint", "red-1", 1),
        Need("tor1", "endpoint", "red-3", 0),
        Need("tor1", "tenant_tag", "red on h11", 1),
    ]
    assert {(fill.switch, fill.of): (fill.held, fill.allowed) for fill in told.fills}["tor1", "all tables"] == (4, 1024)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("denied", "the operator's lists keep it off the switches"),
        ("paused", "paused: rack r1, tenant red"),
        ("deaf", "no fresh word from tor1 and tor2: it stays where it is"),
        ("refused", "rolled back lately: left alone for "),
        ("near", "both endpoints are on host h11: no tunnel, nothing to offload"),
        ("broken", "the strategy failed, everything stays where it is: ZeroDivisionError"),
    ],
)
def test_what_outdoes_the_strategy_is_said_in_its_place(inventory, how, said):
    network, pair = Network(inventory), "red.red-1.red-3"
    if how == "denied":
        network.list(Lists(deny=("red.*.*",)))
    elif how == "paused":
        network.pause(Paused(racks=frozenset({"r1"}), tenants=frozenset({"red"})))
    elif how == "refused":
        network.refuse = lambda command: "out of order" if command.put else ""
    elif how == "near":
        pair = "red.red-1.red-5"
    network.seconds(5, {pair: 20e6})
    if how == "deaf":
        network.deaf = frozenset({"tor1", "tor2"})
        network.second({pair: 20e6})
    elif how == "broken":
        network.engine.strategy = lambda *_: 1 / 0  # type: ignore[assignment]
        network.second({pair: 20e6})
    assert account(network, pair).reason.startswith(said)


def test_given_a_budget_that_is_full_then_the_reason_and_the_quota_say_so(inventory):
    network = Network(inventory, budget=BudgetRules(entries=100, tenants={"red": 3}))
    network.seconds(6, {"red.red-1.red-3": 20e6, "red.red-2.red-4": 10e6})
    told = account(network, "red.red-2.red-4")
    assert told.reason == "over the tenant's quota"
    assert {fill.of: (fill.held, fill.allowed) for fill in told.fills if fill.switch == "tor1"}["tenant red"] == (3, 3)


def test_a_flow_that_was_never_seen_has_needs_and_no_rates(inventory):
    network = Network(inventory)
    network.second(BUSY)
    told = account(network, "blue.blue-1.blue-3")
    assert told.reason == "no traffic of it was ever seen" and told.traffic is None and len(told.needs) == 6


def test_every_account_can_be_sent_and_read(inventory):
    network = Network(inventory, "value")
    for _ in range(8):
        network.second({**BUSY, "red.red-2.red-4": 1e6})
        for pair in ("red.red-1.red-3", "red.red-2.red-4", "blue.blue-1.blue-3"):
            told = account(network, pair)
            assert decode(encode(told)) == told
            assert next(iter(lines(told))).startswith(pair)


# ---- records --------------------------------------------------------------


def test_only_changes_are_recorded_the_moves_first(inventory):
    network, recorder = Network(inventory), Changes()
    kept: list[list[str]] = []
    for second in range(20):
        network.second({"red.red-1.red-3": 20e6 if second < 10 else 0.0, "red.red-2.red-4": 1e6})
        kept.append([network.engine.directory.pair_name(flow) for flow in recorder.changed(network.last)])
    changes = [second for second, flows in enumerate(kept) if flows]
    assert {flow for flows in kept for flow in flows} == {"red.red-1.red-3"}, "the other one never came near"
    assert len(changes) <= 6, "asked for, on the switches, asked back, back: not each round"


def test_a_round_records_no_more_than_it_may(inventory):
    network, recorder = Network(inventory), Changes()
    network.seconds(4, BUSY)
    assert len(recorder.changed(network.last)) <= KEPT_A_ROUND
    assert recorder.changed(network.last) == [] or network.last.moves.offload.size, "said already"


# ---- names ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["red.red-1.red-3", "red.red-3.red-1", "red-1.red-3", "red-3.red-1"])
def test_a_flow_has_one_key_however_it_is_called(inventory, name):
    directory = Network(inventory).engine.directory
    assert find_flow(name, directory) == directory.pair_key(PairId("red.red-1.red-3"))


def test_names_that_are_near_are_named(inventory):
    with pytest.raises(UnknownFlow, match="tenant red has no endpoint red-33") as caught:
        find_flow("red.red-1.red-33", Network(inventory).engine.directory)
    assert "red-3" in caught.value.near
