"""Every reason for which the program drops a frame: nothing comes out, and its counter says so."""

from __future__ import annotations

import struct

import pytest
from packet.frames import ARP, IPV4, IPV6, arp, checksum, ethernet, ipv4, ipv6, tagged, udp, vxlan
from packet.rack import (
    BAD_ARP,
    BAD_IPV4,
    BAD_VXLAN,
    BLUE_VID,
    C1,
    C2,
    C3,
    FABRIC,
    HOST1,
    HOST1_IP,
    HOST1_MAC,
    HOST2,
    HOST2_IP,
    NO_ROUTE,
    NOT_FOR_ROUTER,
    NOT_IPV4,
    PARSER,
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
    Rack,
)

pytestmark = pytest.mark.root

NOBODY = "00:00:00:00:00:00"
STRANGER = "02:00:00:00:00:99"


def container_frame(dst: str = C3, src: str = C1) -> bytes:
    return ethernet(dst, src, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, b"payload of a container")))


def tunnelled(inner: bytes, *, vni: int = RED, src: str = PEER_VTEP, dst: str = VTEP, flags: int = 8) -> bytes:
    return ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(src, dst, udp(50000, 4789, vxlan(vni, inner, flags))))


def routed(packet: bytes, dst: str = ROUTER) -> bytes:
    return ethernet(dst, HOST1_MAC, IPV4, packet)


def corrupted(packet: bytes) -> bytes:
    return packet[:10] + bytes([packet[10] ^ 0x40]) + packet[11:]


def with_checksum(packet: bytes) -> bytes:
    """The packet with the checksum that its 20 bytes of header ought to have."""
    bare = packet[:10] + b"\0\0" + packet[12:]
    return bare[:10] + checksum(bare[:20]).to_bytes(2, "big") + bare[12:]


def with_ihl(packet: bytes, words: int) -> bytes:
    return with_checksum(bytes([0x40 | words]) + packet[1:])


def with_version(packet: bytes, version: int) -> bytes:
    return with_checksum(bytes([version << 4 | 5]) + packet[1:])


def fragment(packet: bytes, flags: int) -> bytes:
    return with_checksum(packet[:6] + bytes([flags << 5, 0]) + packet[8:])


def arp_request(*, htype: int, ptype: int, hlen: int, plen: int) -> bytes:
    """As for the ToR's own address, but for what kind of addresses it says to speak of."""
    asked = arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0")
    head = struct.pack("!HHBB", htype, ptype, hlen, plen)
    return ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, head + asked[6:])


ORDINARY = ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"ordinary"))
TO_C1 = container_frame(C1, C3)

