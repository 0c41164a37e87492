"""Table entries to the bytes of their protobuf form, without a protobuf message in between.

A controller writes ten thousand entries at a time. What does not change from one to the next, ids and lengths, is
worked out once for each table, field and parameter; the rest is joined bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import grpc

from p4rt import bytestrings
from p4rt.canonical import does_not_care, pair_problem, priority_problem
from p4rt.p4info import ActionInfo, MatchField, MatchKind, P4Info, TableInfo, UnknownName
from p4rt.values import BadEntry, MatchValue, TableEntry, Update, UpdateKind
from p4rt.wire import delimited, encode_varint

# Tags, field number << 3 | wire type, of p4.v1.Update, TableEntry and what is in them.
_KINDS = {kind: b"\x08" + bytes([kind.value]) for kind in UpdateKind}
_ENTITY, _TABLE_ENTRY = b"\x12", b"\x12"
_TABLE_ID, _MATCH, _ACTION, _PRIORITY, _IS_DEFAULT = b"\x08", b"\x12", b"\x1a", b"\x20", b"\x40\x01"
_FIELD_ID = b"\x08"
_FORMS = {
    MatchKind.EXACT: b"\x12",
    MatchKind.TERNARY: b"\x1a",
    MatchKind.LPM: b"\x22",
    MatchKind.RANGE: b"\x32",
    MatchKind.OPTIONAL: b"\x3a",
}
_FIRST, _SECOND, _PREFIX_LEN = b"\x0a", b"\x12", b"\x10"
_ACTION_OF_TABLE, _ACTION_ID, _PARAM, _PARAM_ID, _PARAM_VALUE = b"\x0a", b"\x08", b"\x22", b"\x10", b"\x1a"


@lru_cache(maxsize=8)
def encoder_of(info: P4Info) -> Encoder:
    """The encoder of a program; made once."""
    return Encoder(info)


class Encoder:
    """Entries of one program."""

    def __init__(self, info: P4Info) -> None:
        self._info = info
        self._tables: dict[str, TableEncoder] = {}

    def entry(self, entry: TableEntry) -> bytes:
        """A serialized ``TableEntry``. Raises :class:`BadEntry` naming the table, field or parameter at fault."""
        return self.table(entry.table).entry(entry)

    def update(self, update: Update) -> bytes:
        """A serialized ``p4.v1.Update``. Raises :class:`BadEntry`."""
        return _KINDS[update.kind] + delimited(_ENTITY, delimited(_TABLE_ENTRY, self.entry(update.entry)))

    def table(self, name: str) -> TableEncoder:
        """The encoder of one table, by name or alias. Raises :class:`BadEntry`."""
        if name not in self._tables:
            try:
                self._tables[name] = TableEncoder(self._info.tables[name], self._info)
            except UnknownName as error:
                raise BadEntry(str(error)) from error
        return self._tables[name]


class TableEncoder:
    """Entries of one table."""

    def __init__(self, table: TableInfo, info: P4Info) -> None:
        self._info = info
        self._table = table
        self._id = _TABLE_ID + encode_varint(table.id)
        self._fields = [_Field(table, field) for field in table.fields]
        self._actions: dict[str, _Action] = {}

    def entry(self, entry: TableEntry) -> bytes:
        """A serialized ``TableEntry``. Raises :class:`BadEntry`."""
        given = entry.match
        match = [given.get(field.name) for field in self._fields]
        if len(given) + match.count(None) != len(match):
            unknown = set(given) - {field.name for field in self._fields}
            raise BadEntry(f"table {self._table.alias} has no match field {', '.join(sorted(unknown))}")
        check_priority(self._table, entry.priority, default=entry.default)
        data = self.values(match)
        if entry.action:
            data += self._action(entry.action).by_name(entry.params)
        if entry.priority:
            data += _PRIORITY + _int32(entry.priority, f"priority of an entry of table {self._table.alias}")
        return data + _IS_DEFAULT if entry.default else data

    def values(self, match: Iterable[MatchValue | None], action: str = "", params: Sequence[int] = ()) -> bytes:
        """The same from values in the program's order; None in ``match`` does not care. Raises :class:`BadEntry`."""
        parts = [self._id]
        for field, value in zip(self._fields, match, strict=False):
            if value is not None:
                parts.append(field.encode(value))
        if action:
            parts.append(self._action(action).by_position(params))
        return b"".join(parts)

    def _action(self, name: str) -> _Action:
        if name not in self._actions:
            try:
                self._actions[name] = _Action(self._info.actions[name])
            except UnknownName as error:
                raise BadEntry(str(error)) from error
        return self._actions[name]


