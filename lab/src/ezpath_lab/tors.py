"""The two top-of-rack switches, each in a namespace of its own with ports bound to its interfaces.

What differs from one kind of switch to another is in :mod:`ezpath_lab.software_tor` and :mod:`ezpath_lab.bmv2`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ezpath_lab.processes import TOR, Processes, accepts
from ezpath_lab.topology import Topology, Tor, tor_socket
from ezpath_lab.workload import Pace


@dataclass(frozen=True, slots=True)
class Limit:
    """Switch ``tor`` has room for ``entries`` entries of ``table``, whatever the program says."""

    tor: str
    table: str
    entries: int

    def __str__(self) -> str:
        return f"{self.table}={self.entries}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where the switch-writer finds the programs, and what the inventory says of each switch besides."""

    p4_dir: Path
    switches: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Kind(Protocol):
    """A kind of switch. All methods raise :class:`ezpath_lab.shell.LabError`."""

    @property
    def says_full(self) -> str:
        """What it answers when a table has no room left."""

    @property
    def pace(self) -> Pace:
        """What it can carry, on a machine where a lab is all that runs."""

    @property
    def in_user_space(self) -> bool:
        """It can do nothing with frames whose checksums or segmentation were left for a network card to do."""

    def require(self) -> None:
        """Refuse at once where it is not installed."""

    def prepare(self, topology: Topology, p4_dir: Path, run_dir: Path, limits: Sequence[Limit]) -> Prepared:
        """Make the programs of all switches out of those in ``p4_dir``."""

    def command(self, topology: Topology, tor: Tor, run_dir: Path, limits: Sequence[Limit]) -> list[str]:
        """What starts ``tor`` in its namespace; ``limits`` are its own."""

    def start_beside(self, topology: Topology, tor: Tor, run_dir: Path, processes: Processes) -> None:
        """Start what a switch of this kind needs besides its own process."""

    def take_over(self, topology: Topology) -> None:
        """From now on the switches forward, once they have their program, and the kernel's routers no more."""


def start_all(
    topology: Topology,
    run_dir: Path,
    processes: Processes,
    kind: Kind,
    limits: Sequence[Limit] = (),
    more: Callable[[Tor], Sequence[str]] | None = None,
) -> None:
    """Start both ToRs and wait until they serve P4Runtime; ``more`` is what each is told besides. Raises LabError."""
    for tor in topology.tors:
        child = processes.start(
            tor.name,
            *kind.command(topology, tor, run_dir, [limit for limit in limits if limit.tor == tor.name]),
            *(more(tor) if more is not None else ()),
            rank=TOR,
            namespace=topology.namespace(tor.name),
        )
        socket = tor_socket(run_dir, tor.name)
        processes.wait_ready(child, lambda socket=socket: accepts(socket), "listening")  # type: ignore[misc]
        kind.start_beside(topology, tor, run_dir, processes)
