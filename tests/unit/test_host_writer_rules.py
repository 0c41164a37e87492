"""Items to rules, rules to items, and the order in which two bridges are changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import Mac, VlanId, Vni
from ezpath.ovs.flows import Flow, Role
from ezpath_host_writer.compare import Found, agrees
from ezpath_host_writer.plan import Stage, stages
from ezpath_host_writer.rules import NoPort, Ports, Rules, compile_items, items_of, rules_of
from hypothesis import given
from hypothesis import strategies as st

RED, BLUE = Vni(5001), Vni(5002)
A, B, C = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), Mac("02:00:00:00:00:03")
PORTS = Ports(
    patch_int=901,
    patch_phy=902,
    uplink=1,
    endpoints={(RED, A): 11, (BLUE, A): 12, (RED, C): 13},
    missing={(RED, B): "host h1: no interface of Open vSwitch is named b0"},
)
SEND, RECEIVE = SendRule(RED, A, B, VlanId(100)), ReceiveRule(RED, VlanId(100), A)

items = st.one_of(
    st.builds(SendRule, st.sampled_from([RED, BLUE]), st.just(A), st.sampled_from([B, C]), st.sampled_from([100, 101])),
    st.builds(ReceiveRule, st.sampled_from([RED, BLUE]), st.sampled_from([100, 101]), st.just(A)),
)


def by_key(chosen: Iterable[HostItem]) -> list[HostItem]:
    """As a book holds them: one for each key."""
    return list({item.key: item for item in chosen}.values())


def texts(flows: Iterable[Flow]) -> list[str]:
    return [f"{flow.priority} {flow.match} -> {flow.actions}" for flow in flows]


def test_a_send_rule_tags_on_one_bridge_and_leaves_by_the_other() -> None:
    rules = rules_of(SEND, PORTS)
    match = f"in_port=11,vlan_tci=0x0000/0x1fff,dl_src={A},dl_dst={B}"
    assert texts(rules.integration) == [f"58082 {match} -> push_vlan:0x8100,set_field:4196->vlan_vid,output:901"]
    assert texts(rules.physical) == ["58082 in_port=902,dl_vlan=100 -> output:1"]


def test_a_receive_rule_comes_in_by_one_bridge_and_loses_its_tag_on_the_other() -> None:
    rules = rules_of(RECEIVE, PORTS)
    assert texts(rules.physical) == [f"58082 in_port=1,dl_vlan=100,dl_dst={A} -> output:902"]
    assert texts(rules.integration) == [f"58082 in_port=901,dl_vlan=100,dl_dst={A} -> pop_vlan,output:11"]


def test_tenants_with_the_same_addresses_have_rules_of_their_own() -> None:
    other = SendRule(BLUE, A, B, VlanId(200))
    red, blue = rules_of(SEND, PORTS).integration[0], rules_of(other, PORTS).integration[0]
    assert red.place != blue.place
    assert "in_port=12," in blue.match
    assert (red.vni, blue.vni) == (RED, BLUE)


def test_the_rule_of_a_tag_is_shared() -> None:
    compiled = compile_items([SEND, SendRule(RED, A, C, VlanId(100))], PORTS)
    assert len(compiled.rules.physical) == 2, "the guard and one for the tag"


@pytest.mark.parametrize("item", [SendRule(RED, B, A, VlanId(100)), ReceiveRule(RED, VlanId(100), B)])
def test_an_endpoint_without_port_is_a_problem_of_its_own(item: HostItem) -> None:
    compiled = compile_items([item, SEND], PORTS)
    assert list(compiled.problems) == [item]
    assert "no interface of Open vSwitch is named b0" in compiled.problems[item]
    assert compiled.rules == compile_items([SEND], PORTS).rules


def test_an_item_in_whose_place_somebody_elses_rule_stands_is_left_out() -> None:
    place = rules_of(RECEIVE, PORTS).physical[0].place
    compiled = compile_items([RECEIVE, SEND], PORTS, {("physical", place): "taken"})
    assert compiled.problems == {RECEIVE: "taken"}
    assert compiled.rules == compile_items([SEND], PORTS).rules


def test_an_endpoint_that_the_inventory_does_not_have_here_is_named() -> None:
    with pytest.raises(NoPort, match="endpoint 02:00:00:00:00:03 of VNI 5002: the inventory has no such endpoint"):
        rules_of(ReceiveRule(BLUE, VlanId(1), C), PORTS)


@given(st.lists(items))
def test_what_is_installed_can_be_read_back_as_items(chosen: list[HostItem]) -> None:
    wanted = by_key(chosen)
    assert items_of(compile_items(wanted, PORTS).rules.integration) == set(wanted)


def test_rules_that_are_no_items_are_passed_over() -> None:
    strange = Flow(0xE25A_0300_0000_1389, 58082, "ip,nw_dst=10.0.0.0/8", "drop")
    foreign = Flow(0x1, 58082, rules_of(SEND, PORTS).integration[0].match, "drop")
    assert items_of([strange, foreign, *compile_items([], PORTS).rules.integration]) == frozenset()


class TestOrder:
    def names(self, todo: list[Stage]) -> list[tuple[str, int, int]]:
        return [(stage.bridge, len(stage.change.adds), len(stage.change.deletes)) for stage in todo]

    def rules(self, *wanted: HostItem) -> Rules:
        return compile_items(wanted, PORTS).rules

    def test_receiving_is_built_from_the_container_outwards(self) -> None:
        assert self.names(stages(self.rules(RECEIVE), self.rules())) == [("integration", 1, 0), ("physical", 1, 0)]

    def test_sending_is_built_from_the_uplink_inwards(self) -> None:
        assert self.names(stages(self.rules(SEND), self.rules())) == [("physical", 1, 0), ("integration", 1, 0)]

    def test_sending_is_taken_down_from_the_container_outwards(self) -> None:
        assert self.names(stages(self.rules(), self.rules(SEND))) == [("integration", 0, 1), ("physical", 0, 1)]

    def test_receiving_is_taken_down_from_the_uplink_inwards(self) -> None:
        assert self.names(stages(self.rules(), self.rules(RECEIVE))) == [("physical", 0, 1), ("integration", 0, 1)]

    def test_nothing_to_do_is_no_stage(self) -> None:
        assert stages(self.rules(SEND, RECEIVE), self.rules(RECEIVE, SEND)) == []

    @given(st.lists(items), st.lists(items))
    def test_after_every_stage_no_path_is_half_there(self, before: list[HostItem], after: list[HostItem]) -> None:
        present, wanted = self.rules(*by_key(before)), self.rules(*by_key(after))
        tables = {"integration": _table(present.integration), "physical": _table(present.physical)}
        for stage in stages(wanted, present):
            table = tables[stage.bridge]
            for flow in stage.change.deletes:
                assert table.pop(flow.place) == flow
            for flow in stage.change.adds:
                assert flow.place not in table, "nothing is overwritten"
                table[flow.place] = flow
            _check_paths(tables["integration"].values(), tables["physical"].values())
        assert tables["integration"] == _table(wanted.integration)
        assert tables["physical"] == _table(wanted.physical)


def _table(flows: Iterable[Flow]) -> dict[object, Flow]:
    return {flow.place: flow for flow in flows}


def _check_paths(integration: Iterable[Flow], physical: Iterable[Flow]) -> None:
    """Who sends is let out; who is let in is received."""
    inside, outside = list(integration), list(physical)
    for flow in (flow for flow in inside if flow.role is Role.SEND):
        vid = int(flow.actions.split("set_field:")[1].split("->")[0]) & 0xFFF
        assert any(other.match == f"in_port=902,dl_vlan={vid}" for other in outside), flow
    for flow in (flow for flow in outside if flow.role is Role.RECEIVE):
        assert any(other.match == flow.match.replace("in_port=1,", "in_port=901,") for other in inside), flow


def test_a_tag_that_changes_has_its_new_way_out_first_and_loses_the_old_one_last() -> None:
    retagged = SendRule(RED, A, B, VlanId(101))
    todo = stages(compile_items([retagged], PORTS).rules, compile_items([SEND], PORTS).rules)
    kinds = [(stage.bridge, bool(stage.change.adds), bool(stage.change.deletes)) for stage in todo]
    assert kinds == [("physical", True, False), ("integration", True, True), ("physical", False, True)]


class TestAgrees:
    """An audit looks while commands are carried out: what came or went meanwhile may be there or not."""

    TO_B, TO_C = SendRule(RED, A, C, VlanId(100)), SendRule(RED, C, A, VlanId(100))

    def there(self, *installed: HostItem) -> Found:
        return Found(compile_items(installed, PORTS).rules)

    def test_given_what_is_wanted_then_it_agrees_and_one_rule_less_or_more_does_not(self) -> None:
        both = (RECEIVE, self.TO_B)
        assert agrees(both, both, PORTS, self.there(*both))
        assert not agrees(both, both, PORTS, self.there(RECEIVE))
        assert not agrees((RECEIVE,), (RECEIVE,), PORTS, self.there(*both))

    def test_given_a_rule_of_another_meaning_then_it_does_not_agree(self) -> None:
        retagged = replace(self.TO_B, vid=VlanId(101))
        assert not agrees((self.TO_B,), (self.TO_B,), PORTS, self.there(retagged))

    def test_given_items_that_come_or_go_meanwhile_then_both_agree(self) -> None:
        before, after = (RECEIVE, self.TO_B), (RECEIVE, self.TO_C)
        for found in ((RECEIVE,), (RECEIVE, self.TO_B), (RECEIVE, self.TO_C), (RECEIVE, self.TO_B, self.TO_C)):
            assert agrees(before, after, PORTS, self.there(*found))
        assert not agrees(before, after, PORTS, self.there(self.TO_B, self.TO_C))

    def test_given_a_stray_or_an_item_without_a_port_then_it_does_not_agree(self) -> None:
        stray = {"br-other": (rules_of(SEND, PORTS).integration[0],)}
        assert not agrees((RECEIVE,), (RECEIVE,), PORTS, replace(self.there(RECEIVE), strays=stray))
        nowhere = ReceiveRule(RED, VlanId(100), B)
        assert not agrees((nowhere,), (nowhere,), PORTS, self.there())
