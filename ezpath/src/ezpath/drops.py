"""Why a ToR dropped a packet: the cells of its drop counter, ``DROP_*`` of p4/ezpath/headers.p4. Pure."""

from __future__ import annotations

REASONS = {
    1: "unknown tag",
    2: "unknown destination of a tagged frame",
    3: "tunnel source not allowed",
    4: "unknown endpoint in a tunnel",
    5: "no VXLAN with a VNI",
    6: "TTL",
    7: "no route",
    8: "not for the router",
    9: "ARP not for us",
    10: "neither IPv4 nor ARP",
    11: "cut off inside a header",
    12: "bad IPv4 header",
}


def reason_of(cell: int) -> str:
    """Of a cell of the counter; its number where the program has it and this version does not."""
    return REASONS.get(cell, f"reason {cell}")
