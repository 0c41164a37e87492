"""The tables of the two CRCs, for the C that takes eight bytes a step (Sarwate's table, sliced)."""

from __future__ import annotations

from collections.abc import Iterator

CRC32_REFLECTED, CRC16_REFLECTED = 0xEDB88320, 0xA001
"""The polynomials 0x04C11DB7 and 0x8005, lowest bit first."""

SLICES = 8
_PER_LINE = 8


def crc_tables() -> str:
    """``crc_tables.h``: ``table[slice][byte]`` is the remainder of the byte with ``slice`` zero bytes behind it."""
    lines = ["// Remainders for the CRCs: [slice][byte], the byte with `slice` zero bytes behind it."]
    for name, polynomial, digits in (("crc32_table", CRC32_REFLECTED, 8), ("crc16_table", CRC16_REFLECTED, 4)):
        lines.append(f"\nstatic const u{digits * 4} {name}[{SLICES}][256] = {{")
        for slice_ in _slices(polynomial):
            lines.append("\t{")
            for first in range(0, 256, _PER_LINE):
                numbers = ", ".join(f"{value:#0{digits + 2}x}" for value in slice_[first : first + _PER_LINE])
                lines.append(f"\t\t{numbers},")
            lines.append("\t},")
        lines.append("};")
    return "\n".join(lines) + "\n"


def _slices(polynomial: int) -> Iterator[list[int]]:
    first = [_remainder(byte, polynomial) for byte in range(256)]
    slice_ = first
    for _ in range(SLICES):
        yield slice_
        slice_ = [first[value & 0xFF] ^ value >> 8 for value in slice_]


def _remainder(byte: int, polynomial: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
    return byte
