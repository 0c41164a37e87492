"""One program in the kernel as the control side holds it: its tables, registers, counters and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ezpath_tor import saved
from ezpath_tor.bmv2.model import Program
from ezpath_tor.bpf import BpfProgram
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.tables import layout_of
from ezpath_tor.hits import shared_array
from ezpath_tor.maps import RegisterMemory, TableMap
from ezpath_tor.packing import Packing
from ezpath_tor.plane import PlaneError
from ezpath_tor.ternary_map import NUMBER_OCTETS, TernaryMap, records_map

LOSSES = (
    "shorter than an Ethernet header",
    "more VLAN tags than the switch takes apart",
    "out of a port that the switch does not have",
    "more headers than the deparser has room for",
    "refused by the kernel when its headers were changed",
    "longer than the MTU of the port it was to leave by",
)
"""Why frames are lost in runtime.h and not by the program, in its order."""

_T = TypeVar("_T")


class Loaded:
    """One program in the kernel, its tables, registers and counters."""

    def __init__(
        self, program: Program, source: str, program_in_kernel: BpfProgram, limits: Mapping[str, int], *, running: bool
    ) -> None:
        """``running``: it is at work already, and its tables have entries."""
        self.program = program
        self.source = source
        self.bpf = program_in_kernel
        self.notes = saved.notes_of(program_in_kernel)
        unknown = set(limits) - set(program.tables)
        if unknown:
            raise PlaneError(f"limit for a table that {program.name} does not have: {', '.join(sorted(unknown))}")
        self._tables = {
            name: (TernaryMap if table.ternary else TableMap)(
                layout_of(program, table), program, self.bpf, limits.get(name), running=running
            )
            for name, table in program.tables.items()
        }
        self._registers = {name: RegisterMemory(register, self.bpf) for name, register in program.registers.items()}
        self._counters = {
            name: shared_array(self.bpf, global_name(name), (counter.size, 2))
            for name, counter in program.counters.items()
        }
        self._losses = shared_array(self.bpf, "losses", (len(LOSSES), 1))

    def table(self, name: str) -> TableMap:
        return _named(self._tables, "table", name, self.program)

    def register(self, name: str) -> RegisterMemory:
        return _named(self._registers, "register", name, self.program)

    def counter(self, name: str) -> npt.NDArray[np.uint64]:
        return _named(self._counters, "counter", name, self.program)

    def losses(self) -> dict[str, int]:
        return {reason: int(frames) for reason, frames in zip(LOSSES, self._losses[:, 0], strict=True) if frames}


def rooms(program: Program) -> dict[str, saved.Room]:
    """For what a table's own maps do not tell of its entries."""
    return {
        records_map(table): saved.Room(
            NUMBER_OCTETS, Packing(layout_of(program, table)).record_size, max(1, table.max_size)
        )
        for table in program.tables.values()
        if table.ternary
    }


def _named(things: Mapping[str, _T], kind: str, name: str, program: Program) -> _T:
    if name not in things:
        raise PlaneError(f"{program.name} has no {kind} {name}; it has {', '.join(sorted(things)) or 'none'}")
    return things[name]
