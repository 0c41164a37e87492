"""Keys of entries: do they fit their table, and which masks and values do they come to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ezpath_tor.bmv2.model import KeyField, Table
from ezpath_tor.plane import Key, Lpm, PlaneError, Priority, Range, Ternary

MAX_PRIORITY = (1 << 31) - 1

_FORMS: dict[str, tuple[type, str]] = {
    "exact": (int, "matched exactly"),
    "lpm": (Lpm, "matched by prefix"),
    "ternary": (Ternary, "matched under a mask"),
    "range": (Range, "matched by range"),
}
"""What each kind of match takes, and what it is called in an error."""


def check_key(table: Table, key: Key) -> None:
    """Raises :class:`PlaneError` where the key is not one of the table's."""
    given = len(key) - (1 if key and isinstance(key[-1], Priority) else 0)
    if given != len(table.keys):
        raise PlaneError(f"table {table.name} has {len(table.keys)} key fields, the entry {given}")
    for field, value in zip(table.keys, key, strict=False):
        _check_field(table.name, field, value)
    if table.ternary:
        if not 0 < priority_of(key) <= MAX_PRIORITY:
            raise PlaneError(f"table {table.name}: an entry needs a priority of 1..{MAX_PRIORITY}")
    elif len(key) != given:
        raise PlaneError(f"table {table.name} takes no priority: one entry at most can match")


def priority_of(key: Key) -> int:
    """The entry's priority; 0 where it has none."""
    last = key[-1] if key else 0
    return last.value if isinstance(last, Priority) else 0


def _check_field(table: str, field: KeyField, value: object) -> None:
    form, called = _FORMS[field.match]
    where = f"table {table}: {field.name}"
    if not isinstance(value, form):
        raise PlaneError(f"{where} is {called}, got {value}")
    numbers: tuple[int, ...]
    match value:
        case Lpm(number, prefix_len):
            numbers = (number,)
            if not 0 <= prefix_len <= field.width:
                raise PlaneError(f"{where}/{prefix_len} is longer than {field.width} bits")
            if number >= 0 and number & ((1 << (field.width - prefix_len)) - 1):
                raise PlaneError(f"{where}={number:#x} has bits set behind its /{prefix_len}")
        case Ternary(number, mask):
            numbers = (number, mask)
            if number >= 0 and number & ~mask:
                raise PlaneError(f"{where}={number:#x} has bits set outside its mask {mask:#x}")
        case Range(low, high):
            numbers = (low, high)
            if low > high:
                raise PlaneError(f"{where}: the range {low:#x}..{high:#x} is empty")
        case int(number):
            numbers = (number,)
    for number in numbers:
        if number < 0 or number >> field.width:
            raise PlaneError(f"{where}={number:#x} does not fit {field.width} bits")


Numbers = tuple[int, ...]
"""One for each key field."""


def rules_of(table: Table, key: Key) -> list[tuple[Numbers, Numbers]]:
    """The masks, and the values under them, that a key of a ternary table comes to.

    It is one pair, unless the key has ranges: those are cut into prefixes, as a TCAM's driver does. No packet
    matches two of the pairs.
    """
    fields = [list(_pairs(field, value)) for field, value in zip(table.keys, key, strict=False)]
    return [(tuple(mask for mask, _ in chosen), tuple(value for _, value in chosen)) for chosen in product(*fields)]


def _pairs(field: KeyField, value: object) -> Iterator[tuple[int, int]]:
    """(mask, value) of one field."""
    ones = (1 << field.width) - 1
    match value:
        case Lpm(number, prefix_len):
            yield ones & ~(ones >> prefix_len), number
        case Ternary(number, mask):
            yield mask, number
        case Range(low, high):
            for prefix, free in prefixes(low, high):
                yield ones & ~((1 << free) - 1), prefix
        case int(number):
            yield ones, number


def prefixes(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The fewest prefixes that make up ``low..high``: (value, free bits at the end)."""
    while low <= high:
        free = (low & -low).bit_length() - 1 if low else high.bit_length()
        while low + (1 << free) - 1 > high:
            free -= 1
        yield low, free
        low += 1 << free
