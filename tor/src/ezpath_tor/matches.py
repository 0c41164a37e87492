"""A match as P4Runtime has it to the data plane's key, and back."""

from __future__ import annotations

from collections.abc import Sequence

from p4rt.p4info import MatchField, MatchKind, TableInfo
from p4rt.values import MatchValue

from ezpath_tor.plane import Key, Lpm, Priority, Range, Ternary


def key_of(table: TableInfo, match: Sequence[MatchValue | None], priority: int) -> Key:
    """The key of an entry; None for fields that do not care."""
    fields = tuple(_value(field, value) for field, value in zip(table.fields, match, strict=True))
    return (*fields, Priority(priority)) if table.needs_priority else fields


def _value(field: MatchField, value: MatchValue | None) -> int | Lpm | Ternary | Range:
    ones = (1 << field.width) - 1
    if field.kind is MatchKind.OPTIONAL:
        return Ternary(value, ones) if isinstance(value, int) else Ternary(0, 0)
    if isinstance(value, int):
        return value
    match field.kind:
        case MatchKind.LPM:
            return Lpm(*(value or (0, 0)))
        case MatchKind.TERNARY:
            return Ternary(*(value or (0, 0)))
        case _:
            return Range(*(value or (0, ones)))


def match_of(table: TableInfo, key: Key) -> list[MatchValue | None]:
    """The match that a read shows: fields that do not care are left out, as the specification asks."""
    return [_shown(field, value) for field, value in zip(table.fields, key, strict=False)]


def _shown(field: MatchField, value: object) -> MatchValue | None:
    match value:
        case Lpm(number, prefix_len) if prefix_len:
            return number, prefix_len
        case Ternary(number, mask) if mask:
            return number if field.kind is MatchKind.OPTIONAL else (number, mask)
        case Range(low, high) if (low, high) != (0, (1 << field.width) - 1):
            return low, high
        case int(number):
            return number
    return None
