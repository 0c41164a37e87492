"""Table entries with names and integers, and the way to and from their protobuf form.

The same code reads what a client wrote, in the server, and what a server answers, in the client; what is
refused is refused with the code the P4Runtime specification (section 9.1) asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import grpc

from p4rt import bytestrings, messages
from p4rt.canonical import does_not_care, pair_problem, priority_problem
from p4rt.p4info import ActionInfo, MatchField, MatchKind, P4Info, TableInfo, UnknownName

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

    @property
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


def shorten(entry: TableEntry, info: P4Info) -> TableEntry:
    """The same entry with short names, as switches' answers have them. Raises :class:`BadEntry`."""
    return from_proto(to_proto(entry, info), info)


# ---- to protobuf


def to_proto(entry: TableEntry, info: P4Info) -> messages.TableEntry:
    """The ``p4.v1.TableEntry``. Raises :class:`BadEntry` naming the table, field or parameter at fault."""
    try:
        table = info.tables[entry.table]
        action = info.actions[entry.action] if entry.action else None
    except UnknownName as error:
        raise BadEntry(str(error)) from error
    check_priority(table, entry.priority, default=entry.default)
    proto = messages.TableEntry(table_id=table.id, priority=entry.priority, is_default_action=entry.default)
    unknown = set(entry.match) - {known.name for known in table.fields}
    if unknown:
        raise BadEntry(f"table {table.alias} has no match field {', '.join(sorted(unknown))}")
    for known in table.fields:
        value = entry.match.get(known.name)
        if value is not None:
            _match_to_proto(proto, table, known, value)
    if action is not None:
        _action_to_proto(proto.action.action, action, entry.params)
    return proto


def check_priority(table: TableInfo, priority: int, *, default: bool = False) -> None:
    """Raises :class:`BadEntry` where an entry has a priority and may not, or needs one."""
    problem = priority_problem(table, priority, default=default)
    if problem:
        raise BadEntry(problem)


def _match_to_proto(entry: messages.TableEntry, table: TableInfo, known: MatchField, value: MatchValue) -> None:
    """Adds a field's match, unless the value matches anything."""
    where = f"field {known.name} of table {table.alias}"
    if known.kind in (MatchKind.EXACT, MatchKind.OPTIONAL):
        if not isinstance(value, int):
            raise BadEntry(f"{where} is {known.kind.name}: it takes one number, not {value!r}")
        proto = entry.match.add(field_id=known.id)
        target = proto.exact if known.kind is MatchKind.EXACT else proto.optional
        target.value = _encode(value, known.width, where)
        return
    if isinstance(value, int):
        raise BadEntry(f"{where} is {known.kind.name}: it takes a pair of numbers, not {value!r}")
    first, second = value
    _check_pair(known, first, second, where)
    if does_not_care(known, first, second):
        return
    proto = entry.match.add(field_id=known.id)
    if known.kind is MatchKind.LPM:
        proto.lpm.value = _encode(first, known.width, where)
        proto.lpm.prefix_len = second
    elif known.kind is MatchKind.TERNARY:
        proto.ternary.value = _encode(first, known.width, where)
        proto.ternary.mask = _encode(second, known.width, where)
    else:
        proto.range.low = _encode(first, known.width, where)
        proto.range.high = _encode(second, known.width, where)


def _action_to_proto(proto: messages.Action, action: ActionInfo, params: Mapping[str, int]) -> None:
    proto.action_id = action.id
    wanted = {param.name for param in action.params}
    if wanted != set(params):
        raise BadEntry(f"action {action.alias} takes ({', '.join(sorted(wanted))}), not ({', '.join(sorted(params))})")
    for param in action.params:
        where = f"parameter {param.name} of action {action.alias}"
        proto.params.add(param_id=param.id, value=_encode(params[param.name], param.width, where))


def _encode(value: int, width: int, where: str) -> bytes:
    try:
        return bytestrings.encode(value, width)
    except bytestrings.OutOfRange as error:
        raise BadEntry(f"{where}: {error}", grpc.StatusCode.OUT_OF_RANGE) from error


# ---- from protobuf


