"""How keys and entries of tables, and cells of registers, lie in memory.

The generated C declares these structs; the control side writes the same bytes. Both take sizes from here, and the
C asserts them, so that the two cannot drift apart.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ezpath_tor.bmv2.model import Action, Table
from ezpath_tor.keys import check_key
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError

ANY_MASK = 0xFFFFFFFF
"""In place of a mask's number in a key that is not masked yet."""


def octets_of(width: int) -> int:
    """Bytes of memory for a value of ``width`` bits: 1, 2, 4 or 8, or whole 64-bit limbs."""
    for octets in (1, 2, 4, 8):
        if width <= 8 * octets:
            return octets
    return limbs_of(width) * 8


def limbs_of(width: int) -> int:
    """64-bit limbs of a value of ``width`` bits, the least significant first."""
    return (width + 63) // 64


def alignment_of(width: int) -> int:
    return min(octets_of(width), 8)


def align(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment


def store(value: int, width: int) -> bytes:
    """``value`` as the C side reads it."""
    if width <= 64:
        return value.to_bytes(octets_of(width), sys.byteorder)
    mask = (1 << 64) - 1
    return b"".join((value >> (64 * limb) & mask).to_bytes(8, sys.byteorder) for limb in range(limbs_of(width)))


@dataclass(frozen=True, slots=True)
class Struct:
    """A C struct of unsigned fields of the given widths, in order, with C's natural alignment."""

    widths: tuple[int, ...]

    @property
    def alignment(self) -> int:
        return max((alignment_of(width) for width in self.widths), default=1)

    @property
    def size(self) -> int:
        return align(self._end(), self.alignment)

    def _end(self) -> int:
        offset = 0
        for width in self.widths:
            offset = align(offset, alignment_of(width)) + octets_of(width)
        return offset

    def pack(self, values: Sequence[int]) -> bytes:
        data = bytearray()
        for width, value in zip(self.widths, values, strict=True):
            data.extend(bytes(align(len(data), alignment_of(width)) - len(data)))
            data.extend(store(value, width))
        return bytes(data.ljust(self.size, b"\0"))


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Key and entry of one table.

    An exact key is a struct of its fields. A longest-prefix key is what the kernel's trie asks for: the number of
    significant bits, then bytes with the most significant first, exact fields in front, the lpm field
    left-aligned at the end. A ternary key is a struct in whole 64-bit words: the number of a mask, then the fields
    under that mask.

    An entry is the action's id, in ternary tables its priority, in tables with a direct counter the number of its
    cell, and a union of the actions' parameters.
    """

    table: Table
    actions: tuple[Action, ...]

    @property
    def key_size(self) -> int:
        if self.table.lpm:
            return align(4 + self.lpm_octets, 4)
        if self.table.ternary:
            return align(self.key_struct.size, 8)
        return self.key_struct.size

    @property
    def key_struct(self) -> Struct:
        fields = tuple(key.width for key in self.table.keys)
        return Struct((32, *fields) if self.table.ternary else fields)

    @property
    def lpm_order(self) -> tuple[int, ...]:
        """Key fields by position, the lpm one last."""
        keys = self.table.keys
        return tuple(sorted(range(len(keys)), key=lambda position: keys[position].match == "lpm"))

    @property
    def lpm_octets(self) -> int:
        return sum((key.width + 7) // 8 for key in self.table.keys)

    @property
    def entry_head(self) -> tuple[str, ...]:
        """The 32-bit words in front of the parameters."""
        priority = ("priority",) if self.table.ternary else ()
        cell = ("cell",) if self.table.hit_counter is not None else ()
        return ("action", *priority, *cell)

    @property
    def params_offset(self) -> int:
        alignment = max((params_struct(action).alignment for action in self.actions), default=1)
        return align(4 * len(self.entry_head), alignment)

    @property
    def entry_size(self) -> int:
        if not any(action.params for action in self.actions):
            return 4 * len(self.entry_head)
        alignment = max(4, *(params_struct(action).alignment for action in self.actions))
        return align(self.params_offset + max(params_struct(action).size for action in self.actions), alignment)

    def pack_key(self, key: Key) -> bytes:
        """The key's bytes, in exact and lpm tables. Raises :class:`PlaneError` where it does not fit the table."""
        check_key(self.table, key)
        if not self.table.lpm:
            return self.key_struct.pack([value for value in key if isinstance(value, int)])
        data, bits = b"", 0
        for position in self.lpm_order:
            width, value = self.table.keys[position].width, key[position]
            octets = (width + 7) // 8
            if isinstance(value, Lpm):
                data += (value.value << (8 * octets - width)).to_bytes(octets, "big")
                bits += value.prefix_len
            elif isinstance(value, int):
                data += value.to_bytes(octets, "big")
                bits += 8 * octets
        return (bits.to_bytes(4, sys.byteorder) + data).ljust(self.key_size, b"\0")

    def pack_masked(self, mask: int, values: Sequence[int]) -> bytes:
        """A ternary key's bytes under the mask with this number, or, with its masks for values, the mask itself."""
        return self.key_struct.pack((mask, *values)).ljust(self.key_size, b"\0")

    def pack_entry(self, call: ActionCall, *, priority: int = 0, cell: int = 0) -> bytes:
        """The entry's bytes. Raises :class:`PlaneError` where the action is not one of the table's."""
        action = next((action for action in self.actions if action.name == call.action), None)
        if action is None:
            known = ", ".join(action.name for action in self.actions)
            raise PlaneError(f"table {self.table.name} has no action {call.action}; it has {known}")
        if len(call.params) != len(action.params):
            raise PlaneError(f"{action.name} takes {len(action.params)} parameters, got {len(call.params)}")
        for param, value in zip(action.params, call.params, strict=True):
            if value < 0 or value >> param.width:
                raise PlaneError(f"{action.name}: {param.name}={value} does not fit {param.width} bits")
        words = {"action": action.id, "priority": priority, "cell": cell}
        data = b"".join(words[word].to_bytes(4, sys.byteorder) for word in self.entry_head)
        if action.params:
            data = data.ljust(self.params_offset, b"\0") + params_struct(action).pack(call.params)
        return data.ljust(self.entry_size, b"\0")


def params_struct(action: Action) -> Struct:
    return Struct(tuple(param.width for param in action.params))
