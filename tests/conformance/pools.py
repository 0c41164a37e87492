"""The values that random tables and random frames both draw from, so that they meet."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence

from conformance.bursts import PORTS
from packet.entries import Value, number
from packet.rack import (
    BLUE,
    BLUE_VID,
    C1,
    C2,
    C3,
    HOST1_IP,
    HOST1_MAC,
    HOST2_IP,
    HOST2_MAC,
    PEER_VTEP,
    RED,
    RED_VID,
    RED_VID2,
    ROUTER,
    SPINE_MAC,
    VTEP,
)


def alike(mac_address: str, count: int) -> list[str]:
    """Other MAC addresses that, as a flow's source, give the same CRC-32 as ``mac_address``.

    A CRC is linear: these are the ones that differ by combinations of bits whose own CRC is nothing.
    """
    crc_of_nothing = zlib.crc32(bytes(15))
    by_leading_bit: dict[int, tuple[int, int]] = {}
    nothing: list[int] = []
    # The lowest 40 bits: the first byte says that an address is one station's.
    for bit in range(40):
        bits = 1 << bit
        crc = zlib.crc32(bytes(3) + bits.to_bytes(6, "big") + bytes(6)) ^ crc_of_nothing
        while crc and crc.bit_length() in by_leading_bit:
            other_crc, other_bits = by_leading_bit[crc.bit_length()]
            crc, bits = crc ^ other_crc, bits ^ other_bits
        if crc:
            by_leading_bit[crc.bit_length()] = crc, bits
        else:
            nothing.append(bits)
    return [(number(mac_address) ^ bits).to_bytes(6, "big").hex(":") for bits in nothing[:count]]


PORT_NUMBERS = tuple(PORTS)
MACS = (C1, C2, C3, ROUTER, ROUTER, ROUTER, HOST1_MAC, HOST2_MAC, SPINE_MAC, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb")
SENDERS = (C1, *alike(C1, 7))
"""Flows of these to one destination stand in the same cells of the monitor, where there is room for four."""
IPS = (HOST1_IP, HOST2_IP, VTEP, VTEP, PEER_VTEP, PEER_VTEP, "10.1.1.0", "10.1.2.0", "10.1.3.1", "10.9.1.1", "0.0.0.0")
VIDS = (RED_VID, RED_VID2, BLUE_VID, 0, 4095)
VNIS = (RED, BLUE, 0, 0xFFFFFF)

_BY_WIDTH: Mapping[int, Sequence[Value]] = {
    # Some ports that the switch does not have, and v1model's drop port.
    9: (*PORT_NUMBERS, *PORT_NUMBERS, *PORT_NUMBERS, 0, 3, 511),
    12: VIDS,
    24: VNIS,
    32: IPS,
    48: MACS,
}


def any_value(source: random.Random, width: int) -> Value:
    """A value for a field or parameter of so many bits: most often one that frames have as well."""
    pool = _BY_WIDTH.get(width, ())
    return source.choice(pool) if pool and source.random() < 0.95 else source.getrandbits(width)
