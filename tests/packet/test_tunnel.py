"""Tagged frames into VXLAN and back: exact bytes."""

from __future__ import annotations

import struct

import pytest
from packet.frames import (
    ARP,
    IPV4,
    IPV6,
    QINQ,
    TCP,
    UDP,
    arp,
    ethernet,
    ipv4,
    ipv6,
    tagged,
    tcp,
    udp,
    vxlan,
)
from packet.hashes import crc16, packed
from packet.rack import (
    BLUE,
    BLUE_VID,
    C1,
    C2,
    C3,
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
    Rack,
)

pytestmark = pytest.mark.root

ENTROPY = range(49152, 65536)


def bare(payload: bytes = b"x" * 30, *, tos: int = 0, sport: int = 1000, protocol: int = UDP) -> bytes:
    """C1 to C3, as C1 sent it."""
    transport = tcp(sport, 80, payload) if protocol == TCP else udp(sport, 80, payload)
    return ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", transport, protocol, tos=tos))


def bare6(
    payload: bytes = b"x" * 30, *, tos: int = 0, sport: int = 1000, dst: str = "fd00::3", protocol: int = UDP
) -> bytes:
    """C1 to C3 in IPv6."""
    transport = tcp(sport, 80, payload) if protocol == TCP else udp(sport, 80, payload, csum=0x1234)
    packet = ipv6("fd00::1", dst, transport, protocol)
    return ethernet(C3, C1, IPV6, struct.pack("!I", 6 << 28 | tos << 20 | 0xABCDE) + packet[4:])


def folded(address: bytes) -> int:
    one, two, three, four = struct.unpack("!IIII", address)
    return one ^ two ^ three ^ four


def on_fabric(inner: bytes, sport: int, *, vni: int = RED, tos: int = 0) -> bytes:
    """What the switch has to make of ``inner``: every byte."""
    packet = udp(sport, 4789, vxlan(vni, inner))
    return ethernet(SPINE_MAC, ROUTER, IPV4, ipv4(VTEP, PEER_VTEP, packet, flags=2, tos=tos))


def from_fabric(inner: bytes, *, vni: int = RED, src: str = PEER_VTEP, dst: str = VTEP) -> bytes:
    """What the other rack's switch sends us."""
    return ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(src, dst, udp(50000, 4789, vxlan(vni, inner)), flags=2, ttl=62))


def source_port(frame: bytes) -> int:
    return int(struct.unpack_from("!H", frame, 34)[0])


def encapsulated(rack: Rack, frame: bytes, vid: int = RED_VID) -> bytes:
    """The one frame that comes out of the fabric port."""
    out = rack.exchange(HOST1, tagged(frame, vid))
    assert list(out) == [FABRIC] and len(out[FABRIC]) == 1, out
    return out[FABRIC][0]


@pytest.mark.parametrize("protocol", [UDP, TCP])
@pytest.mark.parametrize("size", [0, 1, 18, 1000, 1422, 8000])
def test_a_tagged_frame_comes_out_as_vxlan_of_its_tenant(rack: Rack, size: int, protocol: int) -> None:
    inner = bare(bytes(range(256)) * 32, protocol=protocol)[: 42 + size]

    out = encapsulated(rack, inner)

    assert out == on_fabric(inner, source_port(out))
    assert source_port(out) in ENTROPY
    assert not rack.drops()


def test_each_tag_leads_to_its_own_tenant_though_addresses_are_the_same(rack: Rack) -> None:
    red, blue = encapsulated(rack, bare(), RED_VID), encapsulated(rack, bare(), BLUE_VID)

    assert red == on_fabric(bare(), source_port(red), vni=RED)
    assert blue == on_fabric(bare(), source_port(blue), vni=BLUE)


def test_a_flow_keeps_its_source_port_and_others_get_others(rack: Rack) -> None:
    ports = [source_port(encapsulated(rack, bare(sport=sport))) for sport in range(1000, 1064)]
    again = [source_port(encapsulated(rack, bare(b"other payload", sport=sport))) for sport in range(1000, 1064)]

    assert ports == again
    assert len(set(ports)) > 48
    assert set(ports) <= set(ENTROPY)


