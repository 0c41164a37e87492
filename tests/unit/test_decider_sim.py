"""The simulator: its traffic, its switches, and what the strategies are worth in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ezpath_decider.budgets import Budgets
from ezpath_decider.directory import ends
from ezpath_decider.series import Series
from ezpath_decider.sim.cells import Monitors
from ezpath_decider.sim.network import Size
from ezpath_decider.sim.policies import Future
from ezpath_decider.sim.report import LEAST_OF_ORACLE, MOST_OF_TOPK, result
from ezpath_decider.sim.run import Plan, Runner, Simulation, synthetic
from ezpath_decider.sim.traffic import Second, Shape

SMALL = Size(racks=4, hosts_per_rack=5, containers_per_host=8, tenants=6)
PLAN = Plan(size=SMALL, seconds=20.0, warm_up_s=5.0)


def run(plan: Plan) -> Simulation:
    simulation = Simulation(plan)
    for _ in simulation.rounds():
        pass
    return simulation


class TestTraffic:
    def test_given_a_seed_then_the_same_traffic_and_with_another_one_not(self) -> None:
        def first(seed: int) -> list[float]:
            traffic = synthetic(replace(PLAN, seed=seed))
            return [float(traffic.next().packets.sum()) for _ in range(5)]

        assert first(1) == first(1) != first(2)

    def test_given_many_seconds_then_load_stays_where_it_began(self) -> None:
        """The sessions of the start are those of the long run: no ramp up, no decay."""
        traffic = synthetic(replace(PLAN, shape=Shape(diurnal=0.0, churn=0.0, unrest=0.0)))
        packets = [float(traffic.next().packets.sum()) for _ in range(200)]
        assert np.mean(packets[:20]) == pytest.approx(np.mean(packets[100:]), rel=0.25)

    def test_given_a_day_then_load_rises_and_falls(self) -> None:
        one_tenant = replace(SMALL, tenants=1)
        shape = Shape(diurnal=0.8, day_s=100.0, lasting_s=3.0, churn=0.0, tail=3.0)
        traffic = synthetic(replace(PLAN, size=one_tenant, shape=shape))
        by_second = np.array([float(traffic.next().packets.sum()) for _ in range(100)])
        hours = by_second.reshape(10, 10).sum(axis=1)
        assert hours.max() > 2.5 * hours.min()

    def test_given_heavy_arrivals_then_load_is_the_same_and_more_restless(self) -> None:
        def loads(arrivals: str) -> np.ndarray:
            shape = Shape(arrivals=arrivals, lasting_s=1.0, tail=3.0, diurnal=0.0)  # type: ignore[arg-type]
            traffic = synthetic(replace(PLAN, shape=shape))
            return np.array([float(traffic.next().packets.sum()) for _ in range(300)])

        poisson, heavy = loads("poisson"), loads("heavy")
        assert heavy.mean() == pytest.approx(poisson.mean(), rel=0.4)
        assert heavy.std() / heavy.mean() > 1.5 * poisson.std() / poisson.mean()

    def test_given_churn_then_containers_take_their_traffic_to_a_free_place_of_their_tenant(self) -> None:
        traffic = synthetic(replace(PLAN, shape=Shape(churn=0.02)))
        for _ in range(30):
            traffic.next()
        assert traffic.moved > 20
        assert len(np.unique(traffic.place)) == len(traffic.place), "nobody shares a place"
        assert (traffic.directory.tenant[traffic.place] == traffic.tenant).all()

    def test_given_any_flow_then_it_goes_from_one_host_to_another(self) -> None:
        traffic = synthetic(PLAN)
        one, other = ends(traffic.next().flows)
        assert (traffic.directory.host[one] != traffic.directory.host[other]).all()


def test_given_what_flows_sent_then_the_series_reads_it_from_the_samples() -> None:
    """Also of flows that pause and come back."""
    traffic = synthetic(PLAN)
    series = Series(traffic.directory)
    monitors, flows = Monitors(series, 1.0), traffic.next().flows[:2]
    sent = [(100, 0), (100, 50), (0, 50), (300, 70)]
    for number, packets in enumerate(sent, 1):
        here = [n for n, count in enumerate(packets) if count]
        second = Second(
            flows[here],
            np.array([packets[n] for n in here], np.float32),
            np.array([packets[n] * 100 for n in here], np.float32),
        )
        for sample in monitors.poll(second, 1000.0 + number):
            series.add(sample, 1000.0 + number)
        series.round(1000.0 + number)
        if number > 1:
            rows = series.rows_of(flows, 1000.0 + number)
            assert series.history(rows, octets=False)[:, 0].tolist() == list(packets)
            assert series.history(rows)[:, 0].tolist() == [count * 100 for count in packets]


class TestOracle:
    def test_given_intervals_ahead_then_it_knows_their_sum_and_what_a_newcomer_misses(self) -> None:
        series = Series(synthetic(PLAN).directory)
        future = Future(series, 3)
        flow = np.array([1 << 32 | 40], np.uint64)
        seconds = [Second(flow, np.array([packets], np.float32), np.zeros(1, np.float32)) for packets in (1, 2, 4, 8)]
        future.look(seconds[:3], 1000.0)
        staying, coming = future.of(1, later=1.5)
        assert staying.tolist() == [7] and coming.tolist() == [5]
        future.look(seconds[1:], 1001.0)
        assert future.of(1, later=0)[0].tolist() == [14]

    def test_given_all_policies_then_none_carries_more_than_the_ideal(self) -> None:
        simulation = run(replace(PLAN, policies=("value", "topk", "oracle-5", "oracle-20", "ideal")))
        shares = {tally.policy: tally.summary(5.0).packets for tally in simulation.tallies}
        assert max(shares, key=lambda policy: shares[policy]) == "ideal"


class TestTargets:
    @pytest.mark.parametrize(
        "shape",
        [Shape(), Shape(arrivals="heavy"), Shape(churn=0.002)],
        ids=["poisson", "heavy", "churn"],
    )
    def test_value_is_as_good_as_the_oracle_and_calmer_than_topk(self, shape: Shape) -> None:
        """In small, so that it takes seconds; `ezpath sim --check` does it in large, with more oracles."""
        size = Size(racks=6, hosts_per_rack=8, containers_per_host=10, tenants=10)
        plan = Plan(size=size, shape=shape, seconds=70.0, warm_up_s=30.0, budget=0.05)
        got = result(run(replace(plan, policies=("value", "topk", "oracle-20"))), 0.0)
        assert got.of_oracle is not None and got.of_oracle >= LEAST_OF_ORACLE
        assert got.of_topk is not None and got.of_topk <= MOST_OF_TOPK
        assert got.met
        value = next(each for each in got.policies if each.policy == "value")
        assert value.table_use <= 1.0, "never over the budget"


class TestFullTables:
    """A closed loop: the switches have room for half of what anybody told the decider, and refuse."""

    def simulated(self, policy: str) -> Runner:
        settings = {"threshold": {"enter_bps": 1e5, "exit_bps": 2e4}}
        simulation = Simulation(replace(PLAN, seconds=90.0, policies=(policy,), budget=0.4, settings=settings))
        (runner,) = simulation.runners
        runner.fabric.sizes = np.stack([simulation.budget * 0.35, simulation.budget * 0.15], axis=1).astype(np.int64)
        for _ in simulation.rounds():
            pass
        return runner

    @pytest.mark.parametrize("policy", ["value", "threshold", "topk"])
    def test_given_tables_that_are_smaller_than_anybody_knows_then_errors_are_few_and_the_tables_stay_used(
        self, policy: str
    ) -> None:
        runner = self.simulated(policy)
        refused, sizes, used = runner.tally.refusals, runner.fabric.sizes, runner.fabric.used
        assert sum(refused[:5]) > 0, "nobody knew"
        assert np.count_nonzero(refused) <= 5, "asked again now and then, not round after round"
        assert max(refused[5:]) < max(refused[:5]) / 2, "and for a few entries more"
        assert sizes is not None and (used <= sizes).all()
        assert used[:, 0].sum() > 0.9 * sizes[:, 0].sum()

    def test_given_full_tables_then_a_better_flow_takes_a_cheaper_ones_place(self) -> None:
        tally = self.simulated("value").tally
        assert sum(tally.moves[60:]) > 0
        assert np.mean(tally.share()[60:]) > np.mean(tally.share()[15:30])


def test_given_budgets_then_entries_in_use_are_within_them_at_all_times() -> None:
    simulation = Simulation(replace(PLAN, policies=("topk",), seconds=30.0))
    (runner,) = simulation.runners
    for _ in simulation.rounds():
        assert (runner.fabric.used.sum(axis=1) <= simulation.budget).all()
        held = runner.engine.entries_held()
        assert (held == runner.fabric.used).all(), "the decider's account is the switches'"


def test_given_no_limits_then_everything_is_carried() -> None:
    simulation = run(replace(PLAN, budget=1.0, policies=("topk",), shape=Shape(churn=0.0, unrest=0.0)))
    assert simulation.tallies[0].summary(10.0).packets > 0.95
    assert Budgets.of(simulation.directory).entries > 0
