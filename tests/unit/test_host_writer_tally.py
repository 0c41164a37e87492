"""Rules counted as items come and go: always the difference that looking at everything would give."""

from __future__ import annotations

from dataclasses import replace

from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import Mac, VlanId, Vni
from ezpath_host_writer.book import entries_of
from ezpath_host_writer.rules import Ports, Rules, compile_items, rules_of
from ezpath_host_writer.tally import Tally
from hypothesis import given
from hypothesis import strategies as st

RED = Vni(5001)
A, B, C, LOST = (Mac(f"02:00:00:00:00:0{number}") for number in (1, 2, 3, 4))
PORTS = Ports(901, 902, 1, {(RED, A): 11, (RED, B): 12}, {(RED, LOST): "no such interface"})
SEND, RECEIVE = SendRule(RED, A, C, VlanId(100)), ReceiveRule(RED, VlanId(100), A)

items = st.one_of(
    st.builds(
        SendRule, st.just(RED), st.sampled_from([A, B, LOST]), st.sampled_from([B, C]), st.sampled_from([100, 101])
    ),
    st.builds(ReceiveRule, st.just(RED), st.sampled_from([100, 101]), st.sampled_from([A, B, LOST])),
)
sets_of_items = st.lists(items, max_size=8).map(lambda some: list({item.key: item for item in some}.values()))


def both(rules: Rules) -> set[tuple[str, object]]:
    return {("int", flow) for flow in rules.integration} | {("phy", flow) for flow in rules.physical}


def installed(some: list[HostItem]) -> set[tuple[str, object]]:
    return both(compile_items(some, PORTS, {}).rules)


@given(st.lists(sets_of_items, min_size=2, max_size=6))
def test_what_comes_and_goes_leads_from_each_set_to_the_next(steps):
    tally, there = Tally(entries_of(steps[0]), PORTS, {}), installed(steps[0])
    for after in steps[1:]:
        coming, going = tally.change(entries_of(after))
        assert both(coming).isdisjoint(there) and both(going) <= there
        there = there - both(going) | both(coming)
        assert there == installed(after)


def test_a_rule_that_two_items_share_goes_with_the_last_of_them():
    # Given two items whose frames leave with the same tag
    other = replace(SEND, src=B)
    tally = Tally(entries_of([SEND, other]), PORTS, {})
    # When one goes, then only the rule that was its own; when the other goes, the shared one too
    _, going = tally.change(entries_of([other]))
    assert both(going) == both(Rules(rules_of(SEND, PORTS).integration))
    _, going = tally.change(entries_of([]))
    assert both(going) == both(rules_of(other, PORTS))


def test_the_same_item_as_another_object_changes_nothing():
    tally = Tally(entries_of([SEND]), PORTS, {})
    assert tally.change(entries_of([replace(SEND)])) == (Rules(), Rules())


def test_an_item_where_somebody_elses_rule_stands_is_left_out():
    place = ("physical", rules_of(RECEIVE, PORTS).physical[0].place)
    coming, _ = Tally(entries_of([]), PORTS, {place: "somebody's"}).change(entries_of([RECEIVE, SEND]))
    assert both(coming) == both(rules_of(SEND, PORTS))
