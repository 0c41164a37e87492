"""What the command line shows, and to whom: pure parts."""

from __future__ import annotations

import pytest
from ezpath.cli.filters import Filter
from ezpath.cli.lines import bit_rate, columns_of, duration, line
from ezpath.cli.parts import Parts
from ezpath.events import (
    DeadLetter,
    FlowLine,
    FlowsSnapshot,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)
from ezpath.items import TenantTag
from ezpath.names import PairId, Port, SwitchName, Tenant, VlanId, Vni
from ezpath.shards import Shard

RED = PairId("red.red-1.red-3")  # hosts h11 and h21, behind tor1 and tor2
RED_RACK = PairId("red.red-1.red-2")  # both behind tor1
BLUE = PairId("blue.blue-1.blue-3")


def decision(pair: PairId) -> OffloadRequested:
    return OffloadRequested(pair, Tenant(pair.split(".")[0]), "busy", 2.5e8, 1.0)


def outcome(pair: PairId, what: str = "active", reason: str = "") -> SagaOutcome:
    return SagaOutcome("s", pair, Tenant("red"), what, 1.0, 213.4, reason)  # type: ignore[arg-type]


def test_an_empty_filter_lets_everything_through():
    assert Filter().matches(decision(RED))
    assert Filter().matches(DeadLetter("s", "x", "r", "", 0, 0.0))


def test_by_tenant():
    wanted = Filter(tenants=["red"])
    assert wanted.matches(decision(RED))
    assert not wanted.matches(decision(BLUE))


def test_by_host_and_switch_through_the_inventory(inventory):
    assert Filter(hosts=["h21"], inventory=inventory).matches(decision(RED))
    assert not Filter(hosts=["h21"], inventory=inventory).matches(decision(RED_RACK))
    assert Filter(switches=["tor2"], inventory=inventory).matches(outcome(RED))
    assert not Filter(switches=["tor2"], inventory=inventory).matches(outcome(RED_RACK))


def test_values_of_one_kind_widen_and_kinds_narrow(inventory):
    wanted = Filter(tenants=["red"], hosts=["h12", "h21"], inventory=inventory)
    assert wanted.matches(decision(RED)) and wanted.matches(decision(RED_RACK))
    assert not wanted.matches(decision(BLUE))


def test_without_an_inventory_a_saga_says_where_its_pair_is():
    # Given a filter that knows no inventory
    wanted = Filter(switches=["tor2"])
    assert not wanted.matches(decision(RED))
    # When a step names its targets, that and what follows of the pair is shown
    assert wanted.matches(SagaStep("s", RED, Tenant("red"), 1, "switch-send", "requested", 1.0, 2.0, ("switch:tor2",)))
    assert wanted.matches(outcome(RED))
    assert not wanted.matches(outcome(RED_RACK))


def test_a_dead_letter_belongs_to_whom_its_subject_names():
    letter = DeadLetter("switch-writer", "ezpath.command.switch.tor1", "not JSON", "", 0, 0.0)
    assert Filter(switches=["tor1"]).matches(letter)
    assert not Filter(switches=["tor2"]).matches(letter)


def test_flows_are_filtered_by_their_switches():
    flow = FlowLine(RED, Tenant("red"), "red-1", "red-3", 1e6, 10, "overlay", None, ("tor1", "tor2"))
    assert Filter(switches=["tor1"]).matches_flow(flow)
    assert not Filter(tenants=["blue"]).matches_flow(flow)


def but(inventory=None, **named):  # type: ignore[no-untyped-def]
    wanted = Filter(inventory=inventory)
    wanted.leave_out(**named)
    return wanted


def test_what_is_left_out_is_left_out_whatever_else_is_asked_for(inventory):
    assert not but(tenants=["red"]).matches(decision(RED))
    assert but(tenants=["red"]).matches(decision(BLUE))
    assert not but(kinds=["saga-outcome"]).matches(outcome(RED))
    assert but(kinds=["saga-outcome"]).matches(decision(RED))
    assert not but(sagas=["s"]).matches(outcome(RED))
    assert not but(inventory, hosts=["h21"]).matches(decision(RED))
    assert but(inventory, hosts=["h21"]).matches(decision(RED_RACK))
    # each by itself: what is of blue, and what is on h21
    both = but(inventory, tenants=["blue"], hosts=["h21"])
    assert [both.matches(decision(pair)) for pair in (RED, RED_RACK, BLUE)] == [False, True, False]
    # and of what is asked for
    some = Filter(tenants=["red"], inventory=inventory)
    some.leave_out(endpoints=["red-2"])
    assert [some.matches(decision(pair)) for pair in (RED, RED_RACK, BLUE)] == [True, False, False]


