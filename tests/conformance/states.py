"""Random table states: valid for the program, whatever its tables are, and full of values that frames have too."""

from __future__ import annotations

import random
from collections.abc import Iterator

from conformance.pools import any_value
from p4rt.entries import MatchValue
from p4rt.p4info import MatchField, MatchKind, TableInfo
from packet.entries import number
from packet.rack import ENTRIES

from p4rt import P4Info, TableEntry

_PREFIXES = (8, 12, 16, 23, 24, 30, 31, 32, 32, 32)


class States:
    """States from a seeded source: the same seed, the same states."""

    def __init__(self, source: random.Random, info: P4Info) -> None:
        self._random = source
        self._info = info

    def state(self) -> tuple[TableEntry, ...]:
        """Most often a rack's own entries with some missing and some more, so that frames get far."""
        share = self._random.choice((0.0, 0.8, 0.95, 1.0))
        kept = [one for one in ENTRIES if self._random.random() < share]
        by_key = {one.key: one for one in (*self._entries(), *kept)}
        return tuple(by_key.values())

    def _entries(self) -> Iterator[TableEntry]:
        for table in self._info.tables:
            if table.const_entries or table.indirect:
                continue
            for _ in range(self._random.choice((0, 0, 1, 3, 8))):
                yield self._entry(table)
            if not table.const_default and self._random.random() < 0.06:
                yield self._with_action(table, {}, default=True)

    def _entry(self, table: TableInfo) -> TableEntry:
        match = {}
        for field in table.fields:
            value = self._match(field)
            if value is not None:
                match[field.name] = value
        return self._with_action(table, match, default=False)

    def _match(self, field: MatchField) -> MatchValue | None:
        value = number(any_value(self._random, field.width))
        if field.kind is MatchKind.EXACT:
            return value
        assert field.kind is MatchKind.LPM, f"no random entries for {field.kind.name} fields yet"
        length = self._random.choice((0, *(one for one in _PREFIXES if one <= field.width)))
        return (value >> field.width - length << field.width - length, length) if length else None

    def _with_action(self, table: TableInfo, match: dict[str, MatchValue], *, default: bool) -> TableEntry:
        allowed = sorted(table.default_actions if default else table.entry_actions)
        own = table.default_action[0] if table.default_action else None
        # What a miss does anyway is the least telling thing that an entry can do.
        weights = [1 if action == own else 8 for action in allowed]
        action = self._info.actions.by_id[self._random.choices(allowed, weights)[0]]
        params = {param.name: number(any_value(self._random, param.width)) for param in action.params}
        return TableEntry(table.alias, match, action.alias, params, default=default)
