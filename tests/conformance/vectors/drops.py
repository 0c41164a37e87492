"""Every reason for which the program drops a frame: nothing comes out, and its counter says so."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from conformance.vector import Outcome, Vector, dropped
from conformance.vectors.stacks import (
    BROADCAST,
    MULTICAST4,
    MULTICAST6,
    NOBODY,
    STRANGER,
    UNKNOWN_TYPE,
    checked,
    container_frame,
    corrupted,
    from_fabric,
    routed,
)
from packet.entries import entry
from packet.frames import ARP, IPV4, IPV6, QINQ, arp, ethernet, ipv4, ipv6, tagged, udp
from packet.rack import (
    BAD_ARP,
    BAD_IPV4,
    BAD_VXLAN,
    BLUE,
    BLUE_VID,
    C1,
    C2,
    C3,
    ENTRIES,
    FABRIC,
    HOST1,
    HOST1_IP,
    HOST1_MAC,
    HOST2,
    HOST2_IP,
    NO_ROUTE,
    NOT_FOR_ROUTER,
    NOT_IPV4,
    PEER_VTEP,
    RED,
    RED_VID,
    RED_VID2,
    ROUTER,
    SPINE_MAC,
    TTL,
    TUNNEL_SOURCE,
    UNKNOWN_DST,
    UNKNOWN_ENDPOINT,
    UNKNOWN_TAG,
    VTEP,
)

from p4rt import TableEntry

ORDINARY = ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"ordinary"))
TO_C1 = container_frame(C1, C3)
TO_VTEP = from_fabric(TO_C1)
WITHOUT_PEER = tuple(one for one in ENTRIES if one.match.get("prefix") != (0x0AFF0002, 32))


def _tagged(dst: str = C3, vid: int = RED_VID) -> bytes:
    return tagged(container_frame(dst), vid)


def _to_vtep(packet: bytes) -> bytes:
    return routed(packet, src=SPINE_MAC)


def _arp(op: int, target: str, *, htype: int = 1, ptype: int = IPV4, hlen: int = 6, plen: int = 4) -> bytes:
    """From host 1, whatever kind of addresses it says to speak of."""
    head = struct.pack("!HHBB", htype, ptype, hlen, plen)
    return ethernet(BROADCAST, HOST1_MAC, ARP, head + arp(op, HOST1_MAC, HOST1_IP, NOBODY, target)[6:])


_CASES = {
    UNKNOWN_TAG: {
        "a tag that names no tenant": (HOST1, _tagged(vid=4000)),
        "a tag that another port has": (HOST1, _tagged(vid=RED_VID2)),
        "the priority tag, VLAN id 0": (HOST1, _tagged(vid=0)),
        "a tagged frame from the fabric": (FABRIC, _tagged()),
        "a tenant's tag only behind another one": (HOST1, tagged(_tagged(), 4000)),
        "five tags and no tenant": (HOST1, tagged(tagged(tagged(tagged(_tagged(), 1), 2), 3), 4000)),
        "a tagged IPv6 frame of no tenant": (HOST1, tagged(ethernet(C3, C1, IPV6, bytes(40)), 4000)),
    },
    UNKNOWN_DST: {
        "an unknown MAC of a known tenant": (HOST1, _tagged(STRANGER)),
        "a MAC that only the other tenant has": (HOST1, _tagged(C2, BLUE_VID)),
        "a tagged broadcast": (HOST1, _tagged(BROADCAST)),
        "a tagged IPv4 multicast": (HOST1, _tagged(MULTICAST4)),
        "a tagged IPv6 multicast": (HOST1, tagged(ethernet(MULTICAST6, C1, IPV6, bytes(40)), RED_VID)),
        "a tagged ARP request": (HOST1, tagged(_arp(1, "10.0.0.3"), RED_VID)),
        "a tagged frame to the router": (HOST1, _tagged(ROUTER)),
    },
    TUNNEL_SOURCE: {
        "VXLAN from an unknown VTEP": (FABRIC, from_fabric(TO_C1, src="10.255.0.9")),
        "VXLAN from this switch's own VTEP": (FABRIC, from_fabric(TO_C1, src=VTEP)),
        "VXLAN from a host port with a peer's VTEP": (HOST1, TO_VTEP),
        "VXLAN from a host port with its own address": (HOST2, from_fabric(TO_C1, src=HOST2_IP)),
        "VXLAN to a peer ToR in this ToR's name": (HOST1, from_fabric(TO_C1, src=VTEP, dst=PEER_VTEP)),
        "VXLAN to a peer ToR with an address of one's own": (HOST1, from_fabric(TO_C1, src=HOST1_IP, dst=PEER_VTEP)),
        "anything else to a peer ToR": (HOST1, routed(ipv4(HOST1_IP, PEER_VTEP, bytes(8), 1))),
    },
    UNKNOWN_ENDPOINT: {
        "VXLAN with a wrong VNI": (FABRIC, from_fabric(TO_C1, vni=5003)),
        "VXLAN with another tenant's VNI": (FABRIC, from_fabric(container_frame(C2, C3), vni=BLUE)),
        "VXLAN to an unknown MAC": (FABRIC, from_fabric(container_frame(STRANGER, C3))),
        "VXLAN with a broadcast in it": (FABRIC, from_fabric(container_frame(BROADCAST, C3))),
        "VXLAN to a MAC behind another ToR: a loop": (FABRIC, from_fabric(container_frame(C3, C1))),
    },
    BAD_VXLAN: {
        "VXLAN without a VNI": (FABRIC, from_fabric(TO_C1, flags=0)),
        "VXLAN whose flags are all but the VNI's": (FABRIC, from_fabric(TO_C1, flags=0xF7)),
        "other UDP to the VTEP": (FABRIC, _to_vtep(ipv4(PEER_VTEP, VTEP, udp(1, 53, b"?")))),
        "ICMP to the VTEP": (FABRIC, _to_vtep(ipv4(PEER_VTEP, VTEP, bytes(8), 1))),
        "no payload to the VTEP": (FABRIC, _to_vtep(ipv4(PEER_VTEP, VTEP, b"", 253))),
        "VXLAN behind IP options": (
            FABRIC,
            _to_vtep(ipv4(PEER_VTEP, VTEP, TO_VTEP[34:], options=b"\x94\x04\0\0")),
        ),
        "a first fragment to the VTEP": (FABRIC, _to_vtep(ipv4(PEER_VTEP, VTEP, TO_VTEP[34:], flags=1))),
        "a later fragment to the VTEP": (FABRIC, _to_vtep(ipv4(PEER_VTEP, VTEP, TO_VTEP[34:], offset=185))),
        "the VTEP's address from a host": (HOST1, routed(ipv4(HOST1_IP, VTEP, bytes(8), 1))),
    },
    TTL: {
        "TTL 1": (HOST1, routed(ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=1))),
        "TTL 0": (HOST1, routed(ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=0))),
        "TTL 1 and no route": (HOST1, routed(ipv4(HOST1_IP, "192.0.2.1", b"", ttl=1, protocol=253))),
        "the hosts' VXLAN with TTL 1": (HOST1, routed(ipv4(HOST1_IP, HOST2_IP, TO_VTEP[34:], ttl=1))),
    },
    NO_ROUTE: {
        "no route": (HOST1, routed(ipv4(HOST1_IP, "192.0.2.1", udp(1, 2, b"")))),
        "the broadcast address": (HOST1, routed(ipv4(HOST1_IP, "255.255.255.255", udp(1, 2, b"")))),
    },
    NOT_FOR_ROUTER: {
        "somebody else's MAC": (HOST1, routed(ORDINARY, dst=STRANGER)),
        "an untagged broadcast": (HOST1, routed(ORDINARY, dst=BROADCAST)),
        "an untagged multicast": (HOST1, routed(ipv4(HOST1_IP, "224.0.0.251", b"", 253), dst=MULTICAST4)),
        "an untagged frame between containers": (HOST1, container_frame()),
    },
    BAD_ARP: {
        "an ARP request for somebody else": (HOST1, _arp(1, "10.1.1.77")),
        "an ARP request for another port's address": (HOST1, _arp(1, "10.1.2.0")),
        "an ARP reply": (HOST1, _arp(2, "10.1.1.0")),
        "a reverse ARP operation": (HOST1, _arp(3, "10.1.1.0")),
        "an ARP operation of 0": (HOST1, _arp(0, "10.1.1.0")),
        "an ARP request for an AppleTalk address": (HOST1, _arp(1, "10.1.1.0", ptype=0x809B)),
        "an ARP request on another medium": (HOST1, _arp(1, "10.1.1.0", htype=6)),
        "an ARP request with long addresses": (HOST1, _arp(1, "10.1.1.0", hlen=8)),
        "an ARP request with short addresses": (HOST1, _arp(1, "10.1.1.0", plen=2)),
    },
    NOT_IPV4: {
        "untagged IPv6": (HOST1, ethernet(ROUTER, HOST1_MAC, IPV6, ipv6("fd00::1", "fd00::2", udp(1, 2, b"")))),
        "an unknown EtherType": (HOST1, ethernet(ROUTER, HOST1_MAC, UNKNOWN_TYPE, b"what is this")),
        "a service tag, which no host may send": (HOST1, tagged(container_frame(), RED_VID, tpid=QINQ)),
        "a frame of nothing but Ethernet": (HOST1, ethernet(ROUTER, HOST1_MAC, UNKNOWN_TYPE, b"")),
        "an 802.3 frame": (HOST1, ethernet("01:80:c2:00:00:00", HOST1_MAC, 38, b"\x42\x42\x03" + bytes(43))),
    },
    BAD_IPV4: {
        "a wrong checksum": (HOST1, routed(corrupted(ORDINARY))),
        "a wrong checksum where there is no route": (HOST1, routed(corrupted(ipv4(HOST1_IP, "192.0.2.1", b"", 253)))),
        "a wrong checksum to the VTEP": (FABRIC, _to_vtep(corrupted(TO_VTEP[14:]))),
        "a wrong checksum in a packet for somebody else": (HOST1, routed(corrupted(ORDINARY), dst=STRANGER)),
        "a header with options that is longer than the frame": (
            HOST1,
            routed(ipv4(HOST1_IP, HOST2_IP, b"", options=bytes(40))[:59]),
        ),
        "a wrong checksum, zero": (HOST1, routed(ORDINARY[:10] + b"\0\0" + ORDINARY[12:])),
        "IPv4 of version 5": (HOST1, routed(b"\x55" + ORDINARY[1:])),
        "IPv4 of version 5 to the VTEP": (FABRIC, _to_vtep(checked(b"\x55" + TO_VTEP[15:]))),
        "IPv4 of four words": (HOST1, routed(checked(b"\x44" + ORDINARY[1:]))),
        "IPv4 of no words": (HOST1, routed(checked(b"\x40" + ORDINARY[1:]))),
        "IPv4 of four words to the VTEP": (FABRIC, _to_vtep(checked(b"\x44" + TO_VTEP[15:]))),
        "IPv4 of version 5, its checksum right": (HOST1, routed(checked(b"\x55" + ORDINARY[1:]))),
        "IPv4 of version 6": (HOST1, routed(b"\x65" + ORDINARY[1:])),
    },
}


def _without(other: TableEntry) -> Iterator[TableEntry]:
    """The rack's entries, without the one that has this key."""
    return (one for one in ENTRIES if one.key != other.key)