def test_what_a_saga_says_of_where_its_pair_is_holds_for_what_is_left_out_too():
    wanted = but(switches=["tor2"])
    step = SagaStep("s", RED, Tenant("red"), 1, "switch-send", "requested", 1.0, 2.0, ("switch:tor2",))
    assert not wanted.matches(step) and not wanted.matches(outcome(RED))


def test_a_table_of_flows_is_left_out_where_all_of_it_is():
    def flow(pair: PairId) -> FlowLine:
        tenant, a, b = pair.split(".")
        return FlowLine(pair, Tenant(tenant), a, b, 1e6, 10, "overlay", None, ("tor1",))

    wanted = but(tenants=["red"])
    assert wanted.matches_flow(flow(BLUE)) and not wanted.matches_flow(flow(RED))
    assert wanted.matches(FlowsSnapshot(1.0, (flow(RED), flow(BLUE))))
    assert not wanted.matches(FlowsSnapshot(1.0, (flow(RED),)))
    assert wanted.matches(FlowsSnapshot(1.0, ()))
    # a kind or a saga says nothing of a flow
    assert but(kinds=["flow-sample"], sagas=["s"]).matches_flow(flow(RED))


@pytest.mark.parametrize(
    ("event", "what", "why"),
    [
        (decision(RED), "decision: offload", "250.00 Mbit/s; busy"),
        (RevertRequested(RED, Tenant("red"), "idle", 1.0), "decision: revert", "idle"),
        (outcome(RED, "rolled-back", "table endpoint is full"), "ROLLED BACK", "table endpoint is full"),
        (StepReport("s", RED, 1, "switch-send", "switch:tor1", False, "full"), "report switch-send", "FAILED: full"),
        (
            SwitchCommand("s", RED, 4, "switch-send", SwitchName("tor1"), (TenantTag(Port(1), VlanId(7), Vni(1)),)),
            "command switch-send",
            "switch:tor1 put 1 (generation 4)",
        ),
        (DeadLetter("s", "ezpath.x", "not JSON", "", 0, 0.0), "dead letter", "ezpath.x: not JSON"),
    ],
)
def test_every_event_is_one_line_that_says_what_and_why(event, what, why):
    columns = columns_of(event)
    assert columns.what.strip() == what
    assert why in columns.why
    assert "\n" not in line(event, 1.0).plain


def test_columns_stand_below_each_other():
    first, second = line(decision(RED), 1.0).plain, line(outcome(RED), 2.0).plain
    assert first.index("decision") == second.index("ACTIVE")


@pytest.mark.parametrize(("ms", "text"), [(0.4, "0 ms"), (213.4, "213 ms"), (4100, "4.1 s"), (720_000, "12 min")])
def test_durations(ms, text):
    assert duration(ms) == text


@pytest.mark.parametrize(("bps", "text"), [(12, "12 bit/s"), (1500, "1.50 kbit/s"), (1.2e9, "1.20 Gbit/s")])
def test_rates(bps, text):
    assert bit_rate(bps) == text


def flow(pair: PairId) -> FlowLine:
    return FlowLine(pair, Tenant(pair.split(".")[0]), "a", "b", 1e6, 9.0, "overlay", None)


def test_one_decider_s_flows_are_all_flows():
    snapshot = FlowsSnapshot(1.0, (flow(RED), flow(BLUE)))
    assert Parts().add(snapshot) == snapshot


def test_several_deciders_flows_are_put_together_once_each_shard_was_told_of():
    shards = {tenant: next(n for n in range(4) if Shard(n, 4).has(Tenant(tenant))) for tenant in ("red", "blue")}
    assert len(set(shards.values())) == 2, "the test wants two shards with a tenant in them"
    idle = tuple(set(range(4)) - set(shards.values()))
    parts = Parts()
    assert parts.add(FlowsSnapshot(1.0, (flow(RED),), (shards["red"], *idle), 4)) is None
    assert parts.add(FlowsSnapshot(2.0, (flow(RED),), (shards["red"], *idle), 4)) is None
    whole = parts.add(FlowsSnapshot(2.5, (flow(BLUE),), (shards["blue"],), 4))
    assert whole is not None and {line.pair for line in whole.flows} == {RED, BLUE}
    assert parts.add(FlowsSnapshot(3.0, (), (shards["blue"],), 4)) is None, "begun anew"