def entropy_inputs(frame: bytes) -> tuple[tuple[int, int], ...]:
    """MAC addresses, and of IPv4 the addresses, the protocol and the ports: (value, bits) each."""
    src, dst = int.from_bytes(frame[6:12], "big"), int.from_bytes(frame[:6], "big")
    addresses = struct.unpack_from("!II", frame, 26)
    return ((src, 48), (dst, 48), *((one, 32) for one in addresses), (frame[23], 8), *ports_of(frame))


def ports_of(frame: bytes) -> tuple[tuple[int, int], ...]:
    sport, dport = struct.unpack_from("!HH", frame, 34)
    return ((sport, 16), (dport, 16))


@pytest.mark.parametrize("sport", [0, 1, 1000, 65535])
def test_the_source_port_is_the_hash_that_bmv2_computes(rack: Rack, sport: int) -> None:
    inner = bare(sport=sport)

    out = encapsulated(rack, inner)

    assert source_port(out) == 49152 + crc16(packed(*entropy_inputs(inner))) % 16384


@pytest.mark.parametrize("tos, outer", [(0x00, 0x00), (0xB8, 0xB8), (0x01, 0x00), (0xFF, 0xFC)])
def test_dscp_is_copied_and_ecn_is_not(rack: Rack, tos: int, outer: int) -> None:
    out = encapsulated(rack, bare(tos=tos))

    assert out == on_fabric(bare(tos=tos), source_port(out), tos=outer)


@pytest.mark.parametrize("tos, outer", [(0x00, 0x00), (0xB8, 0xB8), (0x03, 0x00), (0x2D, 0x2C)])
def test_the_dscp_of_ipv6_is_copied_too(rack: Rack, tos: int, outer: int) -> None:
    inner = bare6(tos=tos)

    out = encapsulated(rack, inner)

    assert out == on_fabric(inner, source_port(out), tos=outer)


@pytest.mark.parametrize("protocol", [UDP, TCP])
@pytest.mark.parametrize("sport", [0, 1000, 65535])
def test_the_source_port_is_made_of_the_five_tuple_of_ipv6(rack: Rack, sport: int, protocol: int) -> None:
    inner = bare6(sport=sport, protocol=protocol, dst="fd00:1234:5678::9abc:3")

    out = encapsulated(rack, inner)

    src, dst = int.from_bytes(inner[6:12], "big"), int.from_bytes(inner[:6], "big")
    addresses = ((folded(inner[22:38]), 32), (folded(inner[38:54]), 32))
    ports = ((sport, 16), (80, 16))
    digest = crc16(packed((src, 48), (dst, 48), *addresses, (protocol, 8), *ports))
    assert source_port(out) == 49152 + digest % 16384


def test_all_fragments_of_a_datagram_take_the_same_way(rack: Rack) -> None:
    def piece(flags: int, offset: int, payload: bytes) -> bytes:
        return ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", payload, UDP, flags=flags, offset=offset))

    whole = udp(4000, 80, bytes(range(240)))
    pieces = [piece(1, 0, whole[:80]), piece(1, 10, whole[80:160]), piece(0, 20, whole[160:])]

    assert len({source_port(encapsulated(rack, one)) for one in pieces}) == 1


def test_other_vxlan_flags_than_the_vni_s_are_ignored(rack: Rack) -> None:
    inner = ethernet(C1, C3, 0x88B5, b"group policy and whatever comes next")
    packet = udp(50000, 4789, vxlan(RED, inner, flags=0x88))

    out = rack.exchange(FABRIC, ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(PEER_VTEP, VTEP, packet)))

    assert out == {HOST1: [tagged(inner, RED_VID)]}


@pytest.mark.parametrize("pcp, dei", [(0, 0), (7, 0), (5, 1)])
def test_vlan_priority_bits_do_not_matter_and_do_not_travel(rack: Rack, pcp: int, dei: int) -> None:
    out = rack.exchange(HOST1, tagged(bare(), RED_VID, pcp, dei))

    assert out == {FABRIC: [on_fabric(bare(), source_port(out[FABRIC][0]))]}


