"""``p4.v1.TableEntry`` messages to table entries: the checks that every entry goes through, on both sides.

What is asked of each entry of a table is worked out once for the table: a switch is sent ten thousand at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import grpc

from p4rt import bytestrings, messages
from p4rt.canonical import does_not_care, pair_problem
from p4rt.p4info import ActionInfo, MatchField, MatchKind, P4Info, TableInfo
from p4rt.values import BadEntry, MatchValue, TableEntry

Match = list[MatchValue | None]
"""One value for each key field of a table, in the program's order; None where the entry does not care."""


REMEMBERED = 65536
"""Entries that are not decoded anew: whoever looks a switch over finds nearly all of them as they were."""


@lru_cache(maxsize=8)
def decoder_of(info: P4Info) -> Decoder:
    """The decoder of a program; made once."""
    return Decoder(info)


class Decoder:
    """Entries of one program."""

    def __init__(self, info: P4Info) -> None:
        self._tables = {table.id: TableDecoder(table, info) for table in info.tables}
        self.same_entry = lru_cache(maxsize=REMEMBERED)(self._from_bytes)
        """:meth:`entry` of one that is serialized, and that mostly was looked at before."""

    def _from_bytes(self, data: bytes) -> TableEntry:
        return self.entry(messages.TableEntry.FromString(data))

    def table(self, table_id: int) -> TableDecoder:
        """The decoder of one table. Raises :class:`BadEntry`."""
        found = self._tables.get(table_id)
        if found is None:
            raise BadEntry(f"the program has no table with id {table_id}", grpc.StatusCode.NOT_FOUND)
        return found

    def entry(self, proto: messages.TableEntry) -> TableEntry:
        """An entry with short names. Raises :class:`BadEntry` where it does not fit the program."""
        decoder = self.table(proto.table_id)
        table = decoder.table
        action, params = "", {}
        if proto.HasField("action"):
            known, values = decoder.action(proto.action)
            action = known.alias
            params = {param.name: value for param, value in zip(known.params, values, strict=True)}
        match: dict[str, MatchValue] = {}
        if not proto.is_default_action:
            given = zip(table.fields, decoder.match(proto.match), strict=True)
            match = {field.name: value for field, value in given if value is not None}
        return TableEntry(table.alias, match, action, params, proto.priority, proto.is_default_action)


class TableDecoder:
    """Entries of one table."""

    def __init__(self, table: TableInfo, info: P4Info) -> None:
        self.table = table
        self._fields = {
            field.id: (position, field.kind.name.lower(), _Number(field.width, _where(field, table)), field)
            for position, field in enumerate(table.fields)
        }
        self._exact = [position for position, field in enumerate(table.fields) if field.kind is MatchKind.EXACT]
        self._actions = {
            action_id: _Action(info.actions.by_id[action_id])
            for action_id in table.entry_actions | table.default_actions
        }
        self._known = info.actions.by_id

    def match(self, matches: Iterable[messages.FieldMatch]) -> Match:
        """The match of an entry. Raises :class:`BadEntry`."""
        found: Match = [None] * len(self._fields)
        unknown: list[int] = []
        for match in matches:
            known = self._fields.get(match.field_id)
            if known is None:
                unknown.append(match.field_id)
                continue
            position, form, number, field = known
            if found[position] is not None:
                raise BadEntry(f"table {self.table.alias}: match field id {match.field_id} is given twice")
            given = match.WhichOneof("field_match_type")
            if given != form:
                raise BadEntry(f"{number.where} is {field.kind.name}, but the entry gives {given or 'no value'}")
            found[position] = number(match.exact.value) if form == "exact" else _value(match, field, number)
        for position in self._exact:
            if found[position] is None:
                name = self.table.fields[position].name
                raise BadEntry(f"table {self.table.alias}: exact field {name} is missing")
        if unknown:
            raise BadEntry(f"table {self.table.alias} has no match field with id {min(unknown)}")
        return found

    def action(self, proto: messages.TableAction) -> tuple[ActionInfo, tuple[int, ...]]:
        """The action of an entry and its parameters in the program's order. Raises :class:`BadEntry`."""
        form = proto.WhichOneof("type")
        if form != "action":
            raise BadEntry(f"table {self.table.alias} is direct: it takes an action, not {form or 'nothing'}")
        call = proto.action
        action = self._actions.get(call.action_id)
        if action is None:
            known = self._known.get(call.action_id)
            raise BadEntry(
                f"table {self.table.alias} has no action {known.alias if known else f'with id {call.action_id}'}"
            )
        return action.info, action.params(call.params)


class _Action:
    """The parameters of one action."""

    def __init__(self, info: ActionInfo) -> None:
        self.info = info
        self._numbers = [
            (param.id, _Number(param.width, f"parameter {param.name} of action {info.alias}")) for param in info.params
        ]

    def params(self, given: Iterable[messages.Action.Param]) -> tuple[int, ...]:
        """The values, in the program's order. Raises :class:`BadEntry`."""
        values: dict[int, bytes] = {}
        for param in given:
            if param.param_id in values:
                raise BadEntry(f"action {self.info.alias}: parameter id {param.param_id} is given twice")
            values[param.param_id] = param.value
        found = []
        for param_id, number in self._numbers:
            data = values.pop(param_id, None)
            if data is None:
                raise BadEntry(f"{number.where} is missing")
            found.append(number(data))
        if values:
            raise BadEntry(f"action {self.info.alias} has no parameter with id {min(values)}")
        return tuple(found)


class _Number:
    """Byte strings of one width."""

    def __init__(self, width: int, where: str) -> None:
        self.width = width
        self.where = where

    def __call__(self, data: bytes) -> int:
        value = int.from_bytes(data, "big")
        if data and not value >> self.width:
            return value
        try:
            return bytestrings.decode(data, self.width)
        except bytestrings.OutOfRange as error:
            raise BadEntry(f"{self.where}: {error}", grpc.StatusCode.OUT_OF_RANGE) from error


def _where(field: MatchField, table: TableInfo) -> str:
    return f"field {field.name} of table {table.alias}"


def _value(match: messages.FieldMatch, field: MatchField, number: _Number) -> MatchValue:
    """Of a field that is not exact."""
    if field.kind is MatchKind.OPTIONAL:
        return number(match.optional.value)
    if field.kind is MatchKind.LPM:
        first, second = number(match.lpm.value), match.lpm.prefix_len
    elif field.kind is MatchKind.TERNARY:
        first, second = number(match.ternary.value), number(match.ternary.mask)
    else:
        first, second = number(match.range.low), number(match.range.high)
    nothing = does_not_care(field, first, second)
    if nothing:
        raise BadEntry(f"{number.where}: a field that does not care is left out, not given {nothing}")
    problem = pair_problem(field, first, second)
    if problem:
        raise BadEntry(f"{number.where}: {problem}")
    return first, second
