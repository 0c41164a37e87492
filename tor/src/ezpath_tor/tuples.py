"""Ternary tables as hash lookups: entries with the same mask together, the best priorities first.

A packet's key is looked up once under each mask, until no mask that is left has an entry of a higher priority than the
one found ("tuple space search"). So a lookup costs by the number of different masks, not of entries. This is the
bookkeeping, without any map; ``codegen/ternary.py`` writes the lookup, ``ternary_map.py`` the maps.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ezpath_tor.bmv2.model import Table
from ezpath_tor.keys import Numbers, check_key, priority_of, rules_of
from ezpath_tor.layout import TableLayout
from ezpath_tor.packing import Record
from ezpath_tor.plane import ActionCall, Key, PlaneError, TableFull

MAX_MASKS = 1024
"""Different masks that a table's entries can have at a time."""

BEST_OCTETS = 8

RANGE_ROOM = 1 << 16
"""Prefixes that a table's ranges can be cut into, beyond one an entry."""


def masks_room(table: Table) -> int:
    """Different masks that there is room for."""
    return min(MAX_MASKS, rules_room(table))


def rules_room(table: Table) -> int:
    """Rules, each one element of the hash, that there is room for."""
    size, room = max(1, table.max_size), max(1, table.max_size)
    for key in table.keys:
        if key.match == "range":
            room *= max(1, 2 * key.width - 2)  # the most prefixes of one range
    return min(room, size + RANGE_ROOM)


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do to the maps, in this order. ``masks``: the whole list, where it is another one now."""

    puts: dict[bytes, bytes] = field(default_factory=dict)
    masks: bytes | None = None
    removals: list[bytes] = field(default_factory=list)


class _Candidate(NamedTuple):
    """An entry with a rule: of several with the same rule, the first in order counts."""

    rank: int
    """The priority with a minus sign."""
    order: int
    """Of two with the same priority, the one that was there first: P4Runtime leaves that open."""
    key: Key


class _Group:
    """The rules of one mask."""

    def __init__(self, number: int, packed: bytes) -> None:
        self.number = number
        self.packed = packed
        self.rules: dict[Numbers, list[_Candidate]] = {}
        self.ranks: list[int] = []
        """Of all candidates, sorted."""

    @property
    def best(self) -> int:
        return -self.ranks[0]


@dataclass(slots=True)
class _Entry:
    call: ActionCall
    packed: bytes
    candidate: _Candidate


class TupleSpace:
    """The entries of one ternary table."""

    def __init__(self, layout: TableLayout, size: int) -> None:
        self._layout = layout
        self._table = layout.table
        self.size = size
        """Entries that there may be; those that are there already may be more."""
        self._entries: dict[Key, _Entry] = {}
        self._groups: dict[Numbers, _Group] = {}
        self._rules = 0
        self._masks_made = 0
        self._reusable: dict[Numbers, int] = {}
        self._inserted = 0
        self._other_order = False
        """The list of masks is another one than it was."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def reuse(self, masks: bytes, elements: Iterable[bytes]) -> None:
        """Give masks the numbers that they have in this list, and no other one a number that is in use.

        For a space that is made anew beside maps that are in use. Before the first entry.
        """
        record, size = Record(self._layout.key_struct), mask_size(self._layout)
        for start in range(0, len(masks), size):
            if not any(masks[start : start + BEST_OCTETS]):
                break
            number, *mask = record.unpack(masks, start + BEST_OCTETS)
            self._reusable[tuple(mask)] = number
        used = (record.unpack(element)[0] for element in elements)
        self._masks_made = max((*self._reusable.values(), *used), default=0)

    def everything(self) -> Changes:
        """All that has to be in the maps, from the first element on."""
        puts = {
            self._element(group, values): self._entries[candidates[0].key].packed
            for group in self._groups.values()
            for values, candidates in group.rules.items()
        }
        return Changes(puts, self._list())

    def insert(self, key: Key, call: ActionCall, cell: int = 0) -> Changes:
        """Raises :class:`TableFull` or :class:`PlaneError`; then nothing has changed."""
        check_key(self._table, key)
        name = self._table.name
        if key in self._entries:
            raise PlaneError(f"table {name} has an entry {key} already")
        packed = self._layout.pack_entry(call, priority=priority_of(key), cell=cell)
        rules = rules_of(self._table, key)
        self._check_room(rules)
        self._inserted += 1
        candidate = _Candidate(-priority_of(key), self._inserted, key)
        self._entries[key] = _Entry(call, packed, candidate)
        changes = Changes()
        for mask, values in rules:
            group = self._group(mask)
            candidates = group.rules.setdefault(values, [])
            self._rules += not candidates
            self._other_order |= not group.ranks or candidate.rank < group.ranks[0]
            insort(candidates, candidate)
            insort(group.ranks, candidate.rank)
            if candidates[0] is candidate:
                changes.puts[self._element(group, values)] = packed
        return self._with_masks(changes)

    def modify(self, key: Key, call: ActionCall, cell: int = 0) -> Changes:
        """Another action for an entry that is there."""
        entry = self._known(key)
        packed = self._layout.pack_entry(call, priority=priority_of(key), cell=cell)
        entry.call, entry.packed = call, packed
        changes = Changes()
        for mask, values in rules_of(self._table, key):
            group = self._groups[mask]
            if group.rules[values][0] is entry.candidate:
                changes.puts[self._element(group, values)] = packed
        return changes

    def delete(self, key: Key) -> Changes:
        """An entry that is there goes; what it hid comes out."""
        entry = self._known(key)
        del self._entries[key]
        changes = Changes()
        for mask, values in rules_of(self._table, key):
            group = self._groups[mask]
            candidates = group.rules[values]
            was_first = candidates[0] is entry.candidate
            del candidates[bisect_left(candidates, entry.candidate)]
            self._drop_rank(group, entry.candidate.rank)
            if not candidates:
                changes.removals.append(self._element(group, values))
                del group.rules[values]
                self._rules -= 1
            elif was_first:
                changes.puts[self._element(group, values)] = self._entries[candidates[0].key].packed
            if not group.rules:
                del self._groups[mask]
        return self._with_masks(changes)

    def _known(self, key: Key) -> _Entry:
        check_key(self._table, key)
        if key not in self._entries:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        return self._entries[key]

    def _check_room(self, rules: list[tuple[Numbers, Numbers]]) -> None:
        name = self._table.name
        if len(self._entries) >= self.size:
            raise TableFull(f"table {name} is full: it has room for {self.size} entries")
        masks = {mask for mask, _ in rules if mask not in self._groups}
        if len(self._groups) + len(masks) > masks_room(self._table):
            raise TableFull(
                f"table {name} is full: its entries have {len(self._groups)} different masks, the entry brings "
                f"{len(masks)} more, and this switch looks up {masks_room(self._table)} at most"
            )
        more = sum(mask not in self._groups or values not in self._groups[mask].rules for mask, values in rules)
        if self._rules + more > rules_room(self._table):
            raise TableFull(
                f"table {name} is full: its ranges are cut into prefixes, the entry's into {len(rules)}, "
                f"and there is room for {rules_room(self._table)} prefixes of which {self._rules} are taken"
            )

    def _group(self, mask: Numbers) -> _Group:
        if mask not in self._groups:
            # Never a number twice: a lookup under an old list of masks must not meet another mask's entries.
            number = self._reusable.pop(mask, self._masks_made + 1)
            self._masks_made = max(self._masks_made, number)
            self._groups[mask] = _Group(number, self._layout.pack_masked(number, mask))
        return self._groups[mask]

    def _element(self, group: _Group, values: Numbers) -> bytes:
        return self._layout.pack_masked(group.number, values)

    def _drop_rank(self, group: _Group, rank: int) -> None:
        best = group.ranks[0]
        del group.ranks[bisect_left(group.ranks, rank)]
        self._other_order |= not group.ranks or group.ranks[0] != best

    def _with_masks(self, changes: Changes) -> Changes:
        """The list of masks as the lookup goes through it, its end marked by priority 0."""
        if not self._other_order:
            return changes
        self._other_order = False
        return Changes(changes.puts, self._list(), changes.removals)

    def _list(self) -> bytes:
        groups = sorted(self._groups.values(), key=lambda group: group.ranks[0])
        end = bytes(mask_size(self._layout)) if len(groups) < masks_room(self._table) else b""
        return b"".join(group.best.to_bytes(BEST_OCTETS, sys.byteorder) + group.packed for group in groups) + end


def mask_size(layout: TableLayout) -> int:
    """Bytes of one mask in the list: the best priority of its entries, and the mask as a key."""
    return BEST_OCTETS + layout.key_size
