"""The flow monitor: what is counted, in which cell, and who has to make room for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from packet.frames import IPV4, ethernet, ipv4, tagged, udp, vxlan
from packet.monitor_cells import OUTER, Cell, Key, key_at, overlay, read, start_of_an_epoch, write
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
    STAGES,
    VTEP,
    Rack,
)

pytestmark = pytest.mark.root

UNMONITORED = "EzIngress.monitor.unmonitored"


def frame(dst: str, src: str, size: int) -> bytes:
    return ethernet(dst, src, IPV4, ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(size))))


# ---- what is counted -------------------------------------------------------------------------------------------------


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


def test_traffic_inside_the_rack_is_counted_once(rack: Rack) -> None:
    before = rack.monitored(RED, C1, C2)

    rack.exchange(HOST1, tagged(frame(C2, C1, 100), RED_VID))

    packets, octets = rack.monitored(RED, C1, C2)
    assert (packets - before[0], octets - before[1]) == (1, 142)


def test_tenants_with_the_same_addresses_are_counted_apart(rack: Rack) -> None:
    red, blue = rack.monitored(RED, C1, C3), rack.monitored(BLUE, C1, C3)

    rack.exchange(HOST1, tagged(frame(C3, C1, 100), BLUE_VID))

    assert rack.monitored(RED, C1, C3) == red
    assert rack.monitored(BLUE, C1, C3) == (blue[0] + 1, blue[1] + 142)


# ---- who has which cell ----------------------------------------------------------------------------------------------


FLOW, RIVAL = key_at(5, 100), key_at(5, 100, salt=1)
NOBODY = Cell()


class Candidates:
    """The four cells where FLOW may stand, and nobody else's."""

    def __init__(self, rack: Rack) -> None:
        self._rack = rack
        self.epoch = start_of_an_epoch()

    def put(self, *cells: Cell) -> None:
        for stage, cell in enumerate(cells):
            write(self._rack.plane, stage, FLOW.places[stage], cell)
        self._rack.plane.write_counter(UNMONITORED, 0, 0, 0)

    def held_by_others(self, *strengths: int) -> list[Cell]:
        """Cells of other flows, seen just now; one strength each."""
        return [
            Cell(Key(1, 2, 3 + number), 1_000_000 + number, self.epoch, 700 + number, strength)
            for number, strength in enumerate(strengths)
        ]

    def send(self, octets: int, key: Key = FLOW) -> list[Cell]:
        """A packet. The cells after it."""
        assert list(self._rack.exchange(HOST1, overlay(key, octets))) == [FABRIC]
        return [read(self._rack.plane, stage, index) for stage, index in enumerate(FLOW.places)]

    def unmonitored(self) -> list[int]:
        counted: list[int] = self._rack.plane.read_counter(UNMONITORED)[0].tolist()
        return counted

    def new(self, octets: int, key: Key = FLOW) -> Cell:
        """The flow's cell after its first packet."""
        return Cell(key, octets, self.epoch, 1, octets)


@pytest.fixture
def candidates(rack: Rack) -> Iterator[Candidates]:
    found = Candidates(rack)
    yield found
    found.put(*[NOBODY] * len(STAGES))


def test_a_new_flow_takes_its_first_cell(candidates: Candidates) -> None:
    candidates.put(*[NOBODY] * 4)

    assert candidates.send(500) == [candidates.new(500), NOBODY, NOBODY, NOBODY]


@pytest.mark.parametrize("free", [1, 2, 3])
def test_while_one_is_free_nobody_is_pushed_out_however_weak(candidates: Candidates, free: int) -> None:
    cells = candidates.held_by_others(0, 0, 0, 0)
    cells[free] = NOBODY
    candidates.put(*cells)

    cells[free] = candidates.new(60)
    assert candidates.send(60) == cells


@pytest.mark.parametrize("stage", range(4))
def test_its_packets_count_in_the_cell_it_has_though_an_earlier_one_is_free(candidates: Candidates, stage: int) -> None:
    cells = [NOBODY] * 4
    cells[stage] = Cell(FLOW, 10_000, candidates.epoch, 20, 3001)
    candidates.put(*cells)

    cells[stage] = Cell(FLOW, 10_500, candidates.epoch, 21, 3501)
    assert candidates.send(500) == cells
    assert candidates.unmonitored() == [0, 0]


