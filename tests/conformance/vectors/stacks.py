"""The stacks of headers that vectors are made of, and what the switch has to make of them: every byte by hand."""

from __future__ import annotations

import struct

from packet.frames import IPV4, ethernet, ipv4, udp, vxlan
from packet.hashes import crc16, packed
from packet.rack import C1, C3, HOST1_MAC, PEER_VTEP, RED, ROUTER, SPINE_MAC, VTEP

NOBODY = "00:00:00:00:00:00"
STRANGER = "02:00:00:00:00:99"
BROADCAST = "ff:ff:ff:ff:ff:ff"
MULTICAST4, MULTICAST6 = "01:00:5e:00:00:fb", "33:33:00:00:00:fb"
UNKNOWN_TYPE = 0x88B5
"""An EtherType for local experiments."""


def container_frame(dst: str = C3, src: str = C1, payload: bytes = b"payload of a container") -> bytes:
    """UDP over IPv4 between two containers, untagged."""
    return ethernet(dst, src, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1000, 80, payload)))


def other_frame(dst: str = C3, src: str = C1, payload: bytes = b"no IP at all") -> bytes:
    return ethernet(dst, src, UNKNOWN_TYPE, payload)


def routed(packet: bytes, dst: str = ROUTER, src: str = HOST1_MAC) -> bytes:
    """An IPv4 packet as a host hands it to the switch."""
    return ethernet(dst, src, IPV4, packet)


def from_fabric(
    inner: bytes,
    *,
    vni: int = RED,
    src: str = PEER_VTEP,
    dst: str = VTEP,
    flags: int = 8,
    sport: int = 50000,
    mac: str = ROUTER,
) -> bytes:
    """VXLAN as the other rack's switch sends it, after one hop through the fabric."""
    packet = ipv4(src, dst, udp(sport, 4789, vxlan(vni, inner, flags)), flags=2, ttl=63)
    return ethernet(mac, SPINE_MAC, IPV4, packet)


def on_fabric(inner: bytes, *, vni: int = RED, tos: int = 0) -> bytes:
    """``inner`` as this switch sends it to the other rack's."""
    packet = udp(source_port(inner), 4789, vxlan(vni, inner))
    return ethernet(SPINE_MAC, ROUTER, IPV4, ipv4(VTEP, PEER_VTEP, packet, flags=2, tos=tos))


def source_port(inner: bytes) -> int:
    """RFC 7348, section 5: 49152-65535, by the inner flow. The hash is v1model's crc16 over the fields side by side."""
    dst, src, ether_type = inner[:6], inner[6:12], int.from_bytes(inner[12:14], "big")
    ip_src = ip_dst = protocol = sport = dport = 0
    if ether_type == IPV4:
        ip_src, ip_dst = struct.unpack_from("!II", inner, 26)
        protocol = inner[23]
        first_or_whole = struct.unpack_from("!H", inner, 20)[0] & 0x1FFF == 0
        if inner[14] & 15 == 5 and first_or_whole and protocol in (6, 17):
            sport, dport = struct.unpack_from("!HH", inner, 34)
    fields = ((int.from_bytes(src, "big"), 48), (int.from_bytes(dst, "big"), 48), (ip_src, 32), (ip_dst, 32))
    return 49152 + crc16(packed(*fields, (protocol, 8), (sport, 16), (dport, 16))) % 16384


def swapped(frame: bytes) -> bytes:
    """The same frame the other way: Ethernet addresses exchanged."""
    return frame[6:12] + frame[:6] + frame[12:]


def to(dst: str, frame: bytes) -> bytes:
    """The same frame to another MAC address."""
    return bytes.fromhex(dst.replace(":", "")) + frame[6:]


def corrupted(packet: bytes) -> bytes:
    """An IPv4 packet whose checksum is wrong by one bit."""
    return packet[:10] + bytes([packet[10] ^ 0x40]) + packet[11:]
