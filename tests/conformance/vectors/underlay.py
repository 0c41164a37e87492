"""What a plain ToR does: routing, ARP, and passing on the hosts' own VXLAN."""

from __future__ import annotations

from typing import Any

from conformance.vector import Vector, passes
from conformance.vectors.stacks import BROADCAST, NOBODY, container_frame, routed
from packet.entries import entry
from packet.frames import ARP, IPV4, TCP, arp, checksum, ethernet, ipv4, tagged, udp, vxlan
from packet.rack import (
    ENTRIES,
    FABRIC,
    HOST1,
    HOST1_IP,
    HOST1_MAC,
    HOST2,
    HOST2_IP,
    HOST2_MAC,
    RED,
    ROUTER,
    SPINE_MAC,
)

_TTL, _CHECKSUM = 8, slice(10, 12)
OTHER_RACK = "10.1.3.1"


def _hop(packet: bytes, next_hop: str = HOST2_MAC) -> bytes:
    """The packet one hop further: a TTL less, the checksum calculated anew."""
    header = bytearray(packet[: 4 * (packet[0] & 15)])
    header[_TTL] -= 1
    header[_CHECKSUM] = bytes(2)
    header[_CHECKSUM] = checksum(bytes(header)).to_bytes(2, "big")
    return ethernet(next_hop, ROUTER, IPV4, bytes(header) + packet[len(header) :])


def _to_host2(payload: bytes = b"ordinary", protocol: int = 253, **fields: Any) -> bytes:
    return ipv4(HOST1_IP, HOST2_IP, payload, protocol, **fields)


def _with_checksum(value: int, options: bytes) -> bytes:
    """A packet with that checksum: adjusting it is where carries and zeros go wrong."""
    without = ipv4(HOST1_IP, HOST2_IP, b"", 253, options=options)
    identification = (int.from_bytes(without[_CHECKSUM], "big") - value) % 0xFFFF
    packet = ipv4(HOST1_IP, HOST2_IP, b"", 253, options=options, identification=identification)
    assert int.from_bytes(packet[_CHECKSUM], "big") == value
    return packet


def _damaged(packet: bytes) -> bytes:
    """One bit of the source address is wrong."""
    return packet[:12] + bytes([packet[12] ^ 0x10]) + packet[13:]


def _overlay(inner: bytes, dst: str = OTHER_RACK, flags: int = 8) -> bytes:
    """Host 1's OVS to another host, as it leaves host 1."""
    return ipv4(HOST1_IP, dst, udp(40000, 4789, vxlan(RED, inner, flags), csum=0x1234), flags=2)


def _request(asked: str, dst: str = BROADCAST, sender: str = HOST1_IP, padding: int = 0) -> bytes:
    return ethernet(dst, HOST1_MAC, ARP, arp(1, HOST1_MAC, sender, NOBODY, asked) + bytes(padding))


def _reply(asked: str, sender: str = HOST1_IP, padding: int = 0) -> bytes:
    return ethernet(HOST1_MAC, ROUTER, ARP, arp(2, ROUTER, asked, HOST1_MAC, sender) + bytes(padding))


_OPTIONS = ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"opt"), options=b"\x94\x04\x00\x00")
_PACKETS = {
    "UDP": _to_host2(udp(5, 6, b"routed"), 17, tos=0x2E, identification=77),
    "TCP": _to_host2(bytes(20), TCP),
    "no payload": _to_host2(b""),
    "TTL 2": _to_host2(ttl=2),
    "TTL 255": _to_host2(ttl=255),
    "all flags": _to_host2(flags=7),
    "first fragment": _to_host2(udp(5, 6, bytes(40)), 17, flags=1),
    "first fragment of somebody's VXLAN": _to_host2(udp(5, 4789, vxlan(RED, bytes(40))), 17, flags=1),
    "later fragment": _to_host2(bytes(40), 17, offset=185),
    "later fragment that looks like VXLAN": _to_host2(udp(5, 4789, vxlan(RED, bytes(40))), 17, flags=1, offset=1),
    "shorter than a UDP header, later fragment": _to_host2(b"abc", 17, offset=8191),
    "full size": _to_host2(bytes(1480)),
    "jumbo": _to_host2(bytes(8980)),
    "total length beyond the frame": _to_host2(total_len=9000),
    "total length shorter than the frame": _to_host2(total_len=20),
    "options": _OPTIONS,
    "options up to the most there can be": ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"opt"), options=b"\x01" * 40),
    **{
        f"checksum {value:#06x} {how}": _with_checksum(value, options)
        for value in (0x0000, 0x0001, 0x00FF, 0x0100, 0xFEFF, 0xFF00, 0xFFFE)
        for how, options in (("without options", b""), ("with options", b"\x94\x04\0\0"))
    },
    "padding of the frame": _to_host2(b"") + bytes(26),
    "the hosts' VXLAN": _overlay(container_frame(), HOST2_IP),
    "the hosts' VXLAN, inner frame without payload": _overlay(container_frame()[:14], HOST2_IP),
    "the hosts' VXLAN, inner tag": _overlay(tagged(container_frame(), 5), HOST2_IP),
    "the hosts' VXLAN, reserved flags": _overlay(container_frame(), HOST2_IP, flags=0xFF),
    "UDP to VXLAN's port, but without a VNI": _overlay(container_frame(), HOST2_IP, flags=0),
}