@pytest.mark.parametrize("weakest", range(4))
def test_where_all_are_stronger_the_weakest_loses_the_strength_of_the_packet_and_nothing_else(
    candidates: Candidates, weakest: int
) -> None:
    strengths = [9000, 9000, 9000, 9000]
    strengths[weakest] = 501
    cells = candidates.held_by_others(*strengths)
    candidates.put(*cells)

    cells[weakest] = replace(cells[weakest], strength=1)
    assert candidates.send(500) == cells
    assert candidates.unmonitored() == [1, 500 + OUTER]


@pytest.mark.parametrize("strength", [0, 1, 499, 500, 501])
@pytest.mark.parametrize("weakest", range(4))
def test_where_the_weakest_has_no_more_than_the_packet_it_has_to_go(
    candidates: Candidates, weakest: int, strength: int
) -> None:
    strengths = [9000, 9000, 9000, 9000]
    strengths[weakest] = strength
    cells = candidates.held_by_others(*strengths)
    candidates.put(*cells)

    cells[weakest] = candidates.new(501)
    assert candidates.send(501) == cells
    assert candidates.unmonitored() == [0, 0]


def test_of_equally_weak_ones_the_first_has_to_go(candidates: Candidates) -> None:
    cells = candidates.held_by_others(9000, 40, 40, 40)
    candidates.put(*cells)

    assert candidates.send(500) == [cells[0], candidates.new(500), *cells[2:]]


def test_a_heavy_flow_wears_a_light_one_down_packet_by_packet(candidates: Candidates) -> None:
    candidates.put(*candidates.held_by_others(9000, 9000, 2601, 9000))

    holders = [candidates.send(1000)[2] for _ in range(3)]

    assert [holder.strength for holder in holders] == [1601, 601, 1000]
    assert holders[2] == candidates.new(1000)
    assert candidates.unmonitored() == [2, 2 * (1000 + OUTER)]


@pytest.mark.parametrize(
    ("epochs", "left"),
    [(1, 0x400001), (3, 0x100001), (12, 0x801), (16, 0x81), (17, 0x41), (23, 1), (24, 1), (32767, 1)],
)
def test_who_is_silent_loses_half_its_strength_with_every_epoch(candidates: Candidates, epochs: int, left: int) -> None:
    quiet, *others = candidates.held_by_others(0x800000, 0xFFFFFF, 0xFFFFFF, 0xFFFFFF)
    candidates.put(quiet.aged(epochs), *others)

    after = candidates.send(64)[0]

    assert after == (replace(quiet, strength=left - 64) if left > 64 else candidates.new(64))


def test_an_idle_giant_goes_before_a_busy_mouse(candidates: Candidates) -> None:
    giant, *mice = candidates.held_by_others(0xFFFFFF, 300, 300, 300)
    candidates.put(giant.aged(20), *mice)

    assert candidates.send(60) == [candidates.new(60), *mice]


def test_its_own_strength_ages_too(candidates: Candidates) -> None:
    candidates.put(Cell(FLOW, 90_000, candidates.epoch, 60, 40_004).aged(2))

    assert candidates.send(500)[0] == Cell(FLOW, 90_500, candidates.epoch, 61, 10_501)


def test_a_cell_from_the_next_epoch_is_not_old(candidates: Candidates) -> None:
    """On several cores, one may be there first."""
    cells = candidates.held_by_others(501, 9000, 9000, 9000)
    candidates.put(cells[0].aged(-1), *cells[1:])

    assert candidates.send(500)[0] == replace(cells[0], strength=1)


def test_strength_stops_at_its_largest_value(candidates: Candidates) -> None:
    candidates.put(Cell(FLOW, 5, candidates.epoch, 5, 0xFFFFF0))

    assert candidates.send(500)[0].strength == 0xFFFFFF


def test_counters_wrap_and_do_not_touch_each_other(candidates: Candidates) -> None:
    candidates.put(Cell(FLOW, (1 << 48) - 100, candidates.epoch, (1 << 40) - 1, 77))

    assert candidates.send(500)[0] == Cell(FLOW, 400, candidates.epoch, 0, 577)


def test_a_flow_that_lost_its_cell_counts_from_zero_when_it_is_back(candidates: Candidates) -> None:
    mine, *others = [Cell(FLOW, 90_000, candidates.epoch, 60, 41), *candidates.held_by_others(9000, 9000, 9000)]
    candidates.put(mine, *others)

    assert candidates.send(500, RIVAL) == [candidates.new(500, RIVAL), *others]
    assert candidates.send(600) == [candidates.new(600), *others]
