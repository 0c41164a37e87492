"""A P4 program as its compiler left it: the BMv2 JSON in types, names instead of ids.

Everything here is a plain value. :mod:`ezpath_tor.bmv2.read` makes it, :mod:`ezpath_tor.codegen` turns it into C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ezpath_tor.bmv2.language import (
    Assign,
    AssignHeader,
    Const,
    Expr,
    FieldRef,
    Header,
    LastField,
    Lookahead,
    Param,
    SetInvalid,
    SetValid,
    Source,
    Statement,
    ValidRef,
)
from ezpath_tor.plane import Key

STANDARD_METADATA = "standard_metadata"
"""The v1model struct through which a program and the switch talk."""


# ---- parser ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extract:
    header: str
    source: Source


@dataclass(frozen=True, slots=True)
class Verify:
    """Leaves the parser with ``error`` unless ``condition`` holds."""

    condition: Expr
    error: int
    source: Source


@dataclass(frozen=True, slots=True)
class ExtractNext:
    """Into the next element of a header stack; the parser leaves with StackOutOfBounds where there is none."""

    stack: str
    source: Source


@dataclass(frozen=True, slots=True)
class Advance:
    """Bytes that the parser takes and puts nowhere."""

    octets: int
    source: Source


ParserOp = Extract | ExtractNext | Advance | Verify | Assign | AssignHeader | SetValid | SetInvalid


@dataclass(frozen=True, slots=True)
class Transition:
    """Taken where each key, under its mask, is its value. ``next_state`` None: accept."""

    values: tuple[int, ...]
    masks: tuple[int, ...]
    next_state: str | None


@dataclass(frozen=True, slots=True)
class State:
    name: str
    ops: tuple[ParserOp, ...]
    keys: tuple[FieldRef | LastField | Lookahead, ...]
    transitions: tuple[Transition, ...]
    default: str | None
    source: Source


# ---- tables and control flow -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    id: int
    name: str
    params: tuple[Param, ...]
    body: tuple[Statement, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class KeyField:
    """``match`` is ``exact``, ``lpm``, ``ternary`` (``optional`` as well) or ``range``."""

    name: str
    match: str
    ref: FieldRef | ValidRef
    width: int
    mask: int | None = None
    """What the program itself masks the field with, as in ``key = { hdr.h.f & 0xff : exact; }``."""


@dataclass(frozen=True, slots=True)
class Call:
    """An action with the data an entry gives it."""

    action: int
    data: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One that the program itself comes with."""

    key: Key
    call: Call


@dataclass(frozen=True, slots=True)
class Table:
    """One match-action table and where control goes after it."""

    name: str
    keys: tuple[KeyField, ...]
    actions: tuple[int, ...]
    max_size: int
    default: Call | None
    default_is_const: bool
    entries: tuple[Entry, ...]
    hit_counter: str | None
    """The direct counter: packets and bytes of each entry."""
    next_by_action: Mapping[int, str | None]
    next_hit: str | None
    next_miss: str | None
    by_hit: bool
    """Control goes on by hit or miss, not by the action that ran."""
    next_default: str | None
    source: Source

    @property
    def ternary(self) -> bool:
        """More than one entry can match: the one with the highest priority does."""
        return any(key.match in ("ternary", "range") for key in self.keys)

    @property
    def lpm(self) -> bool:
        """The entry with the longest prefix matches. Beside ternary fields a prefix is a mask like others."""
        return not self.ternary and any(key.match == "lpm" for key in self.keys)

    def successors(self) -> tuple[str | None, ...]:
        if self.by_hit:
            return (self.next_hit, self.next_miss)
        by_action = tuple(self.next_by_action[action] for action in self.actions)
        return by_action if self.default is not None else (*by_action, self.next_default)


@dataclass(frozen=True, slots=True)
class Conditional:
    name: str
    condition: Expr
    then: str | None
    otherwise: str | None
    source: Source

    def successors(self) -> tuple[str | None, ...]:
        return (self.then, self.otherwise)


Node = Table | Conditional


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``ingress`` or ``egress``: a graph of tables and conditionals; None is its end."""

    name: str
    start: str | None
    nodes: Mapping[str, Node]
    source: Source


# ---- externs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Register:
    name: str
    size: int
    width: int
    source: Source


@dataclass(frozen=True, slots=True)
class Counter:
    name: str
    size: int
    source: Source


@dataclass(frozen=True, slots=True)
class Calculation:
    """``inputs`` are packed most significant bit first, zero padded to whole bytes at the end."""

    name: str
    algorithm: str
    inputs: tuple[FieldRef | Const, ...]
    widths: tuple[int, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that the switch verifies before ingress or updates after egress."""

    target: FieldRef
    calculation: str
    condition: Expr | None
    verify: bool
    update: bool
    source: Source


@dataclass(frozen=True, slots=True)
class Program:
    """All of it."""

    name: str
    headers: Mapping[str, Header]
    stacks: Mapping[str, tuple[str, ...]]
    """Header stack to its elements, which are headers as well."""
    errors: Mapping[str, int]
    states: Mapping[str, State]
    start: str
    actions: Mapping[int, Action]
    ingress: Pipeline
    egress: Pipeline
    registers: Mapping[str, Register]
    counters: Mapping[str, Counter]
    calculations: Mapping[str, Calculation]
    checksums: tuple[Checksum, ...]
    deparse_order: tuple[str, ...]

    def action_label(self, action: Action) -> str:
        """The action's name; p4c makes one for each table that uses it, and the others get their id behind it."""
        first = next(other for other in self.actions.values() if other.name == action.name)
        if first is not action:
            return f"{action.name}.{action.id}"
        return f"{action.name}.action" if action.name in self.tables else action.name

    @property
    def tables(self) -> dict[str, Table]:
        """The tables of both pipelines, by full name."""
        nodes = [*self.ingress.nodes.values(), *self.egress.nodes.values()]
        return {node.name: node for node in nodes if isinstance(node, Table)}
