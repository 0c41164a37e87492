"""Frames that end inside a header. What a router reads has to be whole; what is behind it goes on as it is."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vector import Vector, dropped, passes
from conformance.vectors.stacks import BROADCAST, NOBODY, container_frame, from_fabric, routed
from packet.frames import ARP, arp, ethernet, ipv4, udp, vxlan
from packet.rack import (
    BAD_VXLAN,
    C1,
    C3,
    FABRIC,
    HOST1,
    HOST1_IP,
    HOST1_MAC,
    HOST2,
    HOST2_IP,
    HOST2_MAC,
    PARSER,
    RED,
    ROUTER,
)

_ARP = ethernet(BROADCAST, HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0"))
_VXLAN = from_fabric(container_frame(C1, C3))
_DATAGRAM = udp(50000, 4789, vxlan(RED, container_frame()))
_OVERLAY = routed(ipv4(HOST1_IP, HOST2_IP, _DATAGRAM))
_OVERLAY_HOP = ethernet(HOST2_MAC, ROUTER, 0x0800, ipv4(HOST1_IP, HOST2_IP, _DATAGRAM, ttl=63))


def _cuts(start: int, octets: int) -> Iterator[int]:
    """Lengths of frames that end inside a header."""
    yield from sorted({start, start + 1, start + octets // 2, start + octets - 1})


# That a container's frame may be cut off anywhere is in containers.py.
VECTORS: tuple[Vector, ...] = (
    *(
        dropped(f"cut off in {header}, after {cut} bytes", (HOST1, frame[:cut]), PARSER)
        for header, frame, octets in (("ARP", _ARP, 28), ("IPv4", _OVERLAY, 20))
        for cut in _cuts(14, octets)
    ),
    *(
        dropped(f"to the VTEP, cut off in {header}, after {cut} bytes", (FABRIC, _VXLAN[:cut]), BAD_VXLAN)
        for header, start, octets in (("UDP", 34, 8), ("VXLAN", 42, 8), ("inner Ethernet", 50, 14))
        for cut in _cuts(start, octets)
    ),
    *(
        passes(
            f"in transit, cut off in {header}, after {cut} bytes", (HOST1, _OVERLAY[:cut]), (HOST2, _OVERLAY_HOP[:cut])
        )
        for header, start, octets in (
            ("UDP", 34, 8),
            ("VXLAN", 42, 8),
            ("inner Ethernet", 50, 14),
            ("inner IPv4", 64, 20),
            ("inner ports", 84, 4),
        )
        for cut in _cuts(start, octets)
    ),
)
