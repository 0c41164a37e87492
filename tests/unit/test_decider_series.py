"""Time series: rates from counters that may repeat, come late, start anew, or be told by two switches."""

from __future__ import annotations

import numpy as np
import pytest
from ezpath.events import FlowSample
from ezpath.inventory import Inventory
from ezpath.names import SwitchName
from ezpath_decider.series import Series

RED, A, B = 5001, 0x020000000001, 0x020000000003
Cell = tuple[int, int, int, int, int]


def sample(
    second: float, *cells: Cell, switch: str = "tor1", sequence: int | None = None, collector: str = "c1"
) -> FlowSample:
    columns = np.array(cells, dtype=np.uint64).reshape(-1, 5).T
    return FlowSample(
        SwitchName(switch),
        int(second * 10) if sequence is None else sequence,
        int(second * 1e9),
        0,
        1.0,
        *columns,
        collector=collector,
    )


def rates(series: Series) -> dict[str, float]:
    return {pair.id: rate.bits_s for pair, rate, _ in series.pairs()}


@pytest.fixture
def series(inventory: Inventory) -> Series:
    return Series(inventory)


def test_given_two_polls_then_the_rate_is_the_difference_over_the_collectors_time(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 10, 1000)), now=1)
    series.add(sample(3, (RED, A, B, 30, 5000)), now=3)
    ((pair, rate, _),) = series.pairs()
    assert pair.id == "red.red-1.red-3"
    assert (rate.bits_s, rate.packets_s) == (4000 * 8 / 2, 10)


def test_given_both_directions_then_they_add_up_to_the_pair(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 0, 0), (RED, B, A, 0, 0)), now=1)
    series.add(sample(2, (RED, A, B, 1, 1000), (RED, B, A, 1, 500)), now=2)
    assert rates(series) == {"red.red-1.red-3": 12000}


@pytest.mark.parametrize("order", [("tor1", "tor2"), ("tor2", "tor1")])
def test_given_two_switches_on_the_way_then_the_senders_counts(series: Series, order: tuple[str, str]) -> None:
    for name in order:
        octets = {"tor1": 1000, "tor2": 1400}[name]
        series.add(sample(1, (RED, A, B, 0, 0), switch=name), now=1)
        series.add(sample(2, (RED, A, B, 1, octets), switch=name), now=2)
    assert rates(series) == {"red.red-1.red-3": 8000}


def test_given_a_senders_switch_without_a_cell_then_the_other_one_counts(series: Series) -> None:
    for second, octets in ((1, 0), (2, 700)):
        series.add(sample(second), now=second)
        series.add(sample(second, (RED, A, B, 1, octets), switch="tor2"), now=second)
    assert rates(series) == {"red.red-1.red-3": 5600}


def test_given_a_repeated_or_late_sample_then_it_changes_nothing(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 0, 0)), now=1)
    series.add(sample(2, (RED, A, B, 1, 1000)), now=2)
    before = rates(series)
    assert not series.add(sample(2, (RED, A, B, 1, 1000)), now=3)
    assert not series.add(sample(1.5, (RED, A, B, 1, 500)), now=3)
    assert rates(series) == before


def test_given_a_gap_then_the_rate_is_over_the_whole_gap(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 0, 0)), now=1)
    series.add(sample(11, (RED, A, B, 1, 10000)), now=11)
    assert rates(series) == {"red.red-1.red-3": 8000}


def test_given_a_switch_that_restarted_then_its_counters_count_from_zero(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 100, 1_000_000)), now=1)
    series.add(sample(2, (RED, A, B, 1, 1000)), now=2)
    assert rates(series) == {"red.red-1.red-3": 8000}


def test_given_a_flow_that_begins_between_polls_then_all_of_it_counts(series: Series) -> None:
    series.add(sample(1), now=1)
    series.add(sample(2, (RED, A, B, 1, 1000)), now=2)
    assert rates(series) == {"red.red-1.red-3": 8000}


def test_given_another_collector_then_its_first_sample_is_only_a_start(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 0, 0)), now=1)
    series.add(sample(2, (RED, A, B, 1, 1000)), now=2)
    series.add(sample(900, (RED, A, B, 9, 9000), collector="c2", sequence=1), now=3)
    assert rates(series) == {"red.red-1.red-3": 8000}
    series.add(sample(901, (RED, A, B, 9, 9500), collector="c2", sequence=2), now=4)
    assert rates(series) == {"red.red-1.red-3": 4000}


def test_given_a_flow_that_lost_its_cell_and_is_back_with_more_bytes_then_it_counts_from_zero(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 900, 60_000)), now=1)
    series.add(sample(2, (RED, A, B, 50, 70_000)), now=2)
    ((_, rate, _),) = series.pairs()
    assert (rate.bits_s, rate.packets_s) == (70_000 * 8, 50)


def test_given_a_flow_that_was_away_for_a_poll_then_it_counts_from_zero(series: Series) -> None:
    series.add(sample(1, (RED, A, B, 10, 1000)), now=1)
    series.add(sample(2), now=2)
    series.add(sample(3, (RED, A, B, 20, 5000)), now=3)
    ((_, rate, _),) = series.pairs()
    assert (rate.bits_s, rate.packets_s) == (5000 * 8, 20)


@pytest.mark.parametrize("before", [((1 << 40) - 5, 900), (7, (1 << 48) - 900)])
def test_given_a_counter_that_wrapped_then_a_poll_counts_too_little_and_not_too_much(
    series: Series, before: tuple[int, int]
) -> None:
    series.add(sample(1, (RED, A, B, *before)), now=1)
    series.add(sample(2, (RED, A, B, 5, 1000)), now=2)
    ((_, rate, _),) = series.pairs()
    assert (rate.bits_s, rate.packets_s) == (8000, 5)


@pytest.mark.parametrize("vni, src, dst", [(9, A, B), (RED, 0xDEAD, B), (RED, A, A), (5002, A, 0x020000000002)])
def test_given_addresses_of_nobody_then_they_are_left_out(series: Series, vni: int, src: int, dst: int) -> None:
    series.add(sample(1), now=1)
    series.add(sample(2, (vni, src, dst, 1, 1000)), now=2)
    assert rates(series) == {}


def test_given_an_unknown_switch_then_it_is_not_listened_to(series: Series) -> None:
    assert not series.add(sample(1, switch="tor9"), now=1)


def test_given_one_silent_switch_then_the_pair_was_heard_when_the_older_was(
    series: Series, inventory: Inventory
) -> None:
    for second in (1, 2):
        series.add(sample(second), now=second)
    pair = inventory.pair_by_id("red.red-1.red-3")  # type: ignore[arg-type]
    assert pair is not None and series.heard(pair) == 0
    for second in (1, 2):
        series.add(sample(second, switch="tor2"), now=5 + second)
    assert series.heard(pair) == 2
