"""Monitor cells to columns, against cells written out byte by byte as p4/ezpath/monitor.p4 documents them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ezpath_collector import cells
from ezpath_collector.cells import CELL_BYTES, decode


def cell(
    vni: int, src: int, dst: int, packets: int, octets: int, *, epoch: int = 0, strength: int = 0, used: int = 1
) -> np.ndarray:
    value = used
    counters = ((octets, 48), (epoch, 16), (packets, 40), (strength, 24))
    for field, bits in ((vni, 24), (src, 48), (dst, 48), *counters):
        value = value << bits | field
    return np.frombuffer(value.to_bytes(CELL_BYTES, "big"), np.uint8)


def stage(*cells: np.ndarray, size: int = 16) -> np.ndarray:
    raw = np.zeros((size, CELL_BYTES), np.uint8)
    for index, each in enumerate(cells):
        raw[index] = each
    return raw


def rows(flows) -> list[tuple[int, ...]]:
    columns = (flows.vni, flows.src, flows.dst, flows.packets, flows.bytes)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


def test_a_cell_is_read_field_by_field():
    flows = decode([stage(cell(5001, 0x020000000001, 0x020000000003, 7, 10_500, epoch=9, strength=1500))])
    assert rows(flows) == [(5001, 0x020000000001, 0x020000000003, 7, 10_500)]
    assert flows.bytes.dtype == np.uint64


def test_the_greatest_values_fit():
    biggest = (2**24 - 1, 2**48 - 1, 2**48 - 1, 2**40 - 1, 2**48 - 1)
    assert rows(decode([stage(cell(*biggest, epoch=2**16 - 1, strength=2**24 - 1))])) == [biggest]


def test_unused_cells_are_no_flows():
    assert rows(decode([stage(cell(1, 2, 3, 4, 5, used=0)), stage()])) == []
    assert rows(decode([])) == []


def test_a_flow_in_two_stages_counts_where_the_switch_counts_it_and_its_neighbours_stay():
    one, two, three = (
        stage(cell(1, 10, 21, 1, 60)),
        stage(cell(1, 10, 20, 5, 500)),
        stage(cell(1, 10, 20, 9, 900), cell(2, 10, 20, 9, 900)),
    )
    assert rows(decode([one, two, three])) == [(1, 10, 21, 1, 60), (1, 10, 20, 5, 500), (2, 10, 20, 9, 900)]


@pytest.mark.parametrize("factor", [cells._GOLDEN, np.uint64(0), np.uint64(1 << 63)])
def test_the_first_of_each_key_is_taken_however_their_digests_fall(monkeypatch, factor):
    # Given many cells of few keys, of which all, or nearly all, have one digest
    monkeypatch.setattr(cells, "_GOLDEN", factor)
    generator = np.random.default_rng(3)
    keys = generator.integers(0, 6, (400, 3))
    stages = [
        stage(*(cell(*map(int, key), number, 60 * number) for number, key in enumerate(part, start)), size=100)
        for start, part in zip(range(0, 400, 100), np.split(keys, 4), strict=True)
    ]
    # When they are decoded, then each key is there once, as it stands in its first cell
    first: dict[tuple[int, ...], int] = {}
    for number, key in enumerate(keys):
        first.setdefault(tuple(map(int, key)), number)
    assert rows(decode(stages)) == [(*key, number, 60 * number) for key, number in first.items()]


def test_both_directions_and_both_tenants_stay_apart():
    cells = [cell(1, 10, 20, 1, 1), cell(1, 20, 10, 2, 2), cell(2, 10, 20, 3, 3), cell(2, 20, 10, 4, 4)]
    assert len(rows(decode([stage(*cells)]))) == 4


def test_another_programs_cells_are_refused():
    with pytest.raises(ValueError, match="128 bits wide"):
        decode([np.zeros((4, 16), np.uint8)])


def test_a_full_monitor_is_decoded_in_a_fraction_of_a_poll():
    generator = np.random.default_rng(1)
    full = generator.integers(0, 256, (65536, CELL_BYTES), dtype=np.uint8)
    full[:, 0] = 1
    began = time.perf_counter()
    flows = decode(np.split(full, 4))
    took_s = time.perf_counter() - began
    assert len(flows.vni) == 65536
    octets = np.pad(full[:, 16:22], ((0, 0), (2, 0))).view(">u8").ravel()
    assert np.array_equal(np.sort(flows.bytes), np.sort(octets))
    assert took_s < 0.5
