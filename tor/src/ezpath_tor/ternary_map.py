"""A ternary table's maps: its entries under their masks, and the list of masks that a lookup goes through."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from ezpath_tor.bpf import BpfObject, map_delete, map_memory, map_update
from ezpath_tor.codegen.ternary import masks_map, version_map
from ezpath_tor.hits import shared_array
from ezpath_tor.maps import TableMap, check
from ezpath_tor.plane import ActionCall, Key, PlaneError
from ezpath_tor.tuples import Changes, TupleSpace, mask_size, masks_room


class TernaryMap(TableMap):
    """The same requests as any table's, and one packet sees all of one or nothing of it."""

    def _open(self, bpf: BpfObject) -> None:
        self._space = TupleSpace(self._layout, self._size)
        self._list_octets = masks_room(self._table) * mask_size(self._layout)
        self._masks: mmap.mmap = map_memory(bpf.map_fd(masks_map(self._table)), 2 * self._list_octets)
        self._version: npt.NDArray[np.uint64] = shared_array(bpf, version_map(self._table), (1, 1))

    def insert(self, key: Key, call: ActionCall) -> None:
        cell = self._hits.take(key)
        try:
            changes = self._space.insert(key, call, cell)
        except PlaneError:
            if key not in self._space:
                self._hits.give_back(key)
            raise
        try:
            self._apply(changes)
        except PlaneError:
            self._hits.give_back(key)
            self._apply(self._space.delete(key))
            raise

    def modify(self, key: Key, call: ActionCall) -> None:
        self._apply(self._space.modify(key, call, self._hits.of(key)))

    def delete(self, key: Key) -> None:
        self._apply(self._space.delete(key))
        self._hits.give_back(key)

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