_DROPPING = (
    (
        (FABRIC, TO_VTEP),
        TUNNEL_SOURCE,
        entry("tunnel_source", {"ingress_port": FABRIC, "vtep": PEER_VTEP}, "deny_source"),
    ),
    # A tag that an entry calls unknown is one all the same: of no tenant, whose containers are looked up.
    ((HOST1, _tagged()), UNKNOWN_DST, entry("tenant_tag", {"ingress_port": HOST1, "vid": RED_VID}, "unknown_tag")),
    ((HOST1, _tagged()), UNKNOWN_DST, entry("endpoint", {"vni": RED, "mac": C3}, "unknown_endpoint")),
    ((FABRIC, TO_VTEP), UNKNOWN_ENDPOINT, entry("endpoint", {"vni": RED, "mac": C1}, "unknown_endpoint")),
    ((FABRIC, TO_VTEP), NO_ROUTE, entry("local_vtep", {"vtep": VTEP}, "not_local_vtep")),
    ((HOST1, routed(ORDINARY)), NOT_FOR_ROUTER, entry("router_mac", {"mac": ROUTER}, "not_for_router")),
    ((HOST1, routed(ORDINARY)), NO_ROUTE, entry("route", {"prefix": (HOST2_IP, 32)}, "no_route")),
    (
        (HOST1, _arp(1, "10.1.1.0")),
        BAD_ARP,
        entry("arp_responder", {"ingress_port": HOST1, "target_ip": "10.1.1.0"}, "arp_ignore"),
    ),
)
"""Entries with the actions that tables have for misses."""

