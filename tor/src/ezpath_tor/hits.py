"""Direct counters: packets and bytes of each entry of a table, in cells that the BPF program counts in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ezpath_tor.bpf import BpfProgram, map_memory
from ezpath_tor.codegen.tables import hits_map
from ezpath_tor.layout import TableLayout
from ezpath_tor.plane import Key, PlaneError


class HitCells:
    """Which entry of a table counts in which cell; a table without a direct counter has none."""

    def __init__(self, layout: TableLayout, bpf: BpfProgram) -> None:
        self._table = layout.table
        self._of: dict[Key, int] = {}
        # A cell that is free again waits the longest: a packet may still count in it.
        self._free: deque[int] = deque()
        self._cells: npt.NDArray[np.uint64] = np.zeros((0, 2), np.uint64)
        if self._table.hit_counter is not None:
            size = max(1, self._table.max_size)
            self._cells = shared_array(bpf, hits_map(self._table), (size, 2))
            self._free.extend(range(size))

    def take(self, key: Key) -> int:
        """A cell for a new entry, at zero."""
        if not self._free:
            return 0
        cell = self._of[key] = self._free.popleft()
        self._cells[cell] = 0
        return cell

    def restore(self, cells: Mapping[Key, int]) -> None:
        """The cells that entries count in already."""
        if self._table.hit_counter is not None:
            self._of = dict(cells)
            taken = set(cells.values())
            self._free = deque(cell for cell in self._free if cell not in taken)

    def of(self, key: Key) -> int:
        """The cell of an entry that is there."""
        return self._of.get(key, 0)

    def give_back(self, key: Key) -> None:
        """The cell of an entry that goes."""
        if key in self._of:
            self._free.append(self._of.pop(key))

    def read(self, key: Key) -> tuple[int, int]:
        """Packets and bytes of an entry. Raises :class:`PlaneError`."""
        packets, octets = self._cells[self._known(key)]
        return int(packets), int(octets)

    def write(self, key: Key, packets: int, octets: int) -> None:
        """Raises :class:`PlaneError`."""
        self._cells[self._known(key)] = (packets, octets)

    def _known(self, key: Key) -> int:
        if self._table.hit_counter is None:
            raise PlaneError(f"table {self._table.name} has no direct counter")
        if key not in self._of:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        return self._of[key]


def shared_array(bpf: BpfProgram, map_name: str, shape: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """An array map's cells, as the BPF program sees them; no system call reads or writes one."""
    memory = map_memory(bpf.map_fd(map_name), 8 * shape[0] * shape[1])
    return np.frombuffer(memory, dtype=np.uint64, count=shape[0] * shape[1]).reshape(shape)
