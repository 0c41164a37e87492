"""Time series: rates from counters that repeat, come late, start anew, or are told by two switches or collectors."""

from __future__ import annotations

import numpy as np
import pytest
from ezpath.events import FlowSample
from ezpath.inventory import Inventory
from ezpath.names import SwitchName
from ezpath_decider.directory import directory_of
from ezpath_decider.series import HISTORY, Series
from hypothesis import given, settings
from hypothesis import strategies as st

RED, A, B, C = 5001, 0x020000000001, 0x020000000003, 0x020000000004
PAIR = "red.red-1.red-3"
Cell = tuple[int, int, int, int, int]


def sample(
    second: float,
    *cells: Cell,
    switch: str = "tor1",
    sequence: int | None = None,
    collector: str = "c1",
    wall: float | None = None,
) -> FlowSample:
    columns = np.array(cells, dtype=np.uint64).reshape(-1, 5).T
    return FlowSample(
        SwitchName(switch),
        int(second * 10) if sequence is None else sequence,
        int(second * 1e9),
        int((second if wall is None else wall) * 1e9),
        1.0,
        *columns,
        collector=collector,
    )


class Network:
    """A series that is told what both switches count; the peer's switch has nothing to add unless it is given."""

    def __init__(self, inventory: Inventory, half_life_s: float = 5.0) -> None:
        self.series = Series(directory_of(inventory), half_life_s)
        self.now = 0.0

    def poll(self, second: float, *cells: Cell, peer: tuple[Cell, ...] = ()) -> None:
        self.series.add(sample(second, *cells), now=second)
        self.series.add(sample(second, *peer, switch="tor2"), now=second)

    def rates(self, now: float) -> dict[str, tuple[float, float]]:
        """Bits and packets a second by pair, of all flows that the series knows, as a round at ``now`` notes them."""
        series = self.series
        series.round(now)
        rows = np.arange(series.rows.count)
        bits, packets = series.history(rows)[:, 0] * 8, series.history(rows, octets=False)[:, 0]
        return {
            series.directory.pair_name(series.rows.key[row]): (float(bits[row]), float(packets[row])) for row in rows
        }

    def bits(self, now: float) -> float:
        return self.rates(now)[PAIR][0]

    @property
    def fresh(self) -> bool:
        """Whether the last round had fresh word of the only flow."""
        (fresh,) = self.series.fresh
        return bool(fresh)


@pytest.fixture
def network(inventory: Inventory) -> Network:
    return Network(inventory)


class TestRates:
    def test_given_two_polls_then_the_rate_is_the_difference_over_the_collectors_time(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 10, 1000))
        network.poll(3, (RED, A, B, 30, 5000))
        assert network.rates(4) == {PAIR: (4000 * 8 / 2, 10)}

    def test_given_both_directions_then_they_add_up_to_the_flow(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 0, 0), peer=((RED, B, A, 0, 0),))
        network.poll(2, (RED, A, B, 1, 1000), peer=((RED, B, A, 2, 500),))
        assert network.rates(2.5) == {PAIR: (12000, 3)}

    def test_given_a_flow_that_begins_between_polls_then_all_of_it_counts(self, network: Network) -> None:
        network.poll(1)
        network.poll(2, (RED, A, B, 1, 1000))
        assert network.bits(2.5) == 8000

    def test_given_a_flow_that_stood_there_before_then_it_begins_with_the_first_difference(
        self, network: Network
    ) -> None:
        network.poll(1, (RED, A, B, 1000, 1_000_000))
        assert network.bits(1.5) == 0
        network.poll(2, (RED, A, B, 1001, 1_001_000))
        assert network.bits(2.5) == 8000

    @pytest.mark.parametrize("vni, src, dst", [(9, A, B), (RED, 0xDEAD, B), (RED, A, A), (5002, A, 0x020000000002)])
    def test_given_addresses_of_nobody_then_they_are_left_out(
        self, network: Network, vni: int, src: int, dst: int
    ) -> None:
        network.poll(1)
        network.poll(2, (vni, src, dst, 1, 1000))
        assert network.rates(2.5) == {}

    def test_given_two_tenants_with_the_same_addresses_then_they_are_two_flows(self, network: Network) -> None:
        network.poll(1)
        network.poll(2, (RED, A, B, 1, 1000), (5002, A, B, 1, 500))
        assert network.rates(2.5) == {PAIR: (8000, 1), "blue.blue-1.blue-3": (4000, 1)}

    def test_given_an_unknown_switch_then_it_is_not_listened_to(self, network: Network) -> None:
        assert not network.series.add(sample(1, switch="tor9"), now=1)