CASES = {
    "a tag that names no tenant": (HOST1, tagged(container_frame(), 4000), UNKNOWN_TAG),
    "a tag that another port has": (HOST1, tagged(container_frame(), RED_VID2), UNKNOWN_TAG),
    "the priority tag, VLAN id 0": (HOST1, tagged(container_frame(), 0), UNKNOWN_TAG),
    "a tagged frame from the fabric": (FABRIC, tagged(container_frame(), RED_VID), UNKNOWN_TAG),
    "an unknown MAC of a known tenant": (HOST1, tagged(container_frame(STRANGER), RED_VID), UNKNOWN_DST),
    "a MAC that only the other tenant has": (HOST1, tagged(container_frame(C2), BLUE_VID), UNKNOWN_DST),
    "a broadcast": (HOST1, tagged(container_frame("ff:ff:ff:ff:ff:ff"), RED_VID), UNKNOWN_DST),
    "VXLAN from an unknown VTEP": (FABRIC, tunnelled(TO_C1, src="10.255.0.9"), TUNNEL_SOURCE),
    "VXLAN from a host port with a spoofed VTEP": (HOST1, tunnelled(TO_C1), TUNNEL_SOURCE),
    "VXLAN from a host port with its own address": (HOST2, tunnelled(TO_C1, src=HOST2_IP), TUNNEL_SOURCE),
    "VXLAN to a peer ToR in the own ToR's name": (HOST1, tunnelled(TO_C1, src=VTEP, dst=PEER_VTEP), TUNNEL_SOURCE),
    "VXLAN to a peer ToR with an address of one's own": (
        HOST1,
        tunnelled(TO_C1, src=HOST1_IP, dst=PEER_VTEP),
        TUNNEL_SOURCE,
    ),
    "VXLAN with a wrong VNI": (FABRIC, tunnelled(TO_C1, vni=5003), UNKNOWN_ENDPOINT),
    "VXLAN to an unknown MAC": (FABRIC, tunnelled(container_frame(STRANGER, C3)), UNKNOWN_ENDPOINT),
    "VXLAN to a MAC behind another ToR: a loop": (FABRIC, tunnelled(container_frame(C3, C1)), UNKNOWN_ENDPOINT),
    "VXLAN to a broadcast": (FABRIC, tunnelled(container_frame("ff:ff:ff:ff:ff:ff", C3)), UNKNOWN_ENDPOINT),
    "VXLAN without a VNI": (FABRIC, tunnelled(TO_C1, flags=0), BAD_VXLAN),
    "other UDP to the VTEP": (FABRIC, routed(ipv4(PEER_VTEP, VTEP, udp(1, 53, b"?"))), BAD_VXLAN),
    "a first fragment to the VTEP": (FABRIC, routed(fragment(tunnelled(TO_C1)[14:], 1)), BAD_VXLAN),
    "a multicast": (HOST1, tagged(container_frame("01:00:5e:00:00:fb"), RED_VID), UNKNOWN_DST),
    "an IPv6 neighbour solicitation": (HOST1, tagged(container_frame("33:33:ff:00:00:03"), RED_VID), UNKNOWN_DST),
    "ICMP to the VTEP": (FABRIC, routed(ipv4(PEER_VTEP, VTEP, bytes(8), 1)), BAD_VXLAN),
    "TTL 1": (HOST1, routed(ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=1)), TTL),
    "TTL 0": (HOST1, routed(ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=0)), TTL),
    "no route": (HOST1, routed(ipv4(HOST1_IP, "192.0.2.1", udp(1, 2, b""))), NO_ROUTE),
    "somebody else's MAC": (HOST1, routed(ORDINARY, dst=STRANGER), NOT_FOR_ROUTER),
    "a wrong IPv4 checksum": (HOST1, routed(corrupted(ORDINARY)), BAD_IPV4),
    "a wrong checksum in the outer header": (FABRIC, routed(corrupted(tunnelled(TO_C1)[14:])), BAD_IPV4),
    "a wrong checksum in a packet for somebody else": (
        HOST1,
        routed(corrupted(ORDINARY), dst=STRANGER),
        BAD_IPV4,
    ),
    "IPv4 whose header is too short to be one": (HOST1, routed(with_ihl(ORDINARY, 4)), BAD_IPV4),
    "IPv4 whose header is longer than the frame": (HOST1, routed(with_ihl(ORDINARY[:30], 15)), BAD_IPV4),
    "VXLAN in IPv4 of another version": (FABRIC, routed(with_version(tunnelled(TO_C1)[14:], 5)), BAD_IPV4),
    "IPv4 of another version": (HOST1, routed(b"\x55" + ORDINARY[1:]), BAD_IPV4),
    "an ARP request for somebody else": (
        HOST1,
        ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.77")),
        BAD_ARP,
    ),
    "an ARP request for another port's address": (
        HOST1,
        ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.2.0")),
        BAD_ARP,
    ),
    "an ARP reply": (HOST1, ethernet(ROUTER, HOST1_MAC, ARP, arp(2, HOST1_MAC, HOST1_IP, ROUTER, "10.1.1.0")), BAD_ARP),
    "an ARP request for an AppleTalk address": (HOST1, arp_request(htype=1, ptype=0x809B, hlen=6, plen=4), BAD_ARP),
    "an ARP request on another medium": (HOST1, arp_request(htype=6, ptype=IPV4, hlen=6, plen=4), BAD_ARP),
    "an ARP request with long addresses": (HOST1, arp_request(htype=1, ptype=IPV4, hlen=8, plen=4), BAD_ARP),
    "an ARP request with short addresses": (HOST1, arp_request(htype=1, ptype=IPV4, hlen=6, plen=2), BAD_ARP),
    "untagged IPv6": (HOST1, ethernet(ROUTER, HOST1_MAC, IPV6, ipv6("fd00::1", "fd00::2", udp(1, 2, b""))), NOT_IPV4),
    "an unknown EtherType": (HOST1, ethernet(ROUTER, HOST1_MAC, 0x88B5, b"what is this"), NOT_IPV4),
    "a frame of nothing but Ethernet": (HOST1, ethernet(ROUTER, HOST1_MAC, 0x88B5, b""), NOT_IPV4),
}


