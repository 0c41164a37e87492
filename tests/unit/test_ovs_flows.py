"""OpenFlow rules as values: whose they are, when two are the same, and what a change of many consists of."""

from __future__ import annotations

import pytest
from ezpath.names import Vni
from ezpath.ovs.flows import Change, Flow, Role, add_line, cookie, delete_line, difference, parse_dump, touch_line

SEND = Flow(cookie(Role.SEND, Vni(5001)), 58082, "in_port=1,vlan_tci=0x0000/0x1fff", "output:7")

DUMP = """\
OFPST_FLOW reply (OF1.4) (xid=0x2):
 cookie=0xe25a030000001389, priority=58082,in_port=1,vlan_tci=0x0000/0x1fff actions=output:7
 cookie=0xe25a010000000000, duration=1.2s, table=3, n_packets=0, n_bytes=0, priority=58081,in_port=9 actions=drop
 cookie=0x0, duration=22.887s, table=0, n_packets=4, n_bytes=90, idle_timeout=60, priority=0 actions=NORMAL
 cookie=0x1ab, send_flow_rem in_port=LOCAL,ip,nw_dst=10.0.0.0/8 actions=load:0x1->NXM_NX_REG0[],resubmit(,3)
 cookie=0x77, actions=drop
"""


def test_a_dump_is_read_line_by_line() -> None:
    send, guard, normal, foreign, everything = parse_dump(DUMP)
    assert send == SEND
    assert (guard.table, guard.priority, guard.match, guard.actions) == (3, 58081, "in_port=9", "drop")
    assert (normal.priority, normal.match, normal.actions) == (0, "", "NORMAL")
    assert (foreign.priority, foreign.match) == (32768, "in_port=LOCAL,ip,nw_dst=10.0.0.0/8")
    assert (everything.cookie, everything.priority, everything.match) == (0x77, 32768, "")


def test_a_line_that_is_no_rule_is_refused_with_its_text() -> None:
    with pytest.raises(ValueError, match="garbage in actions=drop"):
        parse_dump("garbage in actions=drop")


def test_the_cookie_says_whose_rule_it_is_what_for_and_for_which_tenant() -> None:
    assert [flow.ours for flow in parse_dump(DUMP)] == [True, True, False, False, False]
    assert (SEND.role, SEND.vni) == (Role.SEND, 5001)
    assert Flow(0xE25A_0900_0000_0000, 1, "", "drop").role is None
    assert Flow(0xE25B_0300_0000_1389, 1, "", "drop").role is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in_port=1,dl_dst=02:00:00:00:00:0a", "dl_dst=02:00:00:00:00:0a,in_port=1"),
        ("in_port=1,dl_dst=02:00:00:00:00:0A", "in_port=1,dl_dst=2:0:0:0:0:a"),
        ("in_port=1,dl_vlan=100", "in_port=1,dl_vlan=0x64"),
    ],
)
def test_a_match_means_the_same_however_it_is_spelled(one: str, other: str) -> None:
    assert Flow(1, 5, one, "drop").same(Flow(1, 5, other, "drop"))


@pytest.mark.parametrize(
    "other",
    [
        Flow(SEND.cookie + 1, SEND.priority, SEND.match, SEND.actions),
        Flow(SEND.cookie, SEND.priority + 1, SEND.match, SEND.actions),
        Flow(SEND.cookie, SEND.priority, "in_port=2,vlan_tci=0x0000/0x1fff", SEND.actions),
        Flow(SEND.cookie, SEND.priority, SEND.match, "output:8"),
        Flow(SEND.cookie, SEND.priority, SEND.match, SEND.actions, table=1),
    ],
)
def test_rules_that_differ_are_not_the_same(other: Flow) -> None:
    assert not SEND.same(other)


def test_lines_of_a_bundle_hit_one_rule_only() -> None:
    head = "cookie=0xe25a030000001389"
    assert add_line(SEND) == f"add {head},table=0,priority=58082,{SEND.match},actions=output:7"
    assert delete_line(SEND) == f"delete_strict {head}/-1,table=0,priority=58082,{SEND.match}"
    assert touch_line(SEND) == f"modify_strict {head}/-1,table=0,priority=58082,{SEND.match},actions=output:7"


def test_the_difference_adds_what_is_missing_and_deletes_what_is_surplus() -> None:
    kept, surplus = SEND, Flow(SEND.cookie, 58082, "in_port=2", "drop")
    missing = Flow(SEND.cookie, 58082, "in_port=3", "drop")
    assert difference([kept, missing], [kept, surplus]) == Change((missing,), (surplus,))
    assert not difference([kept], [kept])


def test_a_rule_with_other_actions_is_replaced_in_one_transaction() -> None:
    before, after = SEND, Flow(SEND.cookie, SEND.priority, SEND.match, "output:9")
    change = difference([after], [before])
    assert change.lines == [delete_line(before), add_line(after)]
