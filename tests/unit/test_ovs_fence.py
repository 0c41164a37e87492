"""The fence on a bridge: a wall stands in the way of every earlier term's mark, and of no other's."""

from __future__ import annotations

import pytest
from ezpath.ovs.fence import TABLE, Fence, term_of
from ezpath.ovs.flows import Flow, parse_dump
from hypothesis import example, given
from hypothesis import strategies as st

TERMS = st.one_of(st.integers(1, 300), st.integers(1, 2**48 - 1))


def overlaps(one: Flow, other: Flow) -> bool:
    """As Open vSwitch sees it: some frame matches both, and one does not simply take the other's place."""
    if one.match == other.match:
        return False
    (a, a_mask), (b, b_mask) = _source(one), _source(other)
    return not (a ^ b) & a_mask & b_mask


def _source(flow: Flow) -> tuple[int, int]:
    value, _, mask = flow.match.partition(",")[0].removeprefix("dl_src=").replace(":", "").partition("/")
    return int(value, 16), int(mask, 16) if mask else 2**48 - 1


@given(TERMS, TERMS)
@example(3, 2)
def test_a_wall_keeps_out_all_earlier_terms_and_nobody_else(builder, comes):
    kept_out = any(overlaps(Fence(comes).mark, rule) for rule in Fence(builder).wall)
    assert kept_out is (comes < builder)


@given(TERMS)
def test_whose_wall_it_is_can_be_told_from_it(term):
    assert term_of(Fence(term).wall) == term
    assert term_of([]) == 0


@pytest.mark.parametrize("term", [1, 2, 3, 8, 12345])
def test_it_is_told_from_a_dump_as_well(term):
    text = "".join(
        f" cookie={rule.cookie:#x}, table={TABLE}, priority={rule.priority},{rule.match} actions=drop\n"
        for rule in Fence(term).wall
    )
    assert term_of(parse_dump(text)) == term


def test_a_bundle_begins_with_the_mark_and_leaves_nothing_of_it():
    add, delete = Fence(5).lines
    assert add.startswith("add check_overlap,cookie=0xe25f000000000000,table=253,")
    assert delete.startswith("delete_strict cookie=0xe25f000000000000/-1,table=253,")
    assert "dl_src=00:00:00:00:00:05" in add and "dl_src=00:00:00:00:00:05" in delete