def from_proto(proto: messages.TableEntry, info: P4Info) -> TableEntry:
    """A ``p4.v1.TableEntry`` with short names. Raises :class:`BadEntry` where it does not fit the program."""
    table = table_of(proto, info)
    action, params = "", {}
    if proto.HasField("action"):
        known, values = action_from_proto(proto.action, table, info)
        action = known.alias
        params = {param.name: value for param, value in zip(known.params, values, strict=True)}
    match = {} if proto.is_default_action else match_from_proto(proto.match, table)
    return TableEntry(table.alias, match, action, params, proto.priority, proto.is_default_action)


def table_of(proto: messages.TableEntry, info: P4Info) -> TableInfo:
    """The table an entry names. Raises :class:`BadEntry`."""
    table = info.tables.by_id.get(proto.table_id)
    if table is None:
        raise BadEntry(f"the program has no table with id {proto.table_id}", grpc.StatusCode.NOT_FOUND)
    return table


def match_from_proto(matches: Iterable[messages.FieldMatch], table: TableInfo) -> dict[str, MatchValue]:
    """The match of an entry, in the table's order of fields. Raises :class:`BadEntry`."""
    given: dict[int, messages.FieldMatch] = {}
    for match in matches:
        if match.field_id in given:
            raise BadEntry(f"table {table.alias}: match field id {match.field_id} is given twice")
        given[match.field_id] = match
    found: dict[str, MatchValue] = {}
    for known in table.fields:
        if known.id in given:
            found[known.name] = _match_value(given.pop(known.id), table, known)
        elif known.kind is MatchKind.EXACT:
            raise BadEntry(f"table {table.alias}: exact field {known.name} is missing")
    if given:
        raise BadEntry(f"table {table.alias} has no match field with id {min(given)}")
    return found


def _match_value(proto: messages.FieldMatch, table: TableInfo, known: MatchField) -> MatchValue:
    where = f"field {known.name} of table {table.alias}"
    form = proto.WhichOneof("field_match_type")
    if form != known.kind.name.lower():
        raise BadEntry(f"{where} is {known.kind.name}, but the entry gives {form or 'no value'}")
    value = getattr(proto, form)
    if known.kind in (MatchKind.EXACT, MatchKind.OPTIONAL):
        return _decode(value.value, known.width, where)
    if known.kind is MatchKind.LPM:
        first, second = _decode(value.value, known.width, where), value.prefix_len
    elif known.kind is MatchKind.TERNARY:
        first, second = _decode(value.value, known.width, where), _decode(value.mask, known.width, where)
    else:
        first, second = _decode(value.low, known.width, where), _decode(value.high, known.width, where)
    nothing = does_not_care(known, first, second)
    if nothing:
        raise BadEntry(f"{where}: a field that does not care is left out, not given {nothing}")
    _check_pair(known, first, second, where)
    return first, second


def _check_pair(known: MatchField, first: int, second: int, where: str) -> None:
    for value in (first, second) if known.kind is not MatchKind.LPM else (first,):
        _encode(value, known.width, where)
    problem = pair_problem(known, first, second)
    if problem:
        raise BadEntry(f"{where}: {problem}")


def action_from_proto(
    proto: messages.TableAction, table: TableInfo, info: P4Info
) -> tuple[ActionInfo, tuple[int, ...]]:
    """The action of an entry and its parameters in the program's order. Raises :class:`BadEntry`."""
    form = proto.WhichOneof("type")
    if form != "action":
        raise BadEntry(f"table {table.alias} is direct: it takes an action, not {form or 'nothing'}")
    call = proto.action
    action = info.actions.by_id.get(call.action_id)
    if action is None or call.action_id not in table.entry_actions | table.default_actions:
        name = action.alias if action else f"with id {call.action_id}"
        raise BadEntry(f"table {table.alias} has no action {name}")
    given: dict[int, bytes] = {}
    for param in call.params:
        if param.param_id in given:
            raise BadEntry(f"action {action.alias}: parameter id {param.param_id} is given twice")
        given[param.param_id] = param.value
    values = []
    for known in action.params:
        where = f"parameter {known.name} of action {action.alias}"
        if known.id not in given:
            raise BadEntry(f"{where} is missing")
        values.append(_decode(given.pop(known.id), known.width, where))
    if given:
        raise BadEntry(f"action {action.alias} has no parameter with id {min(given)}")
    return action, tuple(values)


def _decode(data: bytes, width: int, where: str) -> int:
    try:
        return bytestrings.decode(data, width)
    except bytestrings.OutOfRange as error:
        raise BadEntry(f"{where}: {error}", grpc.StatusCode.OUT_OF_RANGE) from error
