"""``tor/examples/l3_router.p4``: routes of both families, ECMP, and why a packet is not forwarded."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from packet.example import SWITCHES, Example, running
from packet.frames import ARP, IPV4, IPV6, TCP, arp, checksum, ethernet, ipv4, ipv6, mac, tcp, udp
from packet.hashes import crc32

from p4rt import Client, TableEntry, Update

pytestmark = pytest.mark.root

ROUTER, HOST = "02:00:00:00:ff:01", "02:00:00:00:00:01"
NEIGHBOURS = {port: f"02:00:00:00:aa:{port:02x}" for port in (1, 2, 10)}
NOT_FOR_ROUTER, NOT_IP, BAD_HEADER, TTL, NO_ROUTE, NO_NEXT_HOP = range(6)
ANYWHERE = (0, 0)


@pytest.fixture(scope="module", params=SWITCHES)
def router(
    needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Example]:
    needs("ip", "clang", "sysctl", root=True)
    with running("l3_router", tmp_path_factory.mktemp("router"), request.param) as example:
        yield example


def number(text: str) -> int:
    return int.from_bytes(mac(text), "big")


def prefix(text: str) -> tuple[int, int]:
    """10.0.0.0/8 or 2001:db8::/32 as an entry has it."""
    address, length = text.split("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, address), "big"), int(length)


def route(text: str, next_hop: int) -> TableEntry:
    table = "ipv6_route" if ":" in text else "ipv4_route"
    return TableEntry(table, {"prefix": prefix(text)}, "to_next_hop", {"next_hop": next_hop})


BASE = [
    *(
        TableEntry("router_mac", {"std.ingress_port": p, "hdr.ethernet.dst": number(ROUTER)}, "ours")
        for p in (1, 2, 10)
    ),
    *(
        TableEntry(
            *("next_hop", {"next_hop": port}, "send"),
            {"port": port, "src": number(ROUTER), "dst": number(NEIGHBOURS[port])},
        )
        for port in (1, 2, 10)
    ),
]
"""The router's own address on each port, and one neighbour behind each."""


def to_router(ether_type: int, packet: bytes) -> bytes:
    return ethernet(ROUTER, HOST, ether_type, packet)


def forwarded(port: int, ether_type: int, packet: bytes) -> bytes:
    return ethernet(NEIGHBOURS[port], ROUTER, ether_type, packet)


async def drops(client: Client) -> dict[int, int]:
    """Reason to packets, where there are any."""
    cells = await client.read_counter("drops")
    return {reason: int(packets) for reason, (packets, _) in enumerate(cells) if packets}


# ---- routes


async def test_the_longest_ipv4_prefix_counts_and_one_is_taken_from_the_ttl(router: Example) -> None:
    routes = [route("0.0.0.0/0", 2), route("10.0.0.0/8", 1), route("10.1.0.0/16", 2), route("10.1.2.0/24", 10)]
    payload = udp(1000, 2000, b"payload")
    async with router.loaded(*BASE, *routes) as client:
        for dst, port in (("10.1.2.3", 10), ("10.1.3.3", 2), ("10.2.0.1", 1), ("192.0.2.1", 2)):
            out = router.sends(1, to_router(IPV4, ipv4("10.9.9.9", dst, payload, ttl=64, tos=0xB8)))
            assert out == {port: [forwarded(port, IPV4, ipv4("10.9.9.9", dst, payload, ttl=63, tos=0xB8))]}
        assert await drops(client) == {}


async def test_the_longest_ipv6_prefix_counts_up_to_all_128_bits(router: Example) -> None:
    routes = [route("2001:db8::/32", 1), route("2001:db8:1::/48", 10), route("2001:db8:1::1/128", 2)]
    async with router.loaded(*BASE, *routes) as client:
        for dst, port in (("2001:db8:1::5", 10), ("2001:db8:2::5", 1), ("2001:db8:1::1", 2)):
            packet = ipv6("2001:db8::9", dst, udp(1, 2, b"payload"))
            hop_limit_less = packet[:7] + bytes([63]) + packet[8:]
            assert router.sends(2, to_router(IPV6, packet)) == {port: [forwarded(port, IPV6, hop_limit_less)]}
        assert router.sends(2, to_router(IPV6, ipv6("2001:db8::9", "2001:db9::1", b""))) == {}
        assert await drops(client) == {NO_ROUTE: 1}


