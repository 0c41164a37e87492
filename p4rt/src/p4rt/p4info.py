"""p4info as a program wants it: names, short or full, instead of ids.

A name is looked up as the full name (``EzIngress.tunnel.endpoint``) first and as the alias, the shortest
suffix that is unique among objects of the same kind (``endpoint``), next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from google.protobuf import text_format

from p4rt import messages


class MatchKind(Enum):
    """How a match field matches. Values are p4info's."""

    EXACT = 2
    LPM = 3
    TERNARY = 4
    RANGE = 5
    OPTIONAL = 6


@dataclass(frozen=True, slots=True)
class MatchField:
    """One key field of a table. ``width`` in bits."""

    id: int
    name: str
    width: int
    kind: MatchKind


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an action. ``width`` in bits."""

    id: int
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """An action, with its parameters in the program's order."""

    id: int
    name: str
    alias: str
    params: tuple[Param, ...]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table. ``size`` in entries; the key fields in the program's order.

    ``entry_actions`` may stand in entries, ``default_actions`` as the default action (p4info's scopes).
    ``default_action`` is the program's own, where p4info tells it. The program comes with
    ``initial_entries``, and ``const_entries`` means that there are no others. ``indirect`` tables have an
    action profile. ``direct_counter`` is the id of one, 0 for none; ``direct_others`` are ids of direct meters.
    """

    id: int
    name: str
    alias: str
    size: int
    fields: tuple[MatchField, ...]
    entry_actions: frozenset[int]
    default_actions: frozenset[int]
    const_default: bool
    const_entries: bool
    initial_entries: bool
    indirect: bool
    direct_counter: int
    direct_others: tuple[int, ...]
    default_action: tuple[int, tuple[int, ...]] | None

    @property
    def needs_priority(self) -> bool:
        """Entries carry a priority, because more than one can match."""
        return any(field.kind in (MatchKind.TERNARY, MatchKind.RANGE, MatchKind.OPTIONAL) for field in self.fields)


@dataclass(frozen=True, slots=True)
class CounterInfo:
    """An indirect counter. ``size`` in cells."""

    id: int
    name: str
    alias: str
    size: int


@dataclass(frozen=True, slots=True)
class RegisterInfo:
    """A register array. ``size`` in cells, ``width`` in bits; width 0 for cells that are not ``bit<W>``."""

    id: int
    name: str
    alias: str
    size: int
    width: int

    @property
    def width_bytes(self) -> int:
        """Bytes one cell takes."""
        return (self.width + 7) // 8


class UnknownName(KeyError):
    """The program has no such table, action, register or counter."""

    def __str__(self) -> str:
        return str(self.args[0])


_T = TypeVar("_T", TableInfo, ActionInfo, CounterInfo, RegisterInfo)


class Index(Generic[_T]):
    """The objects of one kind, by id, full name or alias."""

    def __init__(self, kind: str, objects: Sequence[_T]) -> None:
        self._kind = kind
        self.by_id: Mapping[int, _T] = {item.id: item for item in objects}
        for values in ([item.id for item in objects], [item.name for item in objects]):
            if len(set(values)) != len(values):
                raise ValueError(f"two {kind}s have the same id or name")
        # Full names last: they win where one is another object's alias.
        self._by_name: dict[str, _T] = {item.alias: item for item in self.by_id.values()}
        self._by_name.update({item.name: item for item in self.by_id.values()})

    def __getitem__(self, name: str) -> _T:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(sorted(item.alias for item in self.by_id.values())) or "none"
            raise UnknownName(f"the program has no {self._kind} {name!r}; it has {known}") from None

    def __iter__(self) -> Iterator[_T]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)


class P4Info:
    """A program's tables, actions, counters and registers.

    ``proto`` is the message it was made from. Raises ``ValueError`` for a p4info that contradicts itself.
    """

    def __init__(self, proto: messages.P4Info) -> None:
        self.proto = proto
        self.actions = Index("action", [_action(action) for action in proto.actions])
        counters = {counter.preamble.id for counter in proto.direct_counters}
        self.tables = Index("table", [_table(table, self.actions.by_id, counters) for table in proto.tables])
        self.counters = Index("counter", [_counter(counter) for counter in proto.counters])
        self.registers = Index("register", [_register(register) for register in proto.registers])

    @classmethod
    def load(cls, path: str | Path) -> P4Info:
        """Read a p4info file: text format, or binary where the name ends in ``.bin``.

        Raises ``OSError``, and ``ValueError`` naming the file where it is no p4info.
        """
        data = Path(path).read_bytes()
        try:
            if str(path).endswith(".bin"):
                return cls(messages.P4Info.FromString(data))
            return cls(text_format.Parse(data.decode(), messages.P4Info()))
        except Exception as error:
            raise ValueError(f"{path} is no p4info: {error}") from error


def _action(proto: messages.ActionDescription) -> ActionInfo:
    what = f"action {proto.preamble.name}"
    params = tuple(Param(param.id, param.name, _natural(param.bitwidth, what)) for param in proto.params)
    _check_unique([param.id for param in params], f"parameters of {what}")
    return ActionInfo(proto.preamble.id, proto.preamble.name, proto.preamble.alias, params)


def _table(proto: messages.Table, actions: Mapping[int, ActionInfo], counters: AbstractSet[int]) -> TableInfo:
    name = proto.preamble.name
    refs = [(ref.id, ref.scope) for ref in proto.action_refs]
    defaults = [proto.const_default_action_id, proto.initial_default_action.action_id]
    for action_id in (*(action_id for action_id, _ in refs), *filter(None, defaults)):
        if action_id not in actions:
            raise ValueError(f"table {name} refers to action id {action_id}, which is not in the p4info")
    fields = tuple(_match_field(name, field) for field in proto.match_fields)
    _check_unique([field.id for field in fields], f"match fields of table {name}")
    default = None
    if proto.initial_default_action.action_id:
        call = proto.initial_default_action
        values = {argument.param_id: int.from_bytes(argument.value, "big") for argument in call.arguments}
        wanted = actions[call.action_id].params
        default = (call.action_id, tuple(values.get(param.id, 0) for param in wanted))
    elif proto.const_default_action_id:
        default = (proto.const_default_action_id, ())
    return TableInfo(
        id=proto.preamble.id,
        name=name,
        alias=proto.preamble.alias,
        size=_natural(proto.size, f"table {name}"),
        fields=fields,
        entry_actions=frozenset(action_id for action_id, scope in refs if scope != _DEFAULT_ONLY),
        default_actions=frozenset(action_id for action_id, scope in refs if scope != _TABLE_ONLY),
        const_default=proto.const_default_action_id != 0,
        const_entries=proto.is_const_table,
        initial_entries=proto.has_initial_entries,
        indirect=proto.implementation_id != 0,
        direct_counter=next((resource for resource in proto.direct_resource_ids if resource in counters), 0),
        direct_others=tuple(resource for resource in proto.direct_resource_ids if resource not in counters),
        default_action=default,
    )


_TABLE_ONLY, _DEFAULT_ONLY = 1, 2  # p4info's ActionRef.Scope


def _match_field(table: str, proto: messages.MatchField) -> MatchField:
    try:
        kind = MatchKind(proto.match_type)
    except ValueError:
        raise ValueError(f"field {proto.name} of table {table} has an unknown match type") from None
    width = _natural(proto.bitwidth, f"field {proto.name} of table {table}")
    return MatchField(proto.id, proto.name, width, kind)


def _counter(proto: messages.Counter) -> CounterInfo:
    size = _natural(proto.size, f"counter {proto.preamble.name}")
    return CounterInfo(proto.preamble.id, proto.preamble.name, proto.preamble.alias, size)


def _register(proto: messages.Register) -> RegisterInfo:
    what = f"register {proto.preamble.name}"
    width = _natural(proto.type_spec.bitstring.bit.bitwidth, what)
    size = _natural(proto.size, what)
    return RegisterInfo(proto.preamble.id, proto.preamble.name, proto.preamble.alias, size, width)


def _natural(number: int, what: str) -> int:
    if number < 0:
        raise ValueError(f"{what} has a size or width of {number}")
    return number


def _check_unique(ids: list[int], what: str) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError(f"two {what} have the same id")