VECTORS: tuple[Vector, ...] = (
    *(dropped(name, sent, reason) for reason, cases in _CASES.items() for name, sent in cases.items()),
    dropped("a tunnel whose far end has no route", (HOST1, _tagged()), NO_ROUTE, WITHOUT_PEER),
    dropped("a tag where no tenant is known", (HOST1, _tagged()), UNKNOWN_TAG, ()),
    dropped("a packet where nothing is known", (HOST1, routed(ORDINARY)), NOT_FOR_ROUTER, ()),
    dropped("VXLAN where nothing is known", (FABRIC, TO_VTEP), NOT_FOR_ROUTER, ()),
    *(dropped(f"an entry that drops: {one}", sent, reason, (*_without(one), one)) for sent, reason, one in _DROPPING),
    Vector(
        "drops of several reasons are counted apart, with their bytes",
        (
            (HOST1, _tagged(vid=4000)),
            (HOST1, _tagged(vid=4001) + b"longer"),
            (HOST1, routed(corrupted(ORDINARY))),
            (FABRIC, from_fabric(TO_C1, flags=0)),
        ),
        Outcome(
            {},
            {
                UNKNOWN_TAG: (2, 2 * len(_tagged()) + 6),
                BAD_IPV4: (1, 14 + len(ORDINARY)),
                BAD_VXLAN: (1, len(TO_VTEP)),
            },
        ),
    ),
)