def test_vxlan_for_us_comes_out_tagged_for_its_host(rack: Rack) -> None:
    inner = ethernet(C1, C3, IPV4, ipv4("10.0.0.3", "10.0.0.1", udp(80, 1000, b"answer")))

    assert rack.exchange(FABRIC, from_fabric(inner)) == {HOST1: [tagged(inner, RED_VID)]}
    assert rack.exchange(FABRIC, from_fabric(inner, vni=BLUE)) == {HOST1: [tagged(inner, BLUE_VID)]}


@pytest.mark.parametrize("size", [0, 1, 5, 19, 20, 28, 46, 100, 1408, 8900])
def test_frames_of_any_size_come_out_of_the_tunnel(rack: Rack, size: int) -> None:
    inner = ethernet(C1, C3, 0x88B5, bytes(index % 251 for index in range(size)))

    assert rack.exchange(FABRIC, from_fabric(inner)) == {HOST1: [tagged(inner, RED_VID)]}


def test_in_the_same_rack_the_frame_crosses_without_a_tunnel(rack: Rack) -> None:
    inner = ethernet(C2, C1, IPV4, ipv4("10.0.0.1", "10.0.0.2", udp(1, 2, b"near")))
    back = ethernet(C1, C2, IPV4, ipv4("10.0.0.2", "10.0.0.1", udp(2, 1, b"near")))

    assert rack.exchange(HOST1, tagged(inner, RED_VID, pcp=3)) == {HOST2: [tagged(inner, RED_VID2)]}
    assert rack.exchange(HOST2, tagged(back, RED_VID2)) == {HOST1: [tagged(back, RED_VID)]}


def inner_frames() -> dict[str, bytes]:
    arp_request = ethernet("ff:ff:ff:ff:ff:ff", C1, ARP, arp(1, C1, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.3"))
    return {
        "arp": ethernet(C3, C1, ARP, arp(2, C1, "10.0.0.1", C3, "10.0.0.3")),
        "arp padded": ethernet(C3, C1, ARP, arp_request[14:] + bytes(18)),
        "ipv6": ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", udp(1, 2, b"six", csum=0x1234))),
        "ipv6 extension header": ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", bytes(16), 0)),
        "ipv6 cut off": ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", b"")[:31]),
        "ipv4 cut off": ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", b"")[:17]),
        "priority tag": tagged(ethernet(C3, C1, 0x88B5, b"a priority of the container's own"), 0, pcp=6, dei=1),
        "ipv6 jumbo": ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", udp(1, 2, bytes(8000)))),
        "fragment": ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", bytes(64), flags=1, offset=185)),
        "options": ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, b"o"), options=b"\x94\x04\0\0")),
        "icmp": ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", b"\x08\0\xf7\xff\0\0\0\0", 1)),
        "unknown type": ethernet(C3, C1, 0x88B5, b"anything at all"),
        "one tag": tagged(ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, b"own tag"))), 7),
        "service tag": tagged(ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, b"s tag"))), 7, tpid=QINQ),
        "two tags": tagged(tagged(ethernet(C3, C1, 0x88B5, b"customer in provider"), 7), 8, tpid=QINQ),
        "vxlan": ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(9, 4789, vxlan(5, bytes(60))))),
    }


@pytest.mark.parametrize("kind", inner_frames())
def test_whatever_a_container_sends_goes_into_the_tunnel_as_it_is(rack: Rack, kind: str) -> None:
    inner = inner_frames()[kind]

    out = encapsulated(rack, inner)

    assert out == on_fabric(inner, source_port(out))


@pytest.mark.parametrize("kind", inner_frames())
def test_whatever_a_container_sends_comes_out_of_the_tunnel_as_it_was(rack: Rack, kind: str) -> None:
    sent = inner_frames()[kind]
    inner = sent[6:12] + sent[:6] + sent[12:]

    assert rack.exchange(FABRIC, from_fabric(inner)) == {HOST1: [tagged(inner, RED_VID)]}


@pytest.mark.parametrize("kind", inner_frames())
def test_whatever_a_container_sends_crosses_the_rack_as_it_is(rack: Rack, kind: str) -> None:
    sent = inner_frames()[kind]
    inner = bytes.fromhex(C2.replace(":", "")) + sent[6:]

    assert rack.exchange(HOST1, tagged(inner, RED_VID)) == {HOST2: [tagged(inner, RED_VID2)]}
