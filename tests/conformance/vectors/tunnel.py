"""Tagged frames into VXLAN and out of it, and within the rack: exact bytes."""

from __future__ import annotations

from conformance.vector import Outcome, Vector, passes
from conformance.vectors.containers import frames
from conformance.vectors.stacks import container_frame, from_fabric, on_fabric, other_frame, swapped, to
from packet.entries import default, entry
from packet.frames import IPV4, QINQ, ethernet, ipv4, tagged, udp
from packet.rack import (
    BLUE,
    BLUE_VID,
    C1,
    C2,
    C3,
    ENTRIES,
    FABRIC,
    HOST1,
    HOST2,
    PEER_VTEP,
    RED,
    RED_VID,
    RED_VID2,
    ROUTER,
    SPINE_MAC,
    VTEP,
)

NEIGHBOUR = "02:00:00:00:00:04"
"""A second container of red's on host 1."""
ON_HOST1 = (*ENTRIES, entry("endpoint", {"vni": RED, "mac": NEIGHBOUR}, "to_port", port=HOST1, vid=RED_VID))
BARE = container_frame()
ANSWER = container_frame(C1, C3)


def _flow(sport: int) -> bytes:
    return ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(sport, 80, b"one of many flows")))


def _fragment(flags: int, offset: int, payload: bytes) -> bytes:
    return ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", payload, flags=flags, offset=offset))


_DATAGRAM = udp(4000, 80, bytes(range(240)))
FRAGMENTS = (_fragment(1, 0, _DATAGRAM[:80]), _fragment(1, 10, _DATAGRAM[80:160]), _fragment(0, 20, _DATAGRAM[160:]))
"""Of one datagram."""


def _odd_vxlan(inner: bytes) -> bytes:
    """All that a receiver has to leave alone (RFC 7348, section 5) is something else than what we send."""
    header = b"\xff\xaa\xbb\xcc" + RED.to_bytes(3, "big") + b"\xdd"
    datagram = udp(0, 4789, header + inner, length=9, csum=0xFFFF)
    packet = ipv4(PEER_VTEP, VTEP, datagram, tos=0xFF, ttl=1, identification=9)
    return ethernet(ROUTER, SPINE_MAC, IPV4, packet)


