"""What a plain ToR does: routing, ARP, and passing on the hosts' own VXLAN."""

from __future__ import annotations

import pytest
from packet.frames import ARP, IPV4, arp, checksum, ethernet, ipv4, udp, vxlan
from packet.rack import (
    C1,
    C3,
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
    Rack,
)

pytestmark = pytest.mark.root

NOBODY = "00:00:00:00:00:00"


def overlay(payload: bytes) -> bytes:
    """Host 1's OVS to a host in the other rack, as it leaves host 1."""
    inner = ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(7, 7, payload)))
    return ipv4(HOST1_IP, "10.1.3.1", udp(40000, 4789, vxlan(RED, inner), csum=0x1234), ttl=64, flags=2)


def test_a_packet_is_routed_with_ttl_and_checksum(rack: Rack) -> None:
    packet = udp(5, 6, b"routed")
    sent = ethernet(ROUTER, HOST1_MAC, IPV4, ipv4(HOST1_IP, HOST2_IP, packet, ttl=64, tos=0x2E, identification=77))
    expected = ethernet(HOST2_MAC, ROUTER, IPV4, ipv4(HOST1_IP, HOST2_IP, packet, ttl=63, tos=0x2E, identification=77))

    assert rack.exchange(HOST1, sent) == {HOST2: [expected]}
    assert not rack.drops()


def test_the_longest_prefix_wins(rack: Rack) -> None:
    near = ethernet(ROUTER, SPINE_MAC, IPV4, ipv4("10.9.9.9", HOST1_IP, udp(1, 2, b"")))
    far = ethernet(ROUTER, HOST1_MAC, IPV4, ipv4(HOST1_IP, "10.1.200.1", udp(1, 2, b"")))

    assert list(rack.exchange(FABRIC, near)) == [HOST1]
    assert list(rack.exchange(HOST1, far)) == [FABRIC]


@pytest.mark.parametrize("ttl", [2, 255])
def test_ttl_down_to_its_end(rack: Rack, ttl: int) -> None:
    sent = ethernet(ROUTER, HOST1_MAC, IPV4, ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=ttl))

    out = rack.exchange(HOST1, sent)

    assert out == {HOST2: [ethernet(HOST2_MAC, ROUTER, IPV4, ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=ttl - 1))]}


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(HOST1_IP, HOST2_IP, bytes(40), flags=1, offset=0),
        ipv4(HOST1_IP, HOST2_IP, bytes(40), offset=185),
        ipv4(HOST1_IP, HOST2_IP, b"", 253),
        ipv4(HOST1_IP, HOST2_IP, bytes(1480), 1),
        ipv4(HOST1_IP, HOST2_IP, bytes(8900), 6),
    ],
    ids=["first fragment", "later fragment", "no payload", "full size", "jumbo"],
)
def test_packets_of_all_kinds_are_routed(rack: Rack, packet: bytes) -> None:
    out = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, packet))

    [routed] = out[HOST2]
    assert routed[:14] == ethernet(HOST2_MAC, ROUTER, IPV4, b"")
    assert routed[22] == packet[8] - 1
    assert routed[26:] == packet[12:]


@pytest.mark.parametrize("words", [1, 4, 10])
def test_a_packet_with_options_is_routed_with_its_options_and_a_right_checksum(rack: Rack, words: int) -> None:
    packet, options = udp(1, 2, b"opt"), b"\x94\x04\x00\x00" * words
    sent = ethernet(ROUTER, HOST1_MAC, IPV4, ipv4(HOST1_IP, HOST2_IP, packet, options=options))
    routed = ethernet(HOST2_MAC, ROUTER, IPV4, ipv4(HOST1_IP, HOST2_IP, packet, options=options, ttl=63))

    assert rack.exchange(HOST1, sent) == {HOST2: [routed]}


def test_a_wrong_checksum_over_options_is_still_wrong_for_the_receiver(rack: Rack) -> None:
    packet = ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b"opt"), options=b"\x94\x04\x00\x00")
    damaged = packet[:12] + bytes([packet[12] ^ 0x10]) + packet[13:]

    [routed] = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, damaged))[HOST2]

    assert checksum(routed[14:38]) == checksum(damaged[:24]) != 0


@pytest.mark.parametrize("identification", range(0, 65536, 4681))
def test_the_checksum_is_right_whatever_it_was(rack: Rack, identification: int) -> None:
    """The checksum is adjusted, not calculated anew: carries and zeros are where that goes wrong."""
    for checksum_before in (0x0000, 0x0001, 0x00FF, 0x0100, 0xFEFF, 0xFF00, 0xFFFE, identification):
        packet = ipv4(HOST1_IP, HOST2_IP, b"", 253, ttl=64, identification=0)
        number = (checksum(packet[:10] + bytes(2) + packet[12:]) - checksum_before) % 65535
        sent = ipv4(HOST1_IP, HOST2_IP, b"", 253, ttl=64, identification=number)
        assert int.from_bytes(sent[10:12], "big") == checksum_before

        [routed] = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, sent))[HOST2]

        assert routed[14:] == ipv4(HOST1_IP, HOST2_IP, b"", 253, ttl=63, identification=number)


def test_ethernet_padding_stays(rack: Rack) -> None:
    short = ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""))

    out = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, short + bytes(18)))

    assert out == {
        HOST2: [ethernet(HOST2_MAC, ROUTER, IPV4, ipv4(HOST1_IP, HOST2_IP, udp(1, 2, b""), ttl=63) + bytes(18))]
    }


def test_the_overlay_between_hosts_passes_untouched_and_is_counted(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)
    sent = overlay(b"still overlay")

    out = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, sent))

    [routed] = out[FABRIC]
    assert routed[:14] == ethernet(SPINE_MAC, ROUTER, IPV4, b"")
    assert routed[34:] == sent[20:]
    packets, octets = rack.monitored(RED, C1, C3)
    inner = len(sent) + 14 - 50
    assert (packets - before[0], octets - before[1]) == (1, inner)


def test_a_fragment_of_somebody_s_vxlan_is_routed_and_not_counted(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)
    whole = overlay(bytes(64))
    first = ipv4(HOST1_IP, "10.1.3.1", whole[20:], flags=1, ttl=64)

    [routed] = rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, first))[FABRIC]

    assert routed[34:] == first[20:]
    assert rack.monitored(RED, C1, C3) == before


def test_what_is_not_passed_on_is_not_counted(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)
    sent = overlay(b"nowhere")

    rack.exchange(HOST1, ethernet("02:00:00:00:00:99", HOST1_MAC, IPV4, sent))
    rack.exchange(HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, sent[:8] + b"\1" + sent[9:]))

    assert rack.monitored(RED, C1, C3) == before


def test_an_arp_request_for_the_router_is_answered(rack: Rack) -> None:
    request = ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0"))

    out = rack.exchange(HOST1, request)

    assert out == {HOST1: [ethernet(HOST1_MAC, ROUTER, ARP, arp(2, ROUTER, "10.1.1.0", HOST1_MAC, HOST1_IP))]}
    assert not rack.drops()


def test_a_padded_arp_request_is_answered(rack: Rack) -> None:
    request = ethernet(ROUTER, HOST1_MAC, ARP, arp(1, HOST1_MAC, HOST1_IP, NOBODY, "10.1.1.0") + bytes(18))

    out = rack.exchange(HOST1, request)

    reply = arp(2, ROUTER, "10.1.1.0", HOST1_MAC, HOST1_IP) + bytes(18)
    assert out == {HOST1: [ethernet(HOST1_MAC, ROUTER, ARP, reply)]}
