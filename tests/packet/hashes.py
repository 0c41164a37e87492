"""The hashes of BMv2, written a second time and bit by bit, to hold the generated code against."""

from __future__ import annotations


def packed(*values: tuple[int, int]) -> bytes:
    """(value, bits) side by side, most significant bit first, zero bits at the end up to a whole byte."""
    number = bits = 0
    for value, width in values:
        number = number << width | value
        bits += width
    padding = -bits % 8
    return (number << padding).to_bytes((bits + padding) // 8, "big")


def crc(data: bytes, polynomial: int, bits: int, start: int, final: int) -> int:
    """Reflected CRC with ``polynomial`` in its usual, not reflected, notation."""

    def reflected(value: int, width: int) -> int:
        return int(f"{value:0{width}b}"[::-1], 2)

    register = start
    for octet in data:
        register ^= reflected(octet, 8) << (bits - 8)
        for _ in range(8):
            carry = register >> (bits - 1)
            register = (register << 1) & ((1 << bits) - 1)
            if carry:
                register ^= polynomial
    return reflected(register, bits) ^ final


def crc32(data: bytes) -> int:
    return crc(data, 0x04C11DB7, 32, 0xFFFFFFFF, 0xFFFFFFFF)


def crc16(data: bytes) -> int:
    return crc(data, 0x8005, 16, 0, 0)


def csum16(data: bytes) -> int:
    total = 0
    for index in range(0, len(data), 2):
        total += int.from_bytes(data[index : index + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def identity(data: bytes) -> int:
    return int.from_bytes(data[:8], "big")
