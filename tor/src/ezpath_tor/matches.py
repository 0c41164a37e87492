"""A match as P4Runtime has it, fields by name, to the data plane's key, and back."""

from __future__ import annotations

from collections.abc import Mapping

from p4rt.entries import MatchValue
from p4rt.p4info import MatchField, MatchKind, TableInfo

from ezpath_tor.plane import Key, Lpm, Priority, Range, Ternary


def key_of(table: TableInfo, match: Mapping[str, MatchValue], priority: int) -> Key:
    """The key of an entry; fields that the match leaves out do not care."""
    fields = tuple(_value(field, match.get(field.name)) for field in table.fields)
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


def match_of(table: TableInfo, key: Key) -> dict[str, MatchValue]:
    """The match that a read shows: fields that do not care are left out, as the specification asks."""
    match: dict[str, MatchValue] = {}
    for field, value in zip(table.fields, key, strict=False):
        match value:
            case Lpm(number, prefix_len) if prefix_len:
                match[field.name] = number, prefix_len
            case Ternary(number, mask) if mask:
                match[field.name] = number if field.kind is MatchKind.OPTIONAL else (number, mask)
            case Range(low, high) if (low, high) != (0, (1 << field.width) - 1):
                match[field.name] = low, high
            case int(number):
                match[field.name] = number
    return match