async def test_the_checksum_is_right_after_the_ttl_changed(router: Example) -> None:
    """With options too, and with sums that pass 0xffff."""
    async with router.loaded(*BASE, route("0.0.0.0/0", 2)):
        for ttl, options in product((2, 64, 255), (b"", b"\x94\x04\x00\x00")):
            for identification in range(0, 65536, 4099):
                packet = ipv4("10.0.0.1", "10.0.0.2", b"", ttl=ttl, options=options, identification=identification)
                [[out]] = router.sends(1, to_router(IPV4, packet)).values()
                assert out[22] == ttl - 1
                assert checksum(out[14 : 14 + 20 + len(options)]) == 0


async def test_a_link_that_goes_down_costs_one_write(router: Example) -> None:
    routes = [route(f"10.{index}.0.0/16", 2) for index in range(100)]
    async with router.loaded(*BASE, *routes) as client:
        assert list(router.sends(1, to_router(IPV4, ipv4("10.9.9.9", "10.42.0.1", b"")))) == [2]
        moved = TableEntry(
            *("next_hop", {"next_hop": 2}, "send"),
            {"port": 10, "src": number(ROUTER), "dst": number(NEIGHBOURS[10])},
        )
        assert await client.write([Update.modify(moved)]) == []
        assert list(router.sends(1, to_router(IPV4, ipv4("10.9.9.9", "10.42.0.1", b"")))) == [10]


# ---- ECMP


def group(number_: int, members: list[int]) -> list[TableEntry]:
    """A route's group of next hops, under 203.0.113.0/24 and 2001:db8:ec::/48."""
    to_group = {"group": number_, "members": len(members)}
    return [
        TableEntry("ipv4_route", {"prefix": prefix("203.0.113.0/24")}, "to_group", to_group),
        TableEntry("ipv6_route", {"prefix": prefix("2001:db8:ec::/48")}, "to_group", to_group),
        *(
            TableEntry("group_member", {"group": number_, "member": place}, "to_next_hop", {"next_hop": next_hop})
            for place, next_hop in enumerate(members)
        ),
    ]


MEMBERS = [2, 10, 2, 10, 10]


def five_tuple(family: int, src: str, dst: str, protocol: int, sport: int, dport: int) -> bytes:
    """What the program hashes."""
    addresses = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
    return addresses + struct.pack("!BHH", protocol, sport, dport)


async def test_the_hash_of_the_five_tuple_picks_the_member(router: Example) -> None:
    dst4, dst6 = "203.0.113.77", "2001:db8:ec::77"
    seen: set[int] = set()
    async with router.loaded(*BASE, *group(5, MEMBERS)):
        for sport in range(40000, 40032):
            for protocol, segment in ((6, tcp(sport, 80, b"x")), (17, udp(sport, 80, b"x"))):
                src4, src6 = f"10.0.0.{sport % 251}", f"2001:db8::{sport:x}"
                key4 = five_tuple(socket.AF_INET, src4, dst4, protocol, sport, 80)
                key6 = five_tuple(socket.AF_INET6, src6, dst6, protocol, sport, 80)
                frame4 = to_router(IPV4, ipv4(src4, dst4, segment, protocol))
                frame6 = to_router(IPV6, ipv6(src6, dst6, segment, protocol))
                for key, frame in ((key4, frame4), (key6, frame6)):
                    member = MEMBERS[crc32(key) % len(MEMBERS)]
                    assert list(router.sends(1, frame)) == [member]
                    seen.add(crc32(key) % len(MEMBERS))
    assert seen == set(range(len(MEMBERS))), "the flows have to be spread over all members"


