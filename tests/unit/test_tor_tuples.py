"""Ternary tables' bookkeeping, held against a search through all entries, after every single change to a map."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from ezpath_tor.bmv2.language import FieldRef, Param, Source
from ezpath_tor.bmv2.model import Action, KeyField, Table
from ezpath_tor.keys import prefixes, priority_of
from ezpath_tor.layout import TableLayout
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError, Priority, Range, TableFull, Ternary
from ezpath_tor.tuples import Changes, TupleSpace, mask_size, masks_room, rules_room

SET = Action(7, "set", (Param(0, "value", 32),), (), Source())


def layout_of(*fields: tuple[str, int], size: int = 64) -> TableLayout:
    """A table whose key has fields of these kinds and widths."""
    keys = tuple(
        KeyField(f"f{index}", kind, FieldRef("h", f"f{index}", width), width)
        for index, (kind, width) in enumerate(fields)
    )
    table = Table("acl", keys, (7,), size, None, False, (), None, {7: None}, None, None, False, None, Source())
    return TableLayout(table, (SET,))


def call(value: int) -> ActionCall:
    return ActionCall("set", (value,))


@dataclass
class Maps:
    """The maps as the kernel has them, and the lookup that the generated C does in them."""

    layout: TableLayout
    elements: dict[bytes, bytes] = field(default_factory=dict)
    masks: bytes = b""

    def steps(self, changes: Changes) -> Iterator[None]:
        """Applies the changes one system call at a time."""
        for element, entry in changes.puts.items():
            self.elements[element] = entry
            yield
        if changes.masks is not None:
            self.masks = changes.masks
            yield
        for element in changes.removals:
            del self.elements[element]
            yield

    def apply(self, changes: Changes) -> None:
        for _ in self.steps(changes):
            pass

    def look_up(self, *packet: int) -> int | None:
        """The parameter of the entry that is found."""
        key = int.from_bytes(self.layout.pack_masked(0xFFFFFFFF, packet), sys.byteorder)
        best, found, size = 0, None, mask_size(self.layout)
        for start in range(0, len(self.masks), size):
            (at_best,) = struct.unpack_from("=Q", self.masks, start)
            if best >= at_best:
                break
            mask = int.from_bytes(self.masks[start + 8 : start + size], sys.byteorder)
            entry = self.elements.get((key & mask).to_bytes(self.layout.key_size, sys.byteorder))
            if entry is not None:
                action, priority, value = struct.unpack("=III", entry)
                assert action == SET.id
                if priority > best:
                    best, found = priority, value
        return found


def matches(key: Key, packet: tuple[int, ...], widths: tuple[int, ...]) -> bool:
    for value, number, width in zip(key, packet, widths, strict=False):
        match value:
            case Ternary(wanted, mask):
                fits = number & mask == wanted
            case Lpm(wanted, length):
                fits = number >> (width - length) == wanted >> (width - length)
            case Range(low, high):
                fits = low <= number <= high
            case _:
                fits = number == value
        if not fits:
            return False
    return True


def expected(entries: dict[Key, int], packet: tuple[int, ...], widths: tuple[int, ...]) -> set[int | None]:
    """What may be found: of entries with the same priority, any."""
    hits = [(priority_of(key), value) for key, value in entries.items() if matches(key, packet, widths)]
    best = max((priority for priority, _ in hits), default=0)
    return {value for priority, value in hits if priority == best} or {None}


FIELDS = (("ternary", 8), ("lpm", 12), ("exact", 2), ("range", 6))
WIDTHS = tuple(width for _, width in FIELDS)


def random_key(source: random.Random) -> Key:
    mask = source.choice((0, 0xFF, 0xF0, 0x81, source.getrandbits(8)))
    length = source.randint(0, 12)
    low, high = sorted((source.getrandbits(6), source.getrandbits(6)))
    return (
        Ternary(source.getrandbits(8) & mask, mask),
        Lpm(source.getrandbits(12) >> (12 - length) << (12 - length), length),
        source.getrandbits(1),
        source.choice((Range(0, 63), Range(low, high), Range(low, low))),
        Priority(source.randint(1, 6)),
    )


def random_packet(source: random.Random, entries: dict[Key, int]) -> tuple[int, ...]:
    """One near an entry, so that it often matches some."""
    packet = [source.getrandbits(width) for width in WIDTHS]
    if entries and source.random() < 0.9:
        one, two, three, four, _ = source.choice(list(entries))
        assert isinstance(one, Ternary) and isinstance(two, Lpm) and isinstance(three, int) and isinstance(four, Range)
        packet = [packet[0] & ~one.mask | one.value, two.value, three, source.randint(four.low, four.high)]
        packet[1] |= source.getrandbits(12) & ((1 << (12 - two.prefix_len)) - 1)
    return tuple(packet)


@pytest.mark.parametrize("seed", range(4))
def test_after_every_system_call_a_packet_finds_what_was_there_before_or_is_there_after(seed: int) -> None:
    # Given a table in which entries come, change and go
    source = random.Random(seed)
    layout = layout_of(*FIELDS)
    space, maps, entries = TupleSpace(layout, 40), Maps(layout), dict[Key, int]()
    hits = 0
    for step in range(100):
        before = dict(entries)
        kind = source.choice(("insert", "insert", "modify", "delete"))
        key = source.choice(list(entries)) if entries and kind != "insert" else random_key(source)
        if kind == "insert" and (key in entries or len(entries) == 40):
            continue
        if kind != "insert" and not entries:
            continue
        # When one is written
        if kind == "delete":
            changes = space.delete(key)
            del entries[key]
        else:
            changes = (space.insert if kind == "insert" else space.modify)(key, call(step))
            entries[key] = step
        # Then at every moment each packet finds what a search through all entries finds
        packets = [random_packet(source, before | entries) for _ in range(10)]
        for _ in maps.steps(changes):
            for packet in packets:
                may = expected(before, packet, WIDTHS) | expected(entries, packet, WIDTHS)
                assert maps.look_up(*packet) in may
        for packet in packets:
            assert maps.look_up(*packet) in expected(entries, packet, WIDTHS)
            hits += maps.look_up(*packet) is not None
    assert hits > 150, "else nothing much was looked up"
    for key in list(entries):
        maps.apply(space.delete(key))
    assert maps.elements == {} and len(space) == 0
    assert maps.look_up(0, 0, 0, 0) is None


def test_entries_with_one_match_and_several_priorities_are_distinct_and_the_highest_counts() -> None:
    layout = layout_of(("ternary", 8))
    space, maps = TupleSpace(layout, 8), Maps(layout)
    match = Ternary(0x10, 0xF0)
    for priority in (5, 9, 7):
        maps.apply(space.insert((match, Priority(priority)), call(priority)))
    assert maps.look_up(0x17) == 9
    maps.apply(space.delete((match, Priority(9))))
    assert maps.look_up(0x17) == 7
    maps.apply(space.modify((match, Priority(5)), call(55)))
    assert maps.look_up(0x17) == 7
    maps.apply(space.delete((match, Priority(7))))
    assert maps.look_up(0x17) == 55


def test_the_search_stops_where_nothing_better_can_come() -> None:
    """Masks stand in the order of their best priority: the list is what the C goes through."""
    layout = layout_of(("ternary", 8))
    space, maps = TupleSpace(layout, 8), Maps(layout)
    for priority, mask in ((3, 0x0F), (9, 0xFF), (6, 0xF0)):
        maps.apply(space.insert((Ternary(0, mask), Priority(priority)), call(priority)))
    size = mask_size(layout)
    order = [struct.unpack_from("=Q", maps.masks, start)[0] for start in range(0, len(maps.masks), size)]
    assert order == [9, 6, 3, 0]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 63, [(0, 6)]),
        (5, 5, [(5, 0)]),
        (1, 62, [(1, 0), (2, 1), (4, 2), (8, 3), (16, 4), (32, 4), (48, 3), (56, 2), (60, 1), (62, 0)]),
        (0, 32, [(0, 5), (32, 0)]),
    ],
)
def test_ranges_are_cut_into_the_fewest_prefixes(low: int, high: int, wanted: list[tuple[int, int]]) -> None:
    assert list(prefixes(low, high)) == wanted


def test_a_wide_field_is_masked_in_all_its_limbs() -> None:
    layout = layout_of(("ternary", 128), ("ternary", 9))
    space, maps = TupleSpace(layout, 8), Maps(layout)
    high = 0xFEDC << 112
    maps.apply(space.insert((Ternary(high | 5, 0xFFFF << 112 | 0xF), Ternary(0, 0), Priority(1)), call(3)))
    assert maps.look_up(high | 1 << 90 | 5, 511) == 3
    assert maps.look_up(high | 1 << 90 | 4, 511) is None


# ---- bounds


def test_a_full_table_names_its_size_and_changes_nothing() -> None:
    space = TupleSpace(layout_of(("ternary", 8)), 2)
    for value in (1, 2):
        space.insert((Ternary(value, 0xFF), Priority(1)), call(value))
    with pytest.raises(TableFull, match="table acl is full: it has room for 2 entries"):
        space.insert((Ternary(3, 0xFF), Priority(1)), call(3))
    assert len(space) == 2


def test_too_many_masks_are_refused_with_their_bound() -> None:
    layout = layout_of(("ternary", 32), size=5000)
    space = TupleSpace(layout, 5000)
    assert masks_room(layout.table) == 1024
    for mask in range(1, 1025):
        space.insert((Ternary(0, mask), Priority(mask)), call(mask))
    with pytest.raises(TableFull, match="1024 different masks, the entry brings 1 more, and this switch looks up 1024"):
        space.insert((Ternary(0, 1 << 31), Priority(1)), call(1))
    # and a mask that is there already is fine, as is another one in place of one that is gone
    space.insert((Ternary(1, 1), Priority(1)), call(1))
    space.delete((Ternary(0, 1024), Priority(1024)))
    space.insert((Ternary(0, 1 << 31), Priority(1)), call(1))


def test_ranges_have_room_for_their_worst_in_small_tables_and_are_refused_with_the_bound_in_large_ones() -> None:
    small = layout_of(("range", 16), size=16)
    assert rules_room(small.table) == 16 * 30
    space = TupleSpace(small, 16)
    for priority in range(1, 17):
        space.insert((Range(1, 65534), Priority(priority)), call(priority))
    large = layout_of(("range", 16), ("range", 16), ("exact", 16), size=1000)
    space = TupleSpace(large, 1000)
    with pytest.raises(TableFull, match=r"cut into prefixes, the entry's into 900, and there is room for 66536"):
        for number in range(1, 80):
            space.insert((Range(1, 65534), Range(1, 65534), number, Priority(1)), call(number))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ((Ternary(1, 0xF0), Priority(1)), "bits set outside its mask"),
        ((Ternary(0x100, 0x100), Priority(1)), "does not fit 8 bits"),
        ((Ternary(0, 0),), "needs a priority"),
        ((Ternary(0, 0), Priority(0)), "needs a priority"),
        ((3, Priority(1)), "matched under a mask"),
        ((Ternary(0, 0), Ternary(0, 0), Priority(1)), "has 1 key fields, the entry 2"),
    ],
)
def test_keys_that_do_not_fit_are_refused(key: Key, reason: str) -> None:
    with pytest.raises(PlaneError, match=reason):
        TupleSpace(layout_of(("ternary", 8)), 8).insert(key, call(1))


def test_what_is_not_there_can_neither_be_changed_nor_removed_and_what_is_not_inserted_twice() -> None:
    space = TupleSpace(layout_of(("ternary", 8)), 8)
    key = (Ternary(0, 0), Priority(1))
    for change in (lambda: space.delete(key), lambda: space.modify(key, call(1))):
        with pytest.raises(PlaneError, match="has no entry"):
            change()
    space.insert(key, call(1))
    with pytest.raises(PlaneError, match="already"):
        space.insert(key, call(2))