@pytest.mark.parametrize("case", CASES)
def test_a_frame_is_dropped_and_its_reason_counted(rack: Rack, case: str) -> None:
    port, frame, reason = CASES[case]

    out = rack.exchange(port, frame)

    assert out == {}
    assert rack.drops() == {reason: (1, len(frame))}


HEADERS = {
    "ARP": (HOST1, ethernet(ROUTER, HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0")), 14),
    "IPv4": (HOST1, routed(ORDINARY), 14),
}
"""Headers that a router reads: frames and where in them the header starts."""

OCTETS = {"ARP": 28, "IPv4": 20, "UDP": 8, "VXLAN": 8, "inner Ethernet": 14, "inner IPv4": 20, "inner IPv6": 40}
OCTETS |= {"inner ports": 4, "IPv4 behind the tag": 20, "IPv6 behind the tag": 40, "ports behind the tag": 4}


def cuts(start: int, octets: int) -> tuple[int, ...]:
    """Lengths of frames that end inside a header."""
    return (start, start + 1, start + octets // 2, start + octets - 1)


def assert_dropped(rack: Rack, port: int, frame: bytes, reason: int) -> None:
    before = rack.drops().get(reason, (0, 0))
    out = rack.exchange(port, frame)
    assert out == {}, f"{len(frame)} bytes"
    after = rack.drops()[reason]
    assert (after[0] - before[0], after[1] - before[1]) == (1, len(frame)), f"{len(frame)} bytes"


@pytest.mark.parametrize("header", HEADERS)
def test_a_frame_cut_off_anywhere_inside_a_header_that_a_router_reads_is_dropped(rack: Rack, header: str) -> None:
    port, frame, start = HEADERS[header]

    for cut in cuts(start, OCTETS[header]):
        assert_dropped(rack, port, frame[:cut], PARSER)


@pytest.mark.parametrize(("header", "start"), [("UDP", 34), ("VXLAN", 42), ("inner Ethernet", 50)])
def test_a_frame_to_the_vtep_that_is_cut_off_before_its_frame_begins_is_dropped(
    rack: Rack, header: str, start: int
) -> None:
    for cut in cuts(start, OCTETS[header]):
        assert_dropped(rack, FABRIC, tunnelled(TO_C1)[:cut], BAD_VXLAN)


IN_TRANSIT = {"UDP": 34, "VXLAN": 42, "inner Ethernet": 50, "inner IPv4": 64, "inner ports": 84}


@pytest.mark.parametrize("header", IN_TRANSIT)
def test_what_is_cut_off_behind_the_headers_that_a_router_reads_is_passed_on_as_it_is(rack: Rack, header: str) -> None:
    overlay = routed(ipv4(HOST1_IP, HOST2_IP, udp(50000, 4789, vxlan(RED, container_frame()))))

    for cut in cuts(IN_TRANSIT[header], OCTETS[header]):
        [routed_on] = rack.exchange(HOST1, overlay[:cut])[HOST2]
        assert (len(routed_on), routed_on[34:]) == (cut, overlay[34:cut]), f"cut after {cut} bytes"
    assert not rack.drops()


CONTAINERS = {
    # Linux itself drops a tagged frame with less than two bytes behind the EtherType, before any program runs.
    "IPv4 behind the tag": (container_frame(), 16),
    "ports behind the tag": (container_frame(), 34),
    "IPv6 behind the tag": (ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", udp(1, 2, b"six"))), 16),
}


@pytest.mark.parametrize("header", CONTAINERS)
def test_what_a_container_sent_cut_off_is_delivered_cut_off(rack: Rack, header: str) -> None:
    frame, start = CONTAINERS[header]

    for cut in cuts(start, OCTETS[header] - 2):
        [out] = rack.exchange(HOST1, tagged(frame[:cut], RED_VID))[FABRIC]
        assert out[50:] == frame[:cut], f"cut after {cut} bytes"
        back = frame[6:12] + frame[:6] + frame[12:cut]
        assert rack.exchange(FABRIC, tunnelled(back)) == {HOST1: [tagged(back, RED_VID)]}, f"cut after {cut} bytes"
    assert not rack.drops()


def test_the_shortest_tagged_frame_that_linux_lets_in(rack: Rack) -> None:
    inner = ethernet(C3, C1, 0x88B5, b"ab")

    out = rack.exchange(HOST1, tagged(inner, RED_VID))

    [encapsulated] = out[FABRIC]
    assert encapsulated[50:] == inner