class TestWhoHasTheWord:
    @pytest.mark.parametrize("order", [("tor1", "tor2"), ("tor2", "tor1")])
    def test_given_two_switches_on_the_way_then_the_senders_counts(
        self, network: Network, order: tuple[str, str]
    ) -> None:
        for second, step in ((1, 0), (2, 1), (3, 2)):
            for name in order:
                octets = {"tor1": 1000, "tor2": 1400}[name] * step
                network.series.add(sample(second, (RED, A, B, step, octets), switch=name), now=second)
        assert network.bits(3.5) == 8000

    def test_given_a_senders_switch_without_a_cell_then_the_other_one_counts(self, network: Network) -> None:
        network.poll(1, peer=((RED, A, B, 1, 0),))
        network.poll(2, peer=((RED, A, B, 1, 700),))
        assert network.bits(2.5) == 5600

    def test_given_a_senders_switch_that_loses_the_cell_then_an_old_count_of_the_other_is_only_a_start(
        self, network: Network
    ) -> None:
        network.poll(1, (RED, A, B, 0, 0), peer=((RED, A, B, 0, 0),))
        network.poll(2, (RED, A, B, 9, 9000), peer=((RED, A, B, 9, 9000),))
        network.poll(3, peer=((RED, A, B, 10, 10000),))
        network.rates(3.5)
        network.poll(4, peer=((RED, A, B, 11, 10700),))
        assert network.bits(4.5) == 5600

    def test_given_a_cell_that_the_senders_switch_finds_room_for_at_last_then_it_counts_from_zero(
        self, network: Network
    ) -> None:
        network.poll(1, peer=((RED, A, B, 0, 0),))
        network.poll(2, peer=((RED, A, B, 9, 9000),))
        network.poll(3, (RED, A, B, 1, 500), peer=((RED, A, B, 10, 9500),))
        assert network.bits(3.5) == 4000


class TestWhatCollectorsDo:
    def test_given_a_repeated_or_late_sample_then_it_changes_nothing(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 0, 0))
        network.poll(2, (RED, A, B, 1, 1000))
        assert not network.series.add(sample(2, (RED, A, B, 1, 1000)), now=3)
        assert not network.series.add(sample(1.5, (RED, A, B, 1, 500)), now=3)
        assert network.bits(3) == 8000

    def test_given_a_gap_then_the_rate_is_over_the_whole_gap(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 0, 0))
        network.poll(11, (RED, A, B, 1, 10000))
        assert network.bits(12) == 8000

    def test_given_two_collectors_then_the_one_that_came_first_is_listened_to(self, network: Network) -> None:
        for second in (1, 2, 3):
            octets = 1000 * second
            network.poll(second, (RED, A, B, second, octets))
            # the other one's clock and sequence have nothing to do with the first one's
            other = sample(900 + second, (RED, A, B, second, octets + 600), collector="c2", wall=second + 0.6)
            assert not network.series.add(other, now=second + 0.6)
        assert network.bits(3.7) == 8000

    def test_given_a_collector_that_falls_silent_then_the_other_takes_over_and_its_first_sample_is_a_start(
        self, network: Network
    ) -> None:
        network.poll(1, (RED, A, B, 0, 0))
        network.poll(2, (RED, A, B, 1, 1000))
        network.rates(2.1)
        for second, octets in ((3.4, 8000), (4.4, 9000), (5.4, 9500)):
            taken = network.series.add(sample(second + 900, (RED, A, B, 9, octets), collector="c2"), now=second)
            assert taken == (second > 3.5), "silent for one interval and a half"
            network.series.add(sample(second, switch="tor2"), now=second)
            rate = network.bits(second + 0.1)
            assert network.fresh == (second > 5), "no word in between, and no rate made up"
            assert rate == (4000 if second > 5 else 8000)

    @pytest.mark.parametrize("clock", [0.5, 100.0], ids=["its machine too", "its machine did not"])
    def test_given_a_collector_that_starts_anew_under_its_old_name_then_it_is_listened_to_again(
        self, network: Network, clock: float
    ) -> None:
        network.poll(1, (RED, A, B, 0, 0))
        network.poll(2, (RED, A, B, 1, 1000))
        for number, octets in ((1, 2000), (2, 2700)):
            again = sample(clock + number, (RED, A, B, 2, octets), sequence=number, wall=2 + number)
            assert network.series.add(again, now=2 + number)
            network.series.add(sample(2 + number, switch="tor2"), now=2 + number)
        assert network.bits(4.5) == 5600

    def test_given_one_silent_switch_then_there_is_no_fresh_word_of_the_flow(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 0, 0))
        network.poll(2, (RED, A, B, 1, 1000))
        assert network.bits(2.5) == 8000 and network.fresh
        network.series.add(sample(3, (RED, A, B, 1, 1000)), now=3)
        assert network.bits(3.5) == 8000 and not network.fresh
        network.series.add(sample(4, switch="tor2"), now=4)
        network.series.add(sample(4, (RED, A, B, 1, 1000)), now=4)
        assert network.bits(4.5) == 0 and network.fresh


