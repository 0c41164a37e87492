"""Tables, registers and counters as the control side holds them: BPF maps, and arrays in shared memory."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ezpath_tor.bmv2.model import Call, Program, Register
from ezpath_tor.bpf import BpfProgram, check, map_delete, map_items, map_lookup, map_update, u32
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.tables import default_map, has_default_map
from ezpath_tor.hits import HitCells, shared_array
from ezpath_tor.layout import TableLayout, limbs_of
from ezpath_tor.packing import Packing
from ezpath_tor.plane import ActionCall, Key, PlaneError, TableFull

SETTLE_TRIES = 8
"""How often a register cell that changes while it is read is read again."""


class TableMap:
    """A table's entries in its BPF map."""

    def __init__(
        self, layout: TableLayout, program: Program, bpf: BpfProgram, limit: int | None, *, running: bool
    ) -> None:
        """``running``: the maps are in use and hold entries already; else the table starts as the program says."""
        self._layout = layout
        self._packing = Packing(layout)
        self._table = layout.table
        self._program = program
        self._keys: set[bytes] = set()
        self._size = min(self._table.max_size, limit if limit is not None else self._table.max_size)
        name = global_name(self._table.name)
        self._map = bpf.map_fd(name) if self._table.keys else None
        self._default = bpf.map_fd(default_map(self._table)) if has_default_map(self._table) else None
        self._hits = HitCells(layout, bpf)
        self._open(bpf)
        if running:
            self._take_over()
            return
        if self._default is not None:
            self.set_default(None)
        for entry in self._table.entries:
            self.insert(entry.key, call_of(program, entry.call))

    def _open(self, bpf: BpfProgram) -> None:
        """Reach what the kind of table needs beside the map of its entries."""

    def _take_over(self) -> None:
        """Know what is in the maps. Raises :class:`PlaneError` for what is no entry."""
        items = list(map_items(self._map)) if self._map is not None else []
        self._keys = {packed for packed, _ in items}
        if self._table.hit_counter is not None:
            cells = {self._packing.read_key(key): self._packing.read_entry(entry).cell for key, entry in items}
            self._hits.restore(cells)

    @property
    def hits(self) -> HitCells:
        """What the table's direct counter has counted."""
        return self._hits

    def insert(self, key: Key, call: ActionCall) -> None:
        """Raises :class:`TableFull` past the table's size or limit, :class:`PlaneError` for a wrong entry."""
        packed = self._packed(key)
        if packed in self._keys:
            raise PlaneError(f"table {self._table.name} has an entry {key} already")
        if len(self._keys) >= self._size:
            raise TableFull(f"table {self._table.name} is full: it has room for {self._size} entries")
        try:
            self._put(packed, call, self._hits.take(key))
        except PlaneError:
            self._hits.give_back(key)
            raise

    def modify(self, key: Key, call: ActionCall) -> None:
        packed = self._packed(key)
        if packed not in self._keys:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        self._put(packed, call, self._hits.of(key))

    def delete(self, key: Key) -> None:
        packed = self._packed(key)
        if packed not in self._keys:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        assert self._map is not None
        check(map_delete(self._map, packed), f"delete {key} from {self._table.name}")
        self._keys.discard(packed)
        self._hits.give_back(key)

    def entries(self) -> Iterator[tuple[Key, ActionCall]]:
        """What is in the map. Raises :class:`PlaneError` for what is no entry."""
        for key, entry in map_items(self._map) if self._map is not None else ():
            yield self._packing.read_key(key), self._packing.read_entry(entry).call

    def set_default(self, call: ActionCall | None) -> None:
        """``None`` puts the program's own back. Raises :class:`PlaneError` where it is constant."""
        if self._default is None:
            raise PlaneError(f"the default action of table {self._table.name} is constant in the program")
        call = call or self._own_default()
        if call is None:
            map_delete(self._default, u32(0))
        else:
            entry = self._packing.entry(call)
            check(map_update(self._default, u32(0), entry), f"set the default of {self._table.name}")

    def default(self) -> ActionCall | None:
        """The default action, where it is not the program's own."""
        entry = map_lookup(self._default, u32(0)) if self._default is not None else None
        call = self._packing.read_entry(entry).call if entry is not None else None
        return call if call != self._own_default() else None

    def _own_default(self) -> ActionCall | None:
        return call_of(self._program, self._table.default) if self._table.default is not None else None

    def _packed(self, key: Key) -> bytes:
        if self._map is None:
            raise PlaneError(f"table {self._table.name} has no key and takes no entries")
        return self._packing.key(key)

    def _put(self, packed: bytes, call: ActionCall, cell: int) -> None:
        assert self._map is not None
        status = map_update(self._map, packed, self._packing.entry(call, cell=cell))
        if status in (-errno.E2BIG, -errno.ENOSPC):
            raise TableFull(f"table {self._table.name} is full: the kernel holds {len(self._keys)} entries")
        check(status, f"write an entry to {self._table.name}")
        self._keys.add(packed)


class RegisterMemory:
    """A register array, mapped."""

    def __init__(self, register: Register, bpf: BpfProgram) -> None:
        self._register = register
        self._octets = (register.width + 7) // 8
        self._cells = shared_array(bpf, global_name(register.name), (register.size, limbs_of(register.width)))

    def read(self) -> npt.NDArray[np.uint8]:
        """Cells that a packet changes while they are read are read again, so that none is half old, half new."""
        cells, again = self._cells.copy(), self._cells.copy()
        for _ in range(SETTLE_TRIES):
            if np.array_equal(cells, again):
                break
            moving = np.flatnonzero((cells != again).any(axis=1))
            cells[moving] = again[moving]
            again[moving] = self._cells[moving]
        # Limbs have the least significant first; the wire has big-endian bytes.
        most_first = again[:, ::-1]
        octets = (most_first.byteswap() if sys.byteorder == "little" else most_first.copy()).view(np.uint8)
        return octets[:, octets.shape[1] - self._octets :]

    def write(self, index: int, value: int) -> None:
        name, size, width = self._register.name, self._register.size, self._register.width
        if not 0 <= index < size:
            raise PlaneError(f"register {name} has {size} cells, index {index} is not one of them")
        if value < 0 or value >> width:
            raise PlaneError(f"{value:#x} does not fit register {name} of {width} bits")
        limbs = [value >> (64 * limb) & (2**64 - 1) for limb in range(limbs_of(width))]
        self._cells[index] = np.array(limbs, dtype=np.uint64)


def call_of(program: Program, call: Call) -> ActionCall:
    """An action of the program's own, with names."""
    return ActionCall(program.actions[call.action].name, call.data)
