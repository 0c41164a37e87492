"""A data plane of dictionaries: it keeps what it is given, and moves no packet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from ezpath_tor.plane import NOTHING, ActionCall, Earlier, Key


class MemoryPlane:
    """Implements DataPlane. ``load_s``, ``insert_s``, ``hang_s``: how long a load, an insert, a register read takes.

    ``left``: what an earlier process left, for :meth:`take_over` to find.
    """

    def __init__(self, ports: Mapping[int, str] | None = None) -> None:
        self.load_s = self.insert_s = self.hang_s = 0.0
        self.refuse: Exception | None = None
        self.loads = 0
        self.refreshed = 0
        self.closed = False
        self.left: Earlier | None = None
        self.notes: dict[bytes, bytes] = {}
        self.tables: dict[str, dict[Key, ActionCall]] = {}
        self.defaults: dict[str, ActionCall] = {}
        self.registers: dict[str, npt.NDArray[np.uint8]] = {}
        self.counters: dict[str, npt.NDArray[np.uint64]] = {}
        self._ports = dict(ports or {1: "p1", 2: "p2"})

    @property
    def ports(self) -> Mapping[int, str]:
        return self._ports

    def load(self, config: bytes, memo: bytes = b"", notes: Mapping[bytes, bytes] = NOTHING) -> None:
        time.sleep(self.load_s)
        if self.refuse is not None:
            raise self.refuse
        program = json.loads(config)
        self.loads += 1
        tables = [table for pipeline in program["pipelines"] for table in pipeline["tables"]]
        self.tables = {table["name"]: {} for table in tables}
        self.defaults = {}
        self.registers = {
            array["name"]: np.zeros((array["size"], (array["bitwidth"] + 7) // 8), np.uint8)
            for array in program["register_arrays"]
        }
        self.counters = {array["name"]: np.zeros((array["size"], 2), np.uint64) for array in program["counter_arrays"]}
        self.notes = dict(notes)
        self.left = Earlier(config, memo, self.notes)

    def take_over(self) -> Earlier | None:
        if self.refuse is not None:
            raise self.refuse
        return self.left

    def note(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = value

    def refresh(self) -> None:
        self.refreshed += 1

    def leave(self) -> None:
        """The next process is another Switch with this plane."""

    def close(self) -> None:
        self.closed = True
        self.left = None

    def entries(self, table: str) -> Iterable[tuple[Key, ActionCall]]:
        return self.tables[table].items()

    def default(self, table: str) -> ActionCall | None:
        return self.defaults.get(table)

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        if self.insert_s:
            time.sleep(self.insert_s)
        assert key not in self.tables[table]
        self.tables[table][key] = call

    def modify(self, table: str, key: Key, call: ActionCall) -> None:
        assert key in self.tables[table]
        self.tables[table][key] = call

    def delete(self, table: str, key: Key) -> None:
        del self.tables[table][key]

    def set_default(self, table: str, call: ActionCall | None) -> None:
        if call is None:
            self.defaults.pop(table, None)
        else:
            self.defaults[table] = call

    def read_register(self, name: str) -> npt.NDArray[np.uint8]:
        time.sleep(self.hang_s)
        return self.registers[name].copy()

    def write_register(self, name: str, index: int, value: int) -> None:
        cells = self.registers[name]
        cells[index] = np.frombuffer(value.to_bytes(cells.shape[1], "big"), np.uint8)

    def read_counter(self, name: str) -> npt.NDArray[np.uint64]:
        return self.counters[name].copy()

    def write_counter(self, name: str, index: int, packets: int, octets: int) -> None:
        self.counters[name][index] = packets, octets

    def read_hits(self, table: str, key: Key) -> tuple[int, int]:
        raise AssertionError("nobody here reads a direct counter")

    def write_hits(self, table: str, key: Key, packets: int, octets: int) -> None:
        raise AssertionError("nobody here writes a direct counter")
