"""Frames whose tag stands in the bytes and not beside them, as in BPF_PROG_TEST_RUN."""

from __future__ import annotations

import pytest
from packet.frames import IPV4, IPV6, ethernet, ipv4, ipv6, tagged, udp, vxlan
from packet.in_memory import REDIRECT, SHOT, Result
from packet.rack import C1, C3, HOST1, PEER_VTEP, RED, RED_VID, ROUTER, SPINE_MAC, VTEP, Rack

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    "inner",
    [
        ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(50)))),
        ethernet(C3, C1, IPV6, ipv6("fd00::1", "fd00::3", udp(1, 2, bytes(50)))),
        ethernet(C3, C1, 0x88B5, bytes(50)),
        tagged(ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(50)))), 9),
    ],
    ids=["IPv4", "IPv6", "other", "own tag"],
)
def test_a_tag_in_the_bytes_is_a_tag(rack: Rack, inner: bytes) -> None:
    result = rack.in_memory(HOST1, tagged(inner, RED_VID))

    assert result.verdict == REDIRECT
    assert result.data[:14] == ethernet(SPINE_MAC, ROUTER, IPV4, b"")
    assert result.data[26:34] == ipv4(VTEP, PEER_VTEP, b"")[12:20]
    assert result.data[42:] == vxlan(RED, inner)


def test_out_of_the_tunnel_the_tag_is_beside_the_bytes(rack: Rack) -> None:
    inner = ethernet(C1, C3, IPV4, ipv4("10.0.0.3", "10.0.0.1", udp(1, 2, bytes(50))))
    outer = ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(PEER_VTEP, VTEP, udp(5, 4789, vxlan(RED, inner))))

    assert rack.in_memory(10, outer) == Result(REDIRECT, inner)


def test_an_unknown_tag_in_the_bytes_is_dropped(rack: Rack) -> None:
    frame = tagged(ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(50)))), 4000)

    assert rack.in_memory(HOST1, frame).verdict == SHOT
    assert rack.drops() == {1: (1, len(frame))}
