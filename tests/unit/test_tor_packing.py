"""Keys and entries to the bytes of a map and back, against the layout that the generated C is made from."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from ezpath_tor.bmv2.language import FieldRef, Param, Source
from ezpath_tor.bmv2.model import Action, KeyField, Table
from ezpath_tor.keys import priority_of
from ezpath_tor.layout import TableLayout
from ezpath_tor.packing import Packing
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError, Priority, Range, Ternary
from hypothesis import given
from hypothesis import strategies as st

WIDTHS = st.sampled_from([1, 7, 8, 9, 16, 24, 32, 48, 64, 65, 128, 200])


def layout(keys: Sequence[tuple[str, int]], *params: Sequence[int]) -> TableLayout:
    """A table with key fields (match, width), and an action for each list of parameter widths."""
    fields = tuple(
        KeyField(f"f{place}", match, FieldRef("h", f"f{place}", width), width)
        for place, (match, width) in enumerate(keys)
    )
    actions = tuple(
        Action(number, f"act{number}", tuple(Param(i, f"p{i}", width) for i, width in enumerate(widths)), (), Source())
        for number, widths in enumerate(params, 3)
    )
    ids = tuple(action.id for action in actions)
    table = Table("t", fields, ids, 9, None, False, (), None, {}, None, None, False, None, Source())
    return TableLayout(table, actions)


def number(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


@st.composite
def prefix(draw: st.DrawFn, width: int) -> Lpm:
    length = draw(st.integers(0, width))
    return Lpm(draw(number(width)) >> (width - length) << (width - length), length)


@given(st.data(), st.lists(WIDTHS, min_size=1, max_size=5), st.booleans())
def test_a_key_is_packed_as_the_layout_says_and_read_back(data: st.DataObject, widths: list[int], lpm: bool) -> None:
    last = data.draw(st.integers(0, len(widths) - 1)) if lpm else None
    fields = [("lpm" if place == last else "exact", width) for place, width in enumerate(widths)]
    table = layout(fields, [8])
    packing = Packing(table)
    key: Key = tuple(data.draw(prefix(width) if match == "lpm" else number(width)) for match, width in fields)
    packed = packing.key(key)
    assert packed == table.pack_key(key)
    assert packing.read_key(packed) == key


@given(st.data(), st.lists(st.lists(WIDTHS, max_size=4), min_size=1, max_size=3))
def test_an_entry_is_packed_as_the_layout_says_and_read_back(data: st.DataObject, actions: list[list[int]]) -> None:
    table = layout([("exact", 8)], *actions)
    packing = Packing(table)
    for place, widths in enumerate(actions, 3):
        call = ActionCall(f"act{place}", tuple(data.draw(number(width)) for width in widths))
        packed = packing.entry(call)
        assert packed == table.pack_entry(call)
        assert packing.read_entry(packed).call == call


@given(st.data(), st.lists(WIDTHS, min_size=1, max_size=5))
def test_an_entry_of_a_ternary_table_is_recorded_whole_and_read_back(data: st.DataObject, widths: list[int]) -> None:
    kinds = [data.draw(st.sampled_from(["exact", "lpm", "ternary", "range"])) for _ in widths]
    table = layout(list(zip([*kinds[:-1], "ternary"], widths, strict=True)), [8, 65])
    packing = Packing(table)
    fields = [data.draw(match(key.match, key.width)) for key in table.table.keys]
    key: Key = (*fields, Priority(data.draw(st.integers(1, (1 << 31) - 1))))
    call = ActionCall("act3", (data.draw(number(8)), data.draw(number(65))))
    record = packing.record(key, call, cell=7)
    assert len(record) == packing.record_size
    found, entry = packing.read_record(record)
    assert (found, entry.call, entry.priority) == (key, call, priority_of(key))


@st.composite
def match(draw: st.DrawFn, kind: str, width: int) -> int | Lpm | Ternary | Range:
    one, other = draw(number(width)), draw(number(width))
    if kind == "exact":
        return one
    if kind == "lpm":
        return draw(prefix(width))
    return Ternary(one & other, other) if kind == "ternary" else Range(min(one, other), max(one, other))


@pytest.mark.parametrize("key", [(256, 0), (-1, 0), (1,), (1, 2, 3), (Lpm(0, 0), 0), (1, 1 << 65)])
def test_a_key_that_does_not_fit_is_refused_with_the_layout_s_words(key: Key) -> None:
    table = layout([("exact", 8), ("exact", 65)], [8])
    with pytest.raises(PlaneError) as wanted:
        table.pack_key(key)
    with pytest.raises(PlaneError) as said:
        Packing(table).key(key)
    assert str(said.value) == str(wanted.value)


@pytest.mark.parametrize("call", [ActionCall("act3", (256,)), ActionCall("act3"), ActionCall("act9", (1,))])
def test_a_call_that_does_not_fit_is_refused_with_the_layout_s_words(call: ActionCall) -> None:
    table = layout([("exact", 8)], [8])
    with pytest.raises(PlaneError) as wanted:
        table.pack_entry(call)
    with pytest.raises(PlaneError) as said:
        Packing(table).entry(call)
    assert str(said.value) == str(wanted.value)


def test_an_entry_of_an_action_that_the_table_does_not_have_is_no_entry() -> None:
    with pytest.raises(PlaneError, match="calls an action with id 77"):
        Packing(layout([("exact", 8)], [8])).read_entry((77).to_bytes(4, sys.byteorder) + bytes(4))