class _Number:
    """A number inside messages that hold nothing else that varies: the bytes before it depend on its length only."""

    def __init__(self, width: int, where: str) -> None:
        self._width = width
        self._where = where
        self._heads: dict[int, bytes] = {}

    def wrap(self, value: bytes) -> bytes:
        """The messages around a value."""
        raise NotImplementedError

    def number(self, value: int) -> bytes:
        """The messages with this value in them. Raises :class:`BadEntry`."""
        data = self.shortest(value)
        size = len(data)
        head = self._heads.get(size)
        if head is None:
            head = self._heads[size] = self.wrap(data)[:-size]
        return head + data

    def shortest(self, value: int) -> bytes:
        """The value alone. Raises :class:`BadEntry`."""
        try:
            return bytestrings.encode(value, self._width)
        except bytestrings.OutOfRange as error:
            raise BadEntry(f"{self._where}: {error}", grpc.StatusCode.OUT_OF_RANGE) from error


class _Field(_Number):
    """A ``FieldMatch`` of one key field."""

    def __init__(self, table: TableInfo, field: MatchField) -> None:
        super().__init__(field.width, f"field {field.name} of table {table.alias}")
        self.name = field.name
        self._field = field
        self._kind = field.kind
        self._id = _FIELD_ID + encode_varint(field.id)
        self._plain = field.kind in (MatchKind.EXACT, MatchKind.OPTIONAL)

    def encode(self, value: MatchValue) -> bytes:
        """Nothing for a value that matches anything. Raises :class:`BadEntry`."""
        if isinstance(value, int):
            if self._plain:
                return self.number(value)
            raise BadEntry(f"{self._where} is {self._kind.name}: it takes a pair of numbers, not {value!r}")
        if self._plain:
            raise BadEntry(f"{self._where} is {self._kind.name}: it takes one number, not {value!r}")
        first, second = value
        inner = delimited(_FIRST, self.shortest(first))
        if self._kind is not MatchKind.LPM:
            inner += delimited(_SECOND, self.shortest(second))
        problem = pair_problem(self._field, first, second)
        if problem:
            raise BadEntry(f"{self._where}: {problem}")
        if does_not_care(self._field, first, second):
            return b""
        if self._kind is MatchKind.LPM:
            inner += _PREFIX_LEN + encode_varint(second)
        return self._around(inner)

    def wrap(self, value: bytes) -> bytes:
        return self._around(delimited(_FIRST, value))

    def _around(self, inner: bytes) -> bytes:
        return delimited(_MATCH, self._id + delimited(_FORMS[self._kind], inner))


class _Param(_Number):
    """A ``Param`` of one action."""

    def __init__(self, action: ActionInfo, name: str, param_id: int, width: int) -> None:
        super().__init__(width, f"parameter {name} of action {action.alias}")
        self.name = name
        self._id = _PARAM_ID + encode_varint(param_id)

    def wrap(self, value: bytes) -> bytes:
        return delimited(_PARAM, self._id + delimited(_PARAM_VALUE, value))


class _Action:
    """The ``action`` of an entry, calling one action."""

    def __init__(self, action: ActionInfo) -> None:
        self._alias = action.alias
        self._id = _ACTION_ID + encode_varint(action.id)
        self._params = [_Param(action, param.name, param.id, param.width) for param in action.params]
        self._names = {param.name for param in action.params}

    def by_name(self, params: Mapping[str, int]) -> bytes:
        if params.keys() != self._names:
            raise BadEntry(
                f"action {self._alias} takes ({', '.join(sorted(self._names))}), not ({', '.join(sorted(params))})"
            )
        return self.by_position([params[param.name] for param in self._params])

    def by_position(self, params: Sequence[int]) -> bytes:
        call = self._id + b"".join(param.number(value) for param, value in zip(self._params, params, strict=True))
        return delimited(_ACTION, delimited(_ACTION_OF_TABLE, call))


def check_priority(table: TableInfo, priority: int, *, default: bool = False) -> None:
    """Raises :class:`BadEntry` where an entry has a priority and may not, or needs one."""
    problem = priority_problem(table, priority, default=default)
    if problem:
        raise BadEntry(problem)


def _int32(value: int, where: str) -> bytes:
    if not -(1 << 31) <= value < 1 << 31:
        raise BadEntry(f"{where}: {value} does not fit in 32 bits", grpc.StatusCode.OUT_OF_RANGE)
    return encode_varint(value & ((1 << 64) - 1))
