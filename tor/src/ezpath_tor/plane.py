"""The seam between the P4Runtime server and the data plane that runs the program.

The server knows protobuf, election and status codes; a data plane knows packets. They meet in :class:`DataPlane`,
whose names are the P4 program's own (``EzIngress.tunnel.endpoint``), never p4info ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

NOTHING: Mapping[bytes, bytes] = MappingProxyType({})


class PlaneError(Exception):
    """Something the data plane was asked for and cannot do."""


class Unsupported(PlaneError):
    """The program uses a construct outside the supported subset. Names it, with its P4 source line."""

    def __init__(self, construct: str, where: str = "") -> None:
        self.construct = construct
        self.where = where
        super().__init__(f"{where}: {construct} is not supported" if where else f"{construct} is not supported")


class Malformed(PlaneError):
    """The configuration is not what a compiler writes. Says where in it, and what is wrong there."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the pipeline configuration is not BMv2 JSON as p4c-bm2-ss writes it: {problem}; "
            "compile the program with p4c-bm2-ss"
        )


class Unrealizable(PlaneError):
    """The program is one, and nothing that this machine can run comes of it."""


class TableFull(PlaneError):
    """The table has as many entries as its size allows, or as many different masks as are looked up."""


@dataclass(frozen=True, slots=True)
class Lpm:
    """One longest-prefix match field: ``value`` with the bits behind ``prefix_len`` zero."""

    value: int
    prefix_len: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """One ternary or optional match field: ``value`` with the bits outside ``mask`` zero. Mask 0 does not care."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Range:
    """One range match field; both ends belong to it."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Priority:
    """Which of several matching entries counts: the one with the highest number."""

    value: int


Key = tuple[int | Lpm | Ternary | Range | Priority, ...]
"""One value for each key field of the table, in the program's order; behind them a :class:`Priority` where the table
has ternary, range or optional fields: it tells entries apart that match the same."""


@dataclass(frozen=True, slots=True)
class ActionCall:
    """An action's full name and its parameters in the program's order."""

    action: str
    params: tuple[int, ...] = ()


NOTE_OCTETS = 1000
"""The most that one note holds."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier process left running: what it had given to :meth:`DataPlane.load`, and noted since."""

    config: bytes
    memo: bytes
    notes: Mapping[bytes, bytes]


class DataPlane(Protocol):
    """A loaded program on a set of ports. Not thread safe: the server serialises calls."""

    @property
    def ports(self) -> Mapping[int, str]:
        """P4 port number to the network interface behind it."""

    def load(self, config: bytes, memo: bytes = b"", notes: Mapping[bytes, bytes] = NOTHING) -> None:
        """Compile BMv2 JSON, and put it on all ports in place of what ran before, tables empty.

        ``memo`` and ``notes`` are kept with the program, for a process that takes over. An interface that is not there
        gets the program when it comes.

        Raises :class:`Unsupported` or :class:`PlaneError`; then what ran before still runs.
        """

    def take_over(self) -> Earlier | None:
        """Go on with the program that an earlier process left on the ports, entries, registers, counters and all.

        None where there is none. Raises :class:`PlaneError` where there is one that this process cannot go on with;
        :meth:`close` takes it off. The ports are as they were, until :meth:`refresh`.
        """

    def note(self, key: bytes, value: bytes | None) -> None:
        """Keep a small value with the program that is loaded; None forgets it. A key has at most 31 bytes."""

    def refresh(self) -> None:
        """Interfaces came, went or changed: let go of those that are gone, take in those that are there."""

    def leave(self) -> None:
        """Let go of everything, and leave the program on the ports, at work, for the next process."""

    def close(self) -> None:
        """Take every program of ours off the ports, also what an earlier process left there. Idempotent."""

    def entries(self, table: str) -> Iterable[tuple[Key, ActionCall]]:
        """What stands in a table now, in no order."""

    def default(self, table: str) -> ActionCall | None:
        """A table's default action, where it is not the program's own."""

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        """Add an entry that is not there. Raises :class:`TableFull`."""

    def modify(self, table: str, key: Key, call: ActionCall) -> None:
        """Replace the action of an entry that is there."""

    def delete(self, table: str, key: Key) -> None:
        """Remove an entry that is there."""

    def set_default(self, table: str, call: ActionCall | None) -> None:
        """Set a table's default action; ``None`` puts the program's own back."""

    def read_hits(self, table: str, key: Key) -> tuple[int, int]:
        """Packets and bytes that the table's direct counter has for an entry."""

    def write_hits(self, table: str, key: Key, packets: int, octets: int) -> None:
        """Set them."""

    def read_register(self, name: str) -> npt.NDArray[np.uint8]:
        """All cells, shape (cells, width in bytes), big endian, as they are now."""

    def write_register(self, name: str, index: int, value: int) -> None: ...

    def read_counter(self, name: str) -> npt.NDArray[np.uint64]:
        """All cells of an indirect counter, shape (cells, 2): packets, bytes."""

    def write_counter(self, name: str, index: int, packets: int, octets: int) -> None: ...