class TestCounters:
    def test_given_a_switch_that_restarted_then_its_counters_count_from_zero(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 100, 1_000_000))
        network.poll(2, (RED, A, B, 1, 1000))
        assert network.rates(2.5) == {PAIR: (8000, 1)}

    def test_given_a_restart_then_a_counter_that_has_already_passed_its_old_value_counts_from_zero_too(
        self, network: Network
    ) -> None:
        before = ((RED, A, B, 9, 5000), (RED, A, C, 100, 900_000), (RED, A, 0x020000000002, 100, 900_000))
        network.poll(1, *before)
        network.poll(2, (RED, A, B, 10, 6000), (RED, A, C, 1, 1000), (RED, A, 0x020000000002, 1, 1000))
        assert network.bits(2.5) == 48000

    def test_given_a_cell_taken_by_another_flow_and_come_back_then_that_flow_alone_counts_from_zero(
        self, network: Network
    ) -> None:
        network.poll(1, (RED, A, B, 9, 5000), (RED, A, C, 9, 5000), (RED, A, 0x020000000002, 9, 5000))
        network.poll(2, (RED, A, B, 1, 1000), (RED, A, C, 10, 6500), (RED, A, 0x020000000002, 10, 6500))
        rates = network.rates(2.5)
        assert [round(bits) for bits, _ in rates.values()] == [12000, 8000, 12000]

    def test_given_a_cell_that_was_away_for_a_poll_then_it_counts_from_zero(self, network: Network) -> None:
        network.poll(1, (RED, A, B, 9, 5000))
        network.poll(2)
        network.poll(3, (RED, A, B, 20, 7000))
        assert network.bits(3.5) == 56000

    def test_given_a_flow_that_lost_its_cell_and_is_back_with_more_bytes_then_it_counts_from_zero(
        self, network: Network
    ) -> None:
        network.poll(1, (RED, A, B, 900, 60_000))
        network.poll(2, (RED, A, B, 50, 70_000))
        assert network.rates(2.5) == {PAIR: (70_000 * 8, 50)}

    @pytest.mark.parametrize("before", [((1 << 40) - 5, 900), (7, (1 << 48) - 900)])
    def test_given_a_counter_that_wrapped_then_it_counts_from_zero_and_not_too_much(
        self, network: Network, before: tuple[int, int]
    ) -> None:
        network.poll(1, (RED, A, B, *before))
        network.poll(2, (RED, A, B, 5, 1000))
        assert network.rates(2.5) == {PAIR: (8000, 5)}

    def test_given_packets_past_32_bits_then_they_are_counted_like_all_others(self, network: Network) -> None:
        network.poll(1, (RED, A, B, (1 << 32) - 5, 0))
        network.poll(2, (RED, A, B, (1 << 32) + 5, 1000))
        assert network.rates(2.5) == {PAIR: (8000, 10)}