VECTORS = (
    *(
        passes(
            f"into the tunnel: {kind}",
            (HOST1, tagged(inner, RED_VID)),
            (FABRIC, on_fabric(inner)),
        )
        for kind, inner in frames().items()
    ),
    *(
        passes(
            f"out of the tunnel: {kind}",
            (FABRIC, from_fabric(swapped(inner))),
            (HOST1, tagged(swapped(inner), RED_VID)),
        )
        for kind, inner in frames().items()
    ),
    *(
        passes(
            f"across the rack: {kind}",
            (HOST1, tagged(to(C2, inner), RED_VID)),
            (HOST2, tagged(to(C2, inner), RED_VID2)),
        )
        for kind, inner in frames().items()
    ),
    *(
        passes(
            f"out of the tunnel: {size} bytes behind the inner Ethernet header",
            (FABRIC, from_fabric(other_frame(C1, C3, bytes(range(size))))),
            (HOST1, tagged(other_frame(C1, C3, bytes(range(size))), RED_VID)),
        )
        for size in (2, 5, 19, 20, 28, 46, 100)
    ),
    # Linux drops a tagged frame with less than two bytes behind the EtherType, before a switch or a capture sees it.
    passes(
        "into the tunnel: two bytes behind the tag",
        (HOST1, tagged(other_frame(payload=b"ab"), RED_VID)),
        (FABRIC, on_fabric(other_frame(payload=b"ab"))),
    ),
    passes(
        "each tag leads to its own tenant though addresses are the same",
        (HOST1, tagged(BARE, BLUE_VID)),
        (FABRIC, on_fabric(BARE, vni=BLUE)),
    ),
    passes(
        "each VNI leads to its own tag though addresses are the same",
        (FABRIC, from_fabric(ANSWER, vni=BLUE)),
        (HOST1, tagged(ANSWER, BLUE_VID)),
    ),
    *(
        passes(
            f"priority bits {pcp}, drop eligible {dei}, into the tunnel: they do not travel",
            (HOST1, tagged(BARE, RED_VID, pcp, dei)),
            (FABRIC, on_fabric(BARE)),
        )
        for pcp, dei in ((1, 0), (4, 0), (7, 0), (0, 1), (5, 1), (7, 1))
    ),
    passes(
        "priority bits across the rack: the tag is made anew",
        (HOST1, tagged(to(C2, BARE), RED_VID, pcp=7, dei=1)),
        (HOST2, tagged(to(C2, BARE), RED_VID2)),
    ),
    passes(
        "back across the rack",
        (HOST2, tagged(container_frame(C1, C2), RED_VID2)),
        (HOST1, tagged(container_frame(C1, C2), RED_VID)),
    ),
    passes(
        "hairpin: to a container behind the port it came from",
        (HOST1, tagged(to(NEIGHBOUR, BARE), RED_VID)),
        (HOST1, tagged(to(NEIGHBOUR, BARE), RED_VID)),
        ON_HOST1,
    ),
    passes(
        "hairpin: a frame to its own sender",
        (HOST1, tagged(container_frame(C1, C1), RED_VID)),
        (HOST1, tagged(container_frame(C1, C1), RED_VID)),
    ),
    passes(
        "a container's double tag: only the outer one is the tenant's",
        (HOST1, tagged(tagged(BARE, BLUE_VID), RED_VID)),
        (FABRIC, on_fabric(tagged(BARE, BLUE_VID))),
    ),
    passes(
        "a container's double tag out of the tunnel",
        (FABRIC, from_fabric(tagged(tagged(ANSWER, 4095, pcp=6), 1, tpid=QINQ))),
        (HOST1, tagged(tagged(tagged(ANSWER, 4095, pcp=6), 1, tpid=QINQ), RED_VID)),
    ),
    passes(
        "VXLAN whose reserved fields and UDP fields are anything",
        (FABRIC, _odd_vxlan(ANSWER)),
        (HOST1, tagged(ANSWER, RED_VID)),
    ),
    passes(
        "the highest VLAN id and VNI",
        (HOST2, tagged(to(C1, BARE), 4095)),
        (FABRIC, on_fabric(to(C1, BARE), vni=0xFFFFFF)),
        (
            *ENTRIES,
            entry("tenant_tag", {"ingress_port": HOST2, "vid": 4095}, "set_tenant", vni=0xFFFFFF),
            entry("endpoint", {"vni": 0xFFFFFF, "mac": C1}, "to_tunnel", local_ip=VTEP, vtep=PEER_VTEP),
        ),
    ),
    passes(
        "a default for MAC addresses that are not known",
        (HOST1, tagged(container_frame("02:00:00:00:00:99"), RED_VID)),
        (HOST2, tagged(container_frame("02:00:00:00:00:99"), 9)),
        (*ENTRIES, default("endpoint", "to_port", port=HOST2, vid=9)),
    ),
    Vector(
        "a flow keeps its source port and others get others",
        tuple((HOST1, tagged(_flow(sport), RED_VID)) for sport in (0, 1, 1000, 1001, 1000, 65535)),
        Outcome({FABRIC: tuple(on_fabric(_flow(sport)) for sport in (0, 1, 1000, 1001, 1000, 65535))}, {}),
    ),
    Vector(
        "all fragments of a datagram take one way",
        tuple((HOST1, tagged(piece, RED_VID)) for piece in FRAGMENTS),
        Outcome({FABRIC: tuple(on_fabric(piece) for piece in FRAGMENTS)}, {}),
    ),
    Vector(
        "frames of two tenants and of no tenant, mixed, come out in their order",
        (
            (HOST1, tagged(BARE, RED_VID)),
            (HOST1, tagged(BARE, 4000)),
            (HOST1, tagged(BARE, BLUE_VID)),
            (HOST1, tagged(to(C2, BARE), RED_VID)),
            (HOST1, tagged(BARE, RED_VID)),
        ),
        Outcome(
            {
                HOST2: (tagged(to(C2, BARE), RED_VID2),),
                FABRIC: (on_fabric(BARE), on_fabric(BARE, vni=BLUE), on_fabric(BARE)),
            },
            {1: (1, len(BARE) + 4)},
        ),
    ),
)
