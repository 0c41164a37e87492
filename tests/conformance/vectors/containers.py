"""Frames that containers may send: C1 to C3, of every kind that the switch must leave as it is."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from conformance.vectors.stacks import UNKNOWN_TYPE, corrupted
from packet.frames import ARP, IPV4, IPV6, QINQ, TCP, UDP, VLAN, arp, ethernet, ipv4, ipv6, tagged, tcp, udp, vxlan
from packet.rack import C1, C3

_SRC, _DST = "10.0.0.1", "10.0.0.3"


def _frame(packet: bytes) -> bytes:
    return ethernet(C3, C1, IPV4, packet)


def _frame6(payload: bytes, protocol: int = UDP, *, tos: int = 0, version: int = 6) -> bytes:
    packet = ipv6("fd00::1", "fd00:1234:5678::9abc:3", payload, protocol)
    return ethernet(C3, C1, IPV6, struct.pack("!I", version << 28 | tos << 20 | 0xABCDE) + packet[4:])


_FRAMES = {
    "UDP": _frame(ipv4(_SRC, _DST, udp(1000, 80, b"x" * 30))),
    "UDP, all its fields odd": _frame(
        ipv4(_SRC, _DST, udp(65535, 0, b"x", length=3, csum=0x4321), tos=0x2E, identification=7, flags=3, ttl=0)
    ),
    "TCP": _frame(ipv4(_SRC, _DST, tcp(1000, 80, b"x" * 30), TCP)),
    "TCP, nothing but ports": _frame(ipv4(_SRC, _DST, b"\x01\x02\x03\x04", TCP)),
    "ICMP": _frame(ipv4(_SRC, _DST, b"\x08\0\xf7\xff\0\0\0\0", 1)),
    "IPv4 without payload": _frame(ipv4(_SRC, _DST, b"", 253)),
    "IPv4, wrong checksum": _frame(corrupted(ipv4(_SRC, _DST, udp(1, 2, b"y")))),
    "IPv4 of version 5": _frame(b"\x55" + ipv4(_SRC, _DST, udp(1, 2, b"y"))[1:]),
    "IPv4 of too few words": _frame(b"\x44" + ipv4(_SRC, _DST, udp(1, 2, b"y"))[1:]),
    "IPv4 longer than the frame": _frame(ipv4(_SRC, _DST, udp(1, 2, b"y"), total_len=1400)),
    "IPv4 with options": _frame(ipv4(_SRC, _DST, udp(1, 2, b"o"), options=b"\x94\x04\0\0")),
    "IPv4 with 40 bytes of options": _frame(ipv4(_SRC, _DST, udp(1, 2, b"o"), options=b"\x01" * 40)),
    "IPv4, cut off": _frame(ipv4(_SRC, _DST, b"")[:17]),
    "IPv4, one byte of it": _frame(b"\x45\0"),
    "UDP, cut off inside its ports": _frame(ipv4(_SRC, _DST, udp(1, 2, b""))[:23]),
    "first fragment": _frame(ipv4(_SRC, _DST, udp(1, 2, bytes(64)), flags=1)),
    "later fragment": _frame(ipv4(_SRC, _DST, bytes(64), flags=1, offset=185)),
    "last fragment, one byte": _frame(ipv4(_SRC, _DST, b"z", offset=8191)),
    "VXLAN of its own": _frame(ipv4(_SRC, _DST, udp(9, 4789, vxlan(5, bytes(60))))),
    "IPv4 in IPv4": _frame(ipv4(_SRC, _DST, ipv4("1.2.3.4", "5.6.7.8", b"inner"), 4)),
    "ARP reply": ethernet(C3, C1, ARP, arp(2, C1, _SRC, C3, _DST)),
    "ARP request, padded": ethernet(C3, C1, ARP, arp(1, C1, _SRC, "00:00:00:00:00:00", _DST) + bytes(18)),
    "IPv6": _frame6(udp(1, 2, b"six", csum=0x1234)),
    "IPv6, jumbo": _frame6(udp(1, 2, bytes(8000))),
    "IPv6 with TCP": _frame6(tcp(1000, 80, b"six"), TCP),
    "IPv6 with ICMP": _frame6(b"\x80\0\0\0\0\0\0\0", 58),
    "IPv6 with an extension header": _frame6(bytes(16), 0),
    "IPv6, a fragment": _frame6(b"\x11\0\0\1\0\0\0\7" + udp(1, 2, b"six"), 44),
    "IPv6 of version 5": _frame6(udp(1, 2, b"six"), version=5),
    "IPv6, cut off": _frame6(b"")[:45],
    "IPv6, cut off by a byte": _frame6(b"")[:53],
    "IPv6 without payload": _frame6(b""),
    "IPv6 with UDP, cut off inside its ports": _frame6(udp(1, 2, b""))[:57],
    **{f"IPv6 with traffic class {tos:#04x}": _frame6(udp(1, 2, b"six"), tos=tos) for tos in (0x03, 0x2D, 0xB8, 0xFF)},
    "unknown EtherType": ethernet(C3, C1, UNKNOWN_TYPE, b"anything at all"),
    "802.3 length instead of an EtherType": ethernet(C3, C1, 3, b"\x42\x42\x03"),
    "a tag of its own": tagged(_frame(ipv4(_SRC, _DST, udp(1, 2, b"own tag"))), 7),
    "a tag of its own, cut off": ethernet(C3, C1, VLAN, b"\x00\x07"),
    "a tag of its own, cut off by a byte": ethernet(C3, C1, VLAN, b"\x00\x07\x08"),
    "a tag of its own and nothing behind": ethernet(C3, C1, VLAN, b"\x00\x07\x08\x00"),
    "a priority tag of its own": tagged(ethernet(C3, C1, UNKNOWN_TYPE, b"a container's own priority"), 0, pcp=6, dei=1),
    "a service tag of its own": tagged(_frame(ipv4(_SRC, _DST, udp(1, 2, b"s tag"))), 7, tpid=QINQ),
    "two tags of its own": tagged(tagged(ethernet(C3, C1, UNKNOWN_TYPE, b"customer in provider"), 7), 8, tpid=QINQ),
}

SIZES = (1, 18, 1000, 1422, 8000, 8958)
"""Of the payload of an inner packet; the last makes an IPv4 packet of a full 9000 bytes with ports in it."""


def frames() -> Mapping[str, bytes]:
    """By name, from C1 to C3."""
    data = bytes(index % 251 for index in range(max(SIZES)))
    by_size = {f"UDP with {size} bytes": _frame(ipv4(_SRC, _DST, udp(1000, 80, data[:size]))) for size in SIZES}
    by_class = {f"TOS {tos:#04x}": _frame(ipv4(_SRC, _DST, udp(1000, 80, b"x"), tos=tos)) for tos in (0x01, 0xB8, 0xFF)}
    return _FRAMES | by_size | by_class
