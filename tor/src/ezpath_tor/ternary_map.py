"""A ternary table's maps: its entries under their masks, and the list of masks that a lookup goes through.

An entry that another one hides is in neither, and what they hold of an entry is spread over several elements while it
changes. So each entry stands whole in a third map, which no packet sees: by it a process knows what an earlier one was
about, and puts the others in order.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ezpath_tor.bmv2.model import Table
from ezpath_tor.bpf import BpfProgram, check, map_delete, map_items, map_memory, map_update
from ezpath_tor.codegen.ternary import masks_map, version_map
from ezpath_tor.hits import shared_array
from ezpath_tor.maps import TableMap
from ezpath_tor.packing import Entry
from ezpath_tor.plane import ActionCall, Key, PlaneError
from ezpath_tor.tuples import Changes, TupleSpace, mask_size, masks_room

NUMBER_OCTETS = 8


def records_map(table: Table) -> str:
    """The map that has a table's entries whole."""
    return f"{table.name} records"


class TernaryMap(TableMap):
    """The same requests as any table's, and one packet sees all of one or nothing of it."""

    def _open(self, bpf: BpfProgram) -> None:
        self._space = TupleSpace(self._layout, self._size)
        self._list_octets = masks_room(self._table) * mask_size(self._layout)
        self._masks: mmap.mmap = map_memory(bpf.map_fd(masks_map(self._table)), 2 * self._list_octets)
        self._version: npt.NDArray[np.uint64] = shared_array(bpf, version_map(self._table), (1, 1))
        self._records = bpf.map_fd(records_map(self._table))
        self._numbers: dict[Key, int] = {}
        """Each entry's place in the order of arrival, by which it is recorded."""
        self._arrived = 0

    def _take_over(self) -> None:
        assert self._map is not None
        elements = dict(map_items(self._map))
        self._space.reuse(self._list(), elements)
        recorded = sorted(self._recorded())
        self._space.size = max(self._size, len(recorded))
        for number, key, entry in recorded:
            self._space.insert(key, entry.call, entry.cell)
            self._numbers[key] = self._arrived = number
        self._space.size = self._size
        self._hits.restore({key: entry.cell for _, key, entry in recorded})
        wanted = self._space.everything()
        self._apply(
            Changes(
                {element: entry for element, entry in wanted.puts.items() if elements.get(element) != entry},
                wanted.masks if wanted.masks != self._list()[: len(wanted.masks or b"")] else None,
                [element for element in elements if element not in wanted.puts],
            )
        )

    def insert(self, key: Key, call: ActionCall) -> None:
        if key in self._space:
            raise PlaneError(f"table {self._table.name} has an entry {key} already")
        cell = self._hits.take(key)
        try:
            changes = self._space.insert(key, call, cell)
        except PlaneError:
            self._hits.give_back(key)
            raise
        try:
            self._arrived += 1
            self._numbers[key] = self._arrived
            self._record(key, call)
            self._apply(changes)
        except PlaneError:
            self._apply(self._space.delete(key))
            self._forget(key)
            self._hits.give_back(key)
            raise

    def modify(self, key: Key, call: ActionCall) -> None:
        changes = self._space.modify(key, call, self._hits.of(key))
        self._record(key, call)
        self._apply(changes)

    def delete(self, key: Key) -> None:
        changes = self._space.delete(key)
        self._forget(key)
        self._apply(changes)
        self._hits.give_back(key)

    def entries(self) -> Iterator[tuple[Key, ActionCall]]:
        """All of them, also those that others hide."""
        for _, key, entry in self._recorded():
            yield key, entry.call

    def _recorded(self) -> Iterator[tuple[int, Key, Entry]]:
        for number, record in map_items(self._records):
            yield int.from_bytes(number, sys.byteorder), *self._packing.read_record(record)

    def _record(self, key: Key, call: ActionCall) -> None:
        """From here on the entry is there, whatever happens to this process."""
        record = self._packing.record(key, call, self._hits.of(key))
        check(map_update(self._records, self._number(key), record), f"record an entry of {self._table.name}")

    def _forget(self, key: Key) -> None:
        """From here on the entry is gone."""
        map_delete(self._records, self._number(key))
        del self._numbers[key]

    def _number(self, key: Key) -> bytes:
        return self._numbers[key].to_bytes(NUMBER_OCTETS, sys.byteorder)

    def _list(self) -> bytes:
        """The masks that lookups go through now."""
        start = int(self._version[0, 0]) % 2 * self._list_octets
        return self._masks[start : start + self._list_octets]

    def _apply(self, changes: Changes) -> None:
        """In an order in which a lookup at any moment finds what was there before, or what is there after."""
        assert self._map is not None
        for element, entry in changes.puts.items():
            check(map_update(self._map, element, entry), f"write an entry to {self._table.name}")
        version = int(self._version[0, 0])
        if changes.masks is None:
            self._version[0, 0] = version + 2
        else:
            # The list that no lookup uses; one that is still at it sees by the version that it has to start again.
            start = (version + 1) % 2 * self._list_octets
            self._masks[start : start + len(changes.masks)] = changes.masks
            self._version[0, 0] = version + 1
        for element in changes.removals:
            check(map_delete(self._map, element), f"delete an entry from {self._table.name}")
