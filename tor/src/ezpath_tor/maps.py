"""Tables, registers and counters as the control side holds them: BPF maps, and arrays in shared memory."""

from __future__ import annotations

import errno
import os
import sys

import numpy as np
import numpy.typing as npt

from ezpath_tor.bmv2.model import Call, Program, Register
from ezpath_tor.bpf import BpfObject, map_delete, map_update
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.tables import default_map, has_default_map
from ezpath_tor.hits import HitCells, shared_array
from ezpath_tor.layout import TableLayout, limbs_of
from ezpath_tor.plane import ActionCall, Key, PlaneError, TableFull

SETTLE_TRIES = 8
"""How often a register cell that changes while it is read is read again."""


class TableMap:
    """A table's entries in its BPF map."""

    def __init__(self, layout: TableLayout, program: Program, bpf: BpfObject, limit: int | None) -> None:
        self._layout = layout
        self._table = layout.table
        self._program = program
        self._keys: set[bytes] = set()
        self._size = min(self._table.max_size, limit if limit is not None else self._table.max_size)
        name = global_name(self._table.name)
        self._map = bpf.map_fd(name) if self._table.keys else None
        self._default = bpf.map_fd(default_map(self._table)) if has_default_map(self._table) else None
        if self._default is not None:
            self.set_default(None)
        self._hits = HitCells(layout, bpf)
        self._open(bpf)
        for entry in self._table.entries:
            self.insert(entry.key, call_of(program, entry.call))

    def _open(self, bpf: BpfObject) -> None:
        """Reach what the kind of table needs beside the map of its entries."""

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

    def set_default(self, call: ActionCall | None) -> None:
        """``None`` puts the program's own back. Raises :class:`PlaneError` where it is constant."""
        if self._default is None:
            raise PlaneError(f"the default action of table {self._table.name} is constant in the program")
        if call is None and self._table.default is not None:
            call = call_of(self._program, self._table.default)
        if call is None:
            map_delete(self._default, u32(0))
        else:
            entry = self._layout.pack_entry(call)
            check(map_update(self._default, u32(0), entry), f"set the default of {self._table.name}")

    def _packed(self, key: Key) -> bytes:
        if self._map is None:
            raise PlaneError(f"table {self._table.name} has no key and takes no entries")
        return self._layout.pack_key(key)

    def _put(self, packed: bytes, call: ActionCall, cell: int) -> None:
        assert self._map is not None
        status = map_update(self._map, packed, self._layout.pack_entry(call, cell=cell))
        if status in (-errno.E2BIG, -errno.ENOSPC):
            raise TableFull(f"table {self._table.name} is full: the kernel holds {len(self._keys)} entries")
        check(status, f"write an entry to {self._table.name}")
        self._keys.add(packed)


class RegisterMemory:
    """A register array, mapped."""

    def __init__(self, register: Register, bpf: BpfObject) -> None:
        self._register = register
        self._octets = (register.width + 7) // 8
        self._cells = shared_array(bpf, global_name(register.name), (register.size, limbs_of(register.width)))

    def read(self) -> npt.NDArray[np.uint8]:
        """Cells that a packet changes while they are read are read again, so that none is half old, half new."""
        cells = self._cells.copy()
        again = self._cells.copy()
        for _ in range(SETTLE_TRIES):
            moving = np.flatnonzero((cells != again).any(axis=1))
            if not len(moving):
                break
            cells[moving] = again[moving]
            again[moving] = self._cells[moving]
        big_endian = np.ascontiguousarray(again[:, ::-1]).astype(">u8")
        octets: npt.NDArray[np.uint8] = big_endian.view(np.uint8).reshape(len(again), -1)
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


def check(status: int, what: str) -> None:
    """Raises :class:`PlaneError` for a status of libbpf that is not 0."""
    if status:
        raise PlaneError(f"the kernel did not {what}: {os.strerror(-status)}")


def u32(value: int) -> bytes:
    """As a map's key or value."""
    return value.to_bytes(4, sys.byteorder)
