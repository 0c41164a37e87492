"""What a program puts into its tables itself: entries and default actions."""

from __future__ import annotations

from collections.abc import Sequence

from ezpath_tor.bmv2.document import Element
from ezpath_tor.bmv2.model import Action, Call, Entry, KeyField
from ezpath_tor.plane import Lpm, Priority, Range, Ternary


def read_call(entry: Element, actions: Sequence[Action]) -> Call:
    """An action of the table's, with its data."""
    found = next((action for action in actions if action.id == entry["action_id"].number), None)
    if found is None:
        raise entry["action_id"].malformed(f"the table has no action with id {entry['action_id'].number}")
    data = entry["action_data"].exactly(len(found.params))
    return Call(found.id, tuple(_value(value, param.width) for value, param in zip(data, found.params, strict=True)))


def read_entries(table: Element, keys: Sequence[KeyField], actions: Sequence[Action]) -> tuple[Entry, ...]:
    """The entries a table comes with.

    BMv2 counts priorities down from the best, which is 1, and P4Runtime up to it: the last one gets 1.
    """
    entries = table.each("entries")
    prioritised = any(key.match in ("ternary", "range") for key in keys)
    lowest = max((entry["priority"].number for entry in entries), default=0) if prioritised else 0
    read = []
    for entry in entries:
        parts = entry["match_key"].exactly(len(keys))
        fields = tuple(_field(part, key) for part, key in zip(parts, keys, strict=True))
        priority = (Priority(lowest + 1 - entry["priority"].number),) if prioritised else ()
        read.append(Entry((*fields, *priority), read_call(entry["action_entry"], actions)))
    return tuple(read)


def _field(part: Element, key: KeyField) -> int | Lpm | Ternary | Range:
    if part["match_type"].text != key.match:
        raise part.malformed(f"a {part['match_type'].text} match in a table whose {key.name} is {key.match}")
    match key.match:
        case "lpm":
            length = part["prefix_length"].number
            if length > key.width:
                raise part["prefix_length"].malformed(f"{length} is longer than the {key.width} bits of {key.name}")
            behind = (1 << (key.width - length)) - 1
            return Lpm(_value(part["key"], key.width) & ~behind, length)
        case "ternary":
            mask = _value(part["mask"], key.width)
            return Ternary(_value(part["key"], key.width) & mask, mask)
        case "range":
            low, high = _value(part["start"], key.width), _value(part["end"], key.width)
            if low > high:
                raise part.malformed(f"the range {low:#x}..{high:#x} is empty")
            return Range(low, high)
        case _:
            return _value(part["key"], key.width)


def _value(element: Element, width: int) -> int:
    value = element.hexadecimal
    if value < 0 or value >> width:
        raise element.malformed(f"{element.text} does not fit {width} bits")
    return value
