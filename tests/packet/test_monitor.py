"""The flow monitor's registers: whose packets, how many, how many bytes, when."""

from __future__ import annotations

import zlib

import pytest
from packet.frames import IPV4, ethernet, ipv4, mac, tagged, udp, vxlan
from packet.rack import (
    BLUE,
    BLUE_VID,
    C1,
    C2,
    C3,
    FABRIC,
    HOST1,
    PEER_VTEP,
    RED,
    RED_VID,
    ROUTER,
    SPINE_MAC,
    VTEP,
    Rack,
)

pytestmark = pytest.mark.root

CELLS = 1 << 15
STAGES = ("EzIngress.monitor.stage1", "EzIngress.monitor.stage2")


def frame(dst: str, src: str, size: int) -> bytes:
    return ethernet(dst, src, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(size))))


def key(vni: int, src: str, dst: str) -> bytes:
    return vni.to_bytes(3, "big") + mac(src) + mac(dst)


def places(vni: int, src: str, dst: str) -> tuple[int, int]:
    """Where the program keeps a flow: two slices of the CRC-32 of its key."""
    digest = zlib.crc32(key(vni, src, dst))
    return digest % CELLS, (digest >> 16) % CELLS


def test_offloaded_traffic_is_counted_without_tag_and_tunnel(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C3)

    rack.exchange(HOST1, *(tagged(frame(C3, C1, size), RED_VID) for size in (10, 1000)))

    packets, octets = rack.monitored(RED, C1, C3)
    assert (packets - before[0], octets - before[1]) == (2, 42 + 10 + 42 + 1000)


def test_both_ends_of_a_tunnel_count_the_same(rack: Rack) -> None:
    before = rack.monitored(RED, C3, C1)
    inner = frame(C1, C3, 500)

    rack.exchange(FABRIC, ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(PEER_VTEP, VTEP, udp(5, 4789, vxlan(RED, inner)))))

    packets, octets = rack.monitored(RED, C3, C1)
    assert (packets - before[0], octets - before[1]) == (1, len(inner))


def test_tenants_with_the_same_addresses_are_counted_apart(rack: Rack) -> None:
    red, blue = rack.monitored(RED, C1, C3), rack.monitored(BLUE, C1, C3)

    rack.exchange(HOST1, tagged(frame(C3, C1, 100), BLUE_VID))

    assert rack.monitored(RED, C1, C3) == red
    assert rack.monitored(BLUE, C1, C3) == (blue[0] + 1, blue[1] + 142)


def test_a_flow_is_where_its_crc_says(rack: Rack) -> None:
    rack.exchange(HOST1, tagged(frame(C2, C1, 0), RED_VID))

    first, second = places(RED, C1, C2)
    cells = (rack.plane.read_register(STAGES[0])[first], rack.plane.read_register(STAGES[1])[second])
    assert any(bytes(cell[:16]) == b"\1" + key(RED, C1, C2) for cell in cells)


def test_time_stands_in_the_cell(rack: Rack) -> None:
    first, _ = places(RED, C1, C2)

    def seen_us() -> int:
        rack.exchange(HOST1, tagged(frame(C2, C1, 0), RED_VID))
        return int.from_bytes(bytes(rack.plane.read_register(STAGES[0])[first][26:]), "big")

    earlier, later = seen_us(), seen_us()
    assert 0 < later - earlier < 60_000_000


def occupied(vni: int, src: str, dst: str, seen_us: int) -> int:
    return int.from_bytes(b"\1" + key(vni, src, dst) + bytes(4) + bytes(6) + seen_us.to_bytes(6, "big"), "big")


@pytest.fixture
def crowded(rack: Rack) -> Rack:
    """Both places of the flow C1 to C2 are empty before and after."""
    for stage, place in zip(STAGES, places(RED, C1, C2), strict=True):
        rack.plane.write_register(stage, place, 0)
    return rack


def now_us(rack: Rack) -> int:
    """The switch's clock, from a cell it just wrote."""
    rack.exchange(HOST1, tagged(frame(C2, C1, 0), RED_VID))
    cells = zip(STAGES, places(RED, C1, C2), strict=True)
    newest = max(int.from_bytes(bytes(rack.plane.read_register(stage)[place][26:]), "big") for stage, place in cells)
    for stage, place in zip(STAGES, places(RED, C1, C2), strict=True):
        rack.plane.write_register(stage, place, 0)
    return newest


def test_a_flow_that_is_alive_is_not_displaced_and_the_newcomer_goes_to_the_second_stage(crowded: Rack) -> None:
    first, second = places(RED, C1, C2)
    alive = occupied(77, C3, C3, now_us(crowded))
    crowded.plane.write_register(STAGES[0], first, alive)

    crowded.exchange(HOST1, tagged(frame(C2, C1, 0), RED_VID))

    assert bytes(crowded.plane.read_register(STAGES[0])[first]) == alive.to_bytes(32, "big")
    assert bytes(crowded.plane.read_register(STAGES[1])[second][:16]) == b"\1" + key(RED, C1, C2)


def test_where_both_places_are_alive_the_packet_counts_as_unmonitored(crowded: Rack) -> None:
    now = now_us(crowded)
    for stage, place in zip(STAGES, places(RED, C1, C2), strict=True):
        crowded.plane.write_register(stage, place, occupied(77, C3, C3, now))
    crowded.plane.write_counter("EzIngress.monitor.unmonitored", 0, 0, 0)

    crowded.exchange(HOST1, tagged(frame(C2, C1, 10), RED_VID))

    assert crowded.plane.read_counter("EzIngress.monitor.unmonitored").tolist() == [[1, 42 + 10 + 4]]
    assert crowded.monitored(RED, C1, C2) == (0, 0)
    for stage, place in zip(STAGES, places(RED, C1, C2), strict=True):
        crowded.plane.write_register(stage, place, 0)


def test_an_idle_flow_gives_its_place_to_a_busy_one(crowded: Rack) -> None:
    first, _ = places(RED, C1, C2)
    idle_us = 10_000_001
    crowded.plane.write_register(STAGES[0], first, occupied(77, C3, C3, now_us(crowded) - idle_us))

    crowded.exchange(HOST1, tagged(frame(C2, C1, 10), RED_VID))

    cell = bytes(crowded.plane.read_register(STAGES[0])[first])
    assert cell[:16] == b"\1" + key(RED, C1, C2)
    assert int.from_bytes(cell[16:20], "big") == 1
    assert int.from_bytes(cell[20:26], "big") == 52