class TestWhatIsKept:
    def test_given_rounds_then_the_history_has_the_last_ones_the_newest_first(self, network: Network) -> None:
        total = 0
        for second in range(1, 13):
            total += second * 1000
            network.poll(second, (RED, A, B, second, total))
            network.rates(second + 0.5)
        (history,) = network.series.history(np.array([0]))
        assert history.tolist() == [1000.0 * second for second in range(12, 12 - HISTORY, -1)]

    def test_given_a_steady_rate_then_the_mean_closes_half_the_distance_in_a_half_life(
        self, inventory: Inventory
    ) -> None:
        network = Network(inventory, half_life_s=4.0)
        network.poll(0, (RED, A, B, 0, 0))
        network.rates(0.5)
        for second in range(1, 10):
            network.poll(second, (RED, A, B, second, 1000 * second))
            network.rates(second)
            if second == 1:
                start = float(network.series.rows.octet_mean[0])
        mean = float(network.series.rows.octet_mean[0])
        assert 1000 - mean == pytest.approx((1000 - start) / 4, rel=1e-5), "8 s, two half-lives"

    def test_given_a_gap_then_the_mean_fades_for_as_long_as_the_gap_was(self, inventory: Inventory) -> None:
        steady, gap = Network(inventory), Network(inventory)
        for network, seconds in ((steady, (1, 2, 3, 4, 5, 6)), (gap, (1, 2, 6))):
            for second in seconds:
                network.poll(second, (RED, A, B, second, 1000 * second))
                network.rates(second)
        assert gap.series.rows.octet_mean[0] == pytest.approx(steady.series.rows.octet_mean[0], rel=1e-5)

    def test_given_a_steady_and_a_bursty_flow_then_burstiness_tells_them_apart(self, network: Network) -> None:
        burst = 0
        for second in range(1, 60):
            burst += 8000 if second % 8 == 0 else 0
            network.poll(second, (RED, A, B, second, 1000 * second), (RED, A, C, second, burst))
            network.rates(second)
        steady, bursty = network.series.burstiness(np.array([0, 1]))
        assert steady < 0.1 and bursty > 1

    def test_given_silence_then_a_flow_that_no_monitor_holds_is_forgotten_and_others_keep_their_past(
        self, network: Network
    ) -> None:
        for second in range(1, 4):
            network.poll(second, (RED, A, B, 0, 0), (RED, A, C, second, 1000 * second))
            network.rates(second)
        for second in range(4, 16):
            network.poll(second, (RED, A, C, second, 1000 * second))
            network.rates(second)
        kept = network.series.forget(np.zeros(2, bool), now=15, after_s=5)
        assert kept is not None and network.rates(15.5) == {"red.red-1.red-4": (8000, 1)}
        network.poll(16, (RED, A, C, 16, 16000), (RED, A, B, 1, 500))
        assert network.rates(16.5) == {"red.red-1.red-4": (8000, 1), PAIR: (4000, 1)}, "found by their keys again"

    def test_given_an_idle_flow_that_still_stands_in_a_monitor_then_it_is_kept(self, network: Network) -> None:
        for second in range(1, 20):
            network.poll(second, (RED, A, B, 5, 5000))
            network.rates(second)
        assert network.series.forget(np.zeros(1, bool), now=100, after_s=5) is None

    def test_given_a_wanted_flow_then_it_is_kept_however_silent(self, network: Network) -> None:
        network.series.rows_of(np.array([1, 2], np.uint64), now=0)
        for second in range(1, 20):
            network.poll(second)
            network.rates(second)
        kept = network.series.forget(np.array([True, False]), now=100, after_s=5)
        assert kept is not None and kept.tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_given_any_polls_then_rates_are_those_of_a_plain_dictionary(data: st.DataObject) -> None:
    """Against the simplest thing that could be right, over many flows at once."""
    from ezpath.inventory import parse
    from network import NETWORK

    network = Network(parse(NETWORK))
    macs = {f"red-{number}": 0x020000000000 + number for number in range(1, 6)}
    home = {"red-1": "tor1", "red-2": "tor1", "red-5": "tor1", "red-3": "tor2", "red-4": "tor2"}
    flows = [(one, other) for one in macs for other in macs if one != other]
    counted: dict[tuple[str, str], int] = {}
    for second in range(1, data.draw(st.integers(2, 6)) + 1):
        here = data.draw(st.lists(st.sampled_from(flows), unique=True))
        grown = {flow: counted.get(flow, 0) + data.draw(st.integers(0, 10**9)) for flow in here}
        for switch in ("tor1", "tor2"):
            cells = [(RED, macs[one], macs[other], 1, n) for (one, other), n in grown.items() if home[one] == switch]
            network.series.add(sample(second, *cells, switch=switch), now=second)
        expected: dict[str, float] = {}
        for one, other in here:
            name = "red." + ".".join(sorted((one, other)))
            before = counted.get((one, other), 0)
            expected[name] = expected.get(name, 0.0) + (grown[one, other] - before) * 8.0 * (second > 1)
        counted = grown
        got = {pair: bits for pair, (bits, _) in network.rates(second + 0.5).items() if bits}
        assert got == pytest.approx({pair: bits for pair, bits in expected.items() if bits}, rel=1e-5)


class TestDirectory:
    def test_given_a_pair_then_its_key_and_its_name_lead_to_each_other(self, inventory: Inventory) -> None:
        directory = directory_of(inventory)
        key = directory.pair_key(PAIR)  # type: ignore[arg-type]
        assert key is not None and directory.pair_name(key) == PAIR

    @pytest.mark.parametrize("name", ["red.red-1.red-1", "red.red-1.blue-3", "red.red-1", "nobody.a.b", ""])
    def test_given_no_pair_then_no_key(self, inventory: Inventory, name: str) -> None:
        assert directory_of(inventory).pair_key(name) is None  # type: ignore[arg-type]
