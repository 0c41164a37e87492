"""Frames that end inside a header, wherever in it: dropped, and counted as cut off."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.vector import Vector, dropped
from conformance.vectors.stacks import BROADCAST, NOBODY, container_frame, from_fabric, routed
from packet.frames import ARP, arp, ethernet, ipv4, tagged, udp
from packet.rack import C1, C3, FABRIC, HOST1, HOST1_IP, HOST1_MAC, HOST2_IP, PARSER, RED_VID


@dataclass(frozen=True, slots=True)
class _Header:
    """A header in a whole frame: where it starts and how long it is."""

    port: int
    frame: bytes
    start: int
    octets: int


_ROUTED = routed(ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"ordinary")))
_VXLAN = from_fabric(container_frame(C1, C3))
_TAGGED = tagged(container_frame(), RED_VID)
_ARP = ethernet(BROADCAST, HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0"))

_HEADERS = {
    "ARP": _Header(HOST1, _ARP, 14, 28),
    "IPv4": _Header(HOST1, _ROUTED, 14, 20),
    "UDP": _Header(HOST1, _ROUTED, 34, 8),
    "VXLAN": _Header(FABRIC, _VXLAN, 42, 8),
    "inner Ethernet": _Header(FABRIC, _VXLAN, 50, 14),
    "inner IPv4": _Header(FABRIC, _VXLAN, 64, 20),
    "inner ports": _Header(FABRIC, _VXLAN, 84, 4),
    # Linux itself drops a tagged frame with less than two bytes behind the EtherType, before any switch sees it. So no
    # frame that ends inside the tag can come over a wire, and none that ends in the first two bytes behind it.
    "IPv4 behind the tag": _Header(HOST1, _TAGGED, 20, 18),
    "ports behind the tag": _Header(HOST1, _TAGGED, 38, 4),
}


def _cuts(header: _Header) -> list[int]:
    start, octets = header.start, header.octets
    return sorted({start, start + 1, start + octets // 2, start + octets - 1})


VECTORS: tuple[Vector, ...] = tuple(
    dropped(f"cut off in {name}, after {cut} bytes", (header.port, header.frame[:cut]), PARSER)
    for name, header in _HEADERS.items()
    for cut in _cuts(header)
)
