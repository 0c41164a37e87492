"""The overlay in transit: the monitor counts what is passed on of it, and nothing else."""

from __future__ import annotations

import pytest
from packet.frames import IPV4, ethernet, ipv4, udp, vxlan
from packet.rack import C1, C3, FABRIC, HOST1, HOST1_IP, HOST1_MAC, RED, ROUTER, Rack

pytestmark = pytest.mark.root


def overlay(payload: bytes = b"still overlay", dst: str = ROUTER, *, ttl: int = 64, flags: int = 2) -> bytes:
    """Host 1's OVS to a host in the other rack, as it leaves host 1."""
    inner = ethernet(C3, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(7, 7, payload)))
    datagram = udp(40000, 4789, vxlan(RED, inner), csum=0x1234)
    return ethernet(dst, HOST1_MAC, IPV4, ipv4(HOST1_IP, "10.1.3.1", datagram, ttl=ttl, flags=flags))


def test_the_overlay_between_hosts_is_counted_without_its_tunnel(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)
    frame = overlay()

    assert list(rack.exchange(HOST1, frame)) == [FABRIC]

    packets, octets = rack.monitored(RED, C1, C3)
    assert (packets - before[0], octets - before[1]) == (1, len(frame) - 50)


@pytest.mark.parametrize(
    "frame", [overlay(dst="02:00:00:00:00:99"), overlay(ttl=1)], ids=["not for the router", "TTL 1"]
)
def test_what_is_not_passed_on_is_not_counted(rack: Rack, frame: bytes) -> None:
    before = rack.monitored(RED, C1, C3)

    assert rack.exchange(HOST1, frame) == {}

    assert rack.monitored(RED, C1, C3) == before


def test_a_fragment_of_somebody_s_vxlan_is_passed_on_and_not_counted(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)

    assert list(rack.exchange(HOST1, overlay(bytes(64), flags=1))) == [FABRIC]

    assert rack.monitored(RED, C1, C3) == before