async def test_where_there_are_no_ports_they_count_as_zero(router: Example) -> None:
    """Another protocol, and a fragment that is not the first."""
    dst = "203.0.113.1"
    async with router.loaded(*BASE, *group(5, MEMBERS)):
        for src in (f"10.0.1.{last}" for last in range(20)):
            icmp = ipv4(src, dst, b"\x08\x00\x00\x00", 1)
            fragment = ipv4(src, dst, struct.pack("!HH", 1, 2) + b"middle", 17, offset=100)
            for protocol, packet in ((1, icmp), (17, fragment)):
                member = MEMBERS[crc32(five_tuple(socket.AF_INET, src, dst, protocol, 0, 0)) % len(MEMBERS)]
                assert list(router.sends(1, to_router(IPV4, packet))) == [member]


async def test_a_group_without_the_member_drops_and_says_so(router: Example) -> None:
    async with router.loaded(*BASE, *group(5, MEMBERS)[:2]) as client:
        assert router.sends(1, to_router(IPV4, ipv4("10.0.0.1", "203.0.113.1", udp(1, 2, b"")))) == {}
        assert await drops(client) == {NO_ROUTE: 1}


# ---- not forwarded

GOOD = ipv4("10.0.0.1", "10.0.0.2", udp(1, 2, b""))
GOOD6 = ipv6("2001:db8::1", "2001:db8::2", udp(1, 2, b""))
REFUSED: dict[str, tuple[bytes, int]] = {
    "another router's": (ethernet(HOST, HOST, IPV4, GOOD), NOT_FOR_ROUTER),
    "ARP": (to_router(ARP, arp(1, HOST, "10.0.0.1", ROUTER, "10.0.0.2")), NOT_IP),
    "an Ethernet header only": (to_router(IPV4, b""), NOT_IP),
    "half an IPv4 header": (to_router(IPV4, GOOD[:19]), NOT_IP),
    "a wrong checksum": (to_router(IPV4, GOOD[:10] + b"\x00\x01" + GOOD[12:]), BAD_HEADER),
    "version 5": (to_router(IPV4, b"\x55" + GOOD[1:]), BAD_HEADER),
    "a header of 16 bytes": (to_router(IPV4, b"\x44" + GOOD[1:]), BAD_HEADER),
    "IPv6's version 7": (to_router(IPV6, b"\x70" + GOOD6[1:]), BAD_HEADER),
    "TTL 1": (to_router(IPV4, ipv4("10.0.0.1", "10.0.0.2", b"", ttl=1)), TTL),
    "TTL 0": (to_router(IPV4, ipv4("10.0.0.1", "10.0.0.2", b"", ttl=0)), TTL),
    "hop limit 1": (to_router(IPV6, GOOD6[:7] + b"\x01" + GOOD6[8:]), TTL),
    "no route": (to_router(IPV4, ipv4("10.0.0.1", "192.0.2.1", b"")), NO_ROUTE),
    "no next hop": (to_router(IPV4, ipv4("10.0.0.1", "10.66.0.1", b"")), NO_NEXT_HOP),
}


async def test_what_is_not_forwarded_is_counted_by_reason(router: Example) -> None:
    async with router.loaded(*BASE, route("10.0.0.0/16", 2), route("10.66.0.0/16", 99)) as client:
        expected: dict[int, int] = {}
        for case, (frame, reason) in REFUSED.items():
            expected[reason] = expected.get(reason, 0) + 1
            assert router.sends(1, frame) == {}, case
            assert await drops(client) == expected, case


async def test_segments_pass_whatever_they_carry(router: Example) -> None:
    """TCP and anything behind it is not touched."""
    segment = tcp(1, 2, bytes(range(256)) * 5)
    async with router.loaded(*BASE, route("10.0.0.0/8", 10)):
        out = router.sends(2, to_router(IPV4, ipv4("10.0.0.1", "10.0.0.2", segment, TCP)))
        assert out == {10: [forwarded(10, IPV4, ipv4("10.0.0.1", "10.0.0.2", segment, TCP, ttl=63))]}
