"""Table entries as values, names and integers: what a client writes and reads, and what a refusal of one says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import grpc

MatchValue = int | tuple[int, int]
"""``int`` for exact and optional fields, else a pair: (value, prefix length) for LPM, (value, mask) for
ternary, (low, high) for range."""


class BadEntry(ValueError):
    """An entry that does not fit the program. ``code`` is what P4Runtime calls the fault."""

    def __init__(self, message: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class TableEntry:
    """One entry of a table; equal when all fields are.

    ``match`` leaves out the fields that do not care. ``default`` entries have no match, and set the table's
    default action; with an empty ``action`` they put the program's own back.
    """

    table: str
    match: Mapping[str, MatchValue] = field(default_factory=dict)
    action: str = ""
    params: Mapping[str, int] = field(default_factory=dict)
    priority: int = 0
    default: bool = False

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What tells entries of a switch apart: table, match and priority."""
        return (self.table, frozenset(self.match.items()), self.priority, self.default)

    def __hash__(self) -> int:
        return hash((*self.key, self.action, frozenset(self.params.items())))

    def __str__(self) -> str:
        match = ", ".join(f"{name}={_show(value)}" for name, value in self.match.items())
        params = ", ".join(f"{name}={value:#x}" for name, value in self.params.items())
        key = "default" if self.default else match
        return f"{self.table}[{key}]" + (f" -> {self.action}({params})" if self.action else "")


class UpdateKind(Enum):
    """What to do with an entry. Values are P4Runtime's."""

    INSERT = 1
    MODIFY = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class Update:
    """One step of a batch."""

    kind: UpdateKind
    entry: TableEntry

    @classmethod
    def insert(cls, entry: TableEntry) -> Update:
        """Add an entry that is not there."""
        return cls(UpdateKind.INSERT, entry)

    @classmethod
    def modify(cls, entry: TableEntry) -> Update:
        """Replace action and parameters of an entry that is there, or of a default action."""
        return cls(UpdateKind.MODIFY, entry)

    @classmethod
    def delete(cls, entry: TableEntry) -> Update:
        """Remove an entry that is there; its action does not matter."""
        return cls(UpdateKind.DELETE, entry)

    def __str__(self) -> str:
        return f"{self.kind.name} {self.entry}"


@dataclass(frozen=True, slots=True)
class UpdateFailure:
    """An update of a batch that did not get in. ``index`` is its place in the batch, from 0."""

    index: int
    update: Update
    code: grpc.StatusCode
    message: str

    def __str__(self) -> str:
        return f"update {self.index} ({self.update}) was refused with {self.code.name}: {self.message}"


def _show(value: MatchValue) -> str:
    return f"{value:#x}" if isinstance(value, int) else f"{value[0]:#x}/{value[1]:#x}"
