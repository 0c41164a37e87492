"""Keys and entries of one table as its BPF map holds them, both ways, quickly.

:mod:`ezpath_tor.layout` says what lies where, and what is wrong with a key or a call that does not fit. Here that is
compiled once for each table, for entries come by the thousand; and read back, for what is in the maps outlives the
process that wrote it.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ezpath_tor.bmv2.model import Action
from ezpath_tor.keys import priority_of
from ezpath_tor.layout import Struct, TableLayout, align, alignment_of, limbs_of, octets_of, params_struct
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError, Priority, Range, Ternary

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LIMB = (1 << 64) - 1


class Entry(NamedTuple):
    """What stands in an entry."""

    call: ActionCall
    priority: int
    cell: int


class Record:
    """A :class:`~ezpath_tor.layout.Struct`, compiled."""

    def __init__(self, layout: Struct) -> None:
        self._widths = layout.widths
        self._wide = any(width > 64 for width in layout.widths)
        codes, offset = ["="], 0
        for width in layout.widths:
            start = align(offset, alignment_of(width))
            codes.append(f"{start - offset}x" + (_CODES[octets_of(width)] if width <= 64 else f"{limbs_of(width)}Q"))
            offset = start + octets_of(width)
        codes.append(f"{layout.size - offset}x")
        self._struct = struct.Struct("".join(codes))
        self.size = self._struct.size

    def fits(self, values: Sequence[object]) -> bool:
        """One plain number for each field, none too large for it."""
        if len(values) != len(self._widths):
            return False
        for value, width in zip(values, self._widths, strict=True):
            if type(value) is not int or value >> width:
                return False
        return True

    def pack(self, values: Sequence[int]) -> bytes:
        """The bytes of values that fit."""
        return self._struct.pack(*(self._limbs(values) if self._wide else values))

    def unpack(self, data: bytes, offset: int = 0) -> tuple[int, ...]:
        found = self._struct.unpack_from(data, offset)
        return tuple(self._joined(found)) if self._wide else found

    def _limbs(self, values: Sequence[int]) -> list[int]:
        return [
            value >> (64 * limb) & _LIMB
            for value, width in zip(values, self._widths, strict=True)
            for limb in range(limbs_of(width))
        ]

    def _joined(self, found: Sequence[int]) -> list[int]:
        limbs = iter(found)
        return [sum(next(limbs) << (64 * limb) for limb in range(limbs_of(width))) for width in self._widths]


class Packing:
    """The bytes of one table's keys and entries."""

    def __init__(self, layout: TableLayout) -> None:
        self._layout = layout
        self._exact = None if layout.table.lpm or layout.table.ternary else Record(layout.key_struct)
        self._pairs = Record(Struct(tuple(key.width for key in layout.table.keys for _ in (1, 2))))
        self._by_id = {action.id: _Entry(layout, action) for action in layout.actions}
        self._by_name: dict[str, _Entry] = {}
        for entry in self._by_id.values():
            self._by_name.setdefault(entry.action.name, entry)

    def key(self, key: Key) -> bytes:
        """Raises :class:`PlaneError` for a key that does not fit the table."""
        if self._exact is not None and self._exact.fits(key):
            return self._exact.pack(key)  # type: ignore[arg-type]  # plain numbers, as they fit
        return self._layout.pack_key(key)

    def entry(self, call: ActionCall, *, priority: int = 0, cell: int = 0) -> bytes:
        """Raises :class:`PlaneError` for an action that is not the table's, or parameters that do not fit it."""
        known = self._by_name.get(call.action)
        if known is not None and known.record.fits(call.params):
            return known.pack(call.params, priority, cell)
        return self._layout.pack_entry(call, priority=priority, cell=cell)

    def read_key(self, data: bytes) -> Key:
        """The key that :meth:`key` makes into ``data``."""
        return self._exact.unpack(data) if self._exact is not None else self._read_prefix_key(data)

    def read_entry(self, data: bytes) -> Entry:
        """What :meth:`entry` makes into ``data``. Raises :class:`PlaneError` for an unknown action."""
        action_id = int.from_bytes(data[:4], sys.byteorder)
        if action_id not in self._by_id:
            raise PlaneError(f"an entry of table {self._layout.table.name} calls an action with id {action_id}")
        return self._by_id[action_id].unpack(data)

    @property
    def record_size(self) -> int:
        """Bytes of what :meth:`record` makes."""
        return self._pairs.size + self._layout.entry_size

    def record(self, key: Key, call: ActionCall, cell: int) -> bytes:
        """An entry of a ternary table, key and all. Its key has been found to fit."""
        pairs = [number for value in key if not isinstance(value, Priority) for number in _pair(value)]
        return self._pairs.pack(pairs) + self.entry(call, priority=priority_of(key), cell=cell)

    def read_record(self, data: bytes) -> tuple[Key, Entry]:
        """What :meth:`record` makes into ``data``. Raises :class:`PlaneError` for an unknown action."""
        entry = self.read_entry(data[self._pairs.size :])
        numbers = self._pairs.unpack(data)
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        fields = (_FORMS[field.match](*pair) for field, pair in zip(self._layout.table.keys, pairs, strict=True))
        return (*fields, Priority(entry.priority)), entry

    def _read_prefix_key(self, data: bytes) -> Key:
        fields = self._layout.table.keys
        bits, at = int.from_bytes(data[:4], sys.byteorder), 4
        found: dict[int, int | Lpm] = {}
        for position in self._layout.lpm_order:
            width = fields[position].width
            octets = (width + 7) // 8
            value = int.from_bytes(data[at : at + octets], "big")
            if fields[position].match == "lpm":
                found[position] = Lpm(value >> (8 * octets - width), bits - 8 * (at - 4))
            else:
                found[position] = value
            at += octets
        return tuple(found[position] for position in range(len(fields)))


_FORMS: dict[str, Callable[[int, int], int | Lpm | Ternary | Range]] = {
    "exact": lambda value, _: value,
    "lpm": Lpm,
    "ternary": Ternary,
    "range": Range,
}


def _pair(value: int | Lpm | Ternary | Range) -> tuple[int, int]:
    match value:
        case Lpm(number, prefix_len):
            return number, prefix_len
        case Ternary(number, mask):
            return number, mask
        case Range(low, high):
            return low, high
        case int(number):
            return number, 0


class _Entry:
    """Entries that call one action."""

    def __init__(self, layout: TableLayout, action: Action) -> None:
        self.action = action
        self.record = Record(params_struct(action))
        self._size = layout.entry_size
        self._words = layout.entry_head
        self._offset = layout.params_offset if action.params else 4 * len(self._words)
        self._plain = self._words == ("action",)
        self._head = action.id.to_bytes(4, sys.byteorder).ljust(self._offset, b"\0")

    def pack(self, params: Sequence[int], priority: int, cell: int) -> bytes:
        head = self._head
        if not self._plain:
            words = {"action": self.action.id, "priority": priority, "cell": cell}
            head = b"".join(words[word].to_bytes(4, sys.byteorder) for word in self._words).ljust(self._offset, b"\0")
        return (head + self.record.pack(params)).ljust(self._size, b"\0")

    def unpack(self, data: bytes) -> Entry:
        numbers = struct.unpack_from(f"={len(self._words)}I", data)
        words = dict(zip(self._words, numbers, strict=True))
        call = ActionCall(self.action.name, self.record.unpack(data, self._offset))
        return Entry(call, words.get("priority", 0), words.get("cell", 0))
