"""P4Runtime byte strings: big-endian integers in as few bytes as they need, never none."""

from __future__ import annotations


class OutOfRange(ValueError):
    """A value or byte string that does not fit its width."""


def encode(value: int, width: int) -> bytes:
    """``value`` as the shortest byte string. Raises :class:`OutOfRange` where it needs more than ``width`` bits."""
    bits = value.bit_length()
    if value < 0 or bits > width:
        raise OutOfRange(f"{value} does not fit in {width} bits")
    return value.to_bytes((bits + 7) >> 3 or 1, "big")


def decode(data: bytes, width: int) -> int:
    """The integer in ``data``, however many zeros lead it. Raises :class:`OutOfRange`."""
    if not data:
        raise OutOfRange("an empty byte string is no value")
    value = int.from_bytes(data, "big")
    if value.bit_length() > width:
        raise OutOfRange(f"0x{data[:32].hex()} does not fit in {width} bits")
    return value
