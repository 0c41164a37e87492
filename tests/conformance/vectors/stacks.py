"""The stacks of headers that vectors are made of, and what the switch has to make of them: every byte by hand."""

from __future__ import annotations

import struct

from packet.frames import IPV4, IPV6, TCP, UDP, checksum, ethernet, ipv4, udp, vxlan
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


def on_fabric(inner: bytes, *, vni: int = RED) -> bytes:
    """``inner`` as this switch sends it to the other rack's."""
    packet = udp(source_port(inner), 4789, vxlan(vni, inner))
    return ethernet(SPINE_MAC, ROUTER, IPV4, ipv4(VTEP, PEER_VTEP, packet, flags=2, tos=outer_tos(inner)))


def source_port(inner: bytes) -> int:
    """RFC 7348, section 5: 49152-65535, by the inner flow. The hash is v1model's crc16 over the fields side by side."""
    dst, src = (int.from_bytes(inner[at : at + 6], "big") for at in (0, 6))
    ip_src, ip_dst, protocol, ports = _flow(int.from_bytes(inner[12:14], "big"), inner[14:])
    sport, dport = struct.unpack("!HH", ports) if protocol in (TCP, UDP) and len(ports) == 4 else (0, 0)
    fields = ((src, 48), (dst, 48), (ip_src, 32), (ip_dst, 32), (protocol, 8), (sport, 16), (dport, 16))
    return 49152 + crc16(packed(*fields)) % 16384


def _flow(ether_type: int, packet: bytes) -> tuple[int, int, int, bytes]:
    """Addresses, protocol, and the bytes where the ports are, as far as they are there."""
    if ether_type == IPV4 and len(packet) >= 20:
        ip_src, ip_dst = struct.unpack_from("!II", packet, 12)
        # Only the first fragment has ports, and all fragments have to look alike.
        fragment = struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
        return ip_src, ip_dst, packet[9], b"" if fragment or packet[0] & 15 != 5 else packet[20:24]
    if ether_type == IPV6 and len(packet) >= 40:
        return _folded(packet[8:24]), _folded(packet[24:40]), packet[6], packet[40:44]
    return 0, 0, 0, b""


def _folded(address: bytes) -> int:
    one, two, three, four = struct.unpack("!IIII", address)
    return int(one ^ two ^ three ^ four)


def outer_tos(inner: bytes) -> int:
    """RFC 6040, compatibility mode: DSCP is copied, ECN is not."""
    ether_type, packet = int.from_bytes(inner[12:14], "big"), inner[14:]
    if ether_type == IPV4 and len(packet) >= 20:
        return packet[1] & 0xFC
    if ether_type == IPV6 and len(packet) >= 40:
        return int(struct.unpack_from("!H", packet)[0] >> 4) & 0xFC
    return 0


def swapped(frame: bytes) -> bytes:
    """The same frame the other way: Ethernet addresses exchanged."""
    return frame[6:12] + frame[:6] + frame[12:]


def to(dst: str, frame: bytes) -> bytes:
    """The same frame to another MAC address."""
    return bytes.fromhex(dst.replace(":", "")) + frame[6:]


def corrupted(packet: bytes) -> bytes:
    """An IPv4 packet whose checksum is wrong by one bit."""
    return packet[:10] + bytes([packet[10] ^ 0x40]) + packet[11:]


def checked(packet: bytes) -> bytes:
    """The packet with a right checksum over its first 20 bytes, whatever they are."""
    empty = packet[:10] + b"\0\0" + packet[12:]
    return packet[:10] + checksum(empty[:20]).to_bytes(2, "big") + packet[12:]