VECTORS: tuple[Vector, ...] = (
    *(passes(f"routed: {kind}", (HOST1, routed(packet)), (HOST2, _hop(packet))) for kind, packet in _PACKETS.items()),
    passes(
        "a wrong checksum over options stays as wrong as it was",
        (HOST1, routed(_damaged(_OPTIONS))),
        (HOST2, _hop(_OPTIONS)[:14] + _damaged(_hop(_OPTIONS)[14:])),
    ),
    passes(
        "the overlay between racks passes untouched",
        (HOST1, routed(_overlay(container_frame()))),
        (FABRIC, _hop(_overlay(container_frame()), SPINE_MAC)),
    ),
    passes(
        "the longest prefix wins: a host of this rack",
        (FABRIC, routed(ipv4("10.9.9.9", HOST1_IP, b"", 253))),
        (HOST1, _hop(ipv4("10.9.9.9", HOST1_IP, b"", 253), HOST1_MAC)),
    ),
    passes(
        "the longest prefix wins: all other racks",
        (HOST1, routed(ipv4(HOST1_IP, "10.1.200.1", b"", 253))),
        (FABRIC, _hop(ipv4(HOST1_IP, "10.1.200.1", b"", 253), SPINE_MAC)),
    ),
    passes(
        "the default route",
        (HOST1, routed(ipv4(HOST1_IP, "192.0.2.1", b"", 253))),
        (FABRIC, _hop(ipv4(HOST1_IP, "192.0.2.1", b"", 253), SPINE_MAC)),
        (*ENTRIES, entry("route", {}, "next_hop", port=FABRIC, src=ROUTER, dst=SPINE_MAC)),
    ),
    passes(
        "hairpin: routed out of the port it came from",
        (HOST1, routed(ipv4("10.9.9.9", HOST1_IP, b"", 253))),
        (HOST1, _hop(ipv4("10.9.9.9", HOST1_IP, b"", 253), HOST1_MAC)),
    ),
    passes(
        "a multicast address that somebody routes",
        (HOST1, routed(ipv4(HOST1_IP, "224.0.0.251", b"", 253))),
        (HOST2, _hop(ipv4(HOST1_IP, "224.0.0.251", b"", 253))),
        (*ENTRIES, entry("route", {"prefix": ("224.0.0.0", 4)}, "next_hop", port=HOST2, src=ROUTER, dst=HOST2_MAC)),
    ),
    passes("ARP: the router's address", (HOST1, _request("10.1.1.0")), (HOST1, _reply("10.1.1.0"))),
    passes(
        "ARP: padded, and to the router alone",
        (HOST1, _request("10.1.1.0", ROUTER, padding=18)),
        (HOST1, _reply("10.1.1.0", padding=18)),
    ),
    passes(
        "ARP: a probe, from a host that has no address yet",
        (HOST1, _request("10.1.1.0", sender="0.0.0.0")),
        (HOST1, _reply("10.1.1.0", sender="0.0.0.0")),
    ),
    passes(
        "ARP: to whatever MAC address it was sent",
        (HOST1, _request("10.1.1.0", "02:00:00:00:00:99")),
        (HOST1, _reply("10.1.1.0")),
    ),
)
