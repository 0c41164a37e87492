"""What polling cost in each case, how that grows with the switches and with the collectors, and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ezpath_bench.figures.growth import Curve

TARGET_MS = 25.0
"""Of one core, for one poll of 65,536 cells, from the request to the published sample: forty switches a second."""
LINEAR = 1.25
"""The dearest poll, whatever the number of switches, costs at most so many times what the cheapest does."""
PROPORTIONAL = 0.1
"""Cores grow as switches to the power of one, and do not grow with the number of collectors, but for so much."""
ON_TIME = 0.95
"""The part of the polls that were to be made which at least are made, where collectors keep up."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some seconds of polling."""

    switches: int
    collectors: int
    interval_s: float
    polls: int
    seconds: float
    cores: float
    """In use by the collectors, all together."""
    switch_cores: float
    nats_cores: float
    polled_by: tuple[int, ...]
    """How many switches each collector had, by what it published."""

    @property
    def ms_a_poll(self) -> float:
        return self.cores * self.seconds / self.polls * 1e3

    @property
    def share(self) -> float:
        """Of a core, for one switch that is polled once a second."""
        return self.ms_a_poll / 1e3

    @property
    def kept_up(self) -> float:
        """Which part of the polls that were to be made was made."""
        return self.polls * self.interval_s / (self.switches * self.seconds)


def growth(costs: Sequence[Cost]) -> Iterator[tuple[Curve, float]]:
    """Cores against switches, and against collectors, with the power that each ought to grow by."""
    for collectors, cases in _grouped(costs, lambda cost: cost.collectors):
        if len({cost.switches for cost in cases}) > 1:
            points = [(cost.switches / cost.interval_s, cost.cores) for cost in cases]
            yield Curve.fitted(f"cores, {collectors} collectors", "switches a second", points), 1.0
    for switches, cases in _grouped(costs, lambda cost: cost.switches):
        if len({cost.collectors for cost in cases}) > 1:
            points = [(cost.collectors, cost.cores) for cost in cases]
            yield Curve.fitted(f"cores, {switches} switches", "collectors", points), 0.0


def _grouped(costs: Sequence[Cost], key: Callable[[Cost], int]) -> Iterator[tuple[int, list[Cost]]]:
    for value, cases in groupby(sorted(costs, key=key), key):
        yield value, list(cases)


def verdicts(costs: Sequence[Cost]) -> Iterator[tuple[bool, str]]:
    """Whether each target was reached, in words."""
    worst, best = max(cost.ms_a_poll for cost in costs), min(cost.ms_a_poll for cost in costs)
    yield (
        worst <= TARGET_MS,
        f"a poll takes {worst:.1f} ms of a core at most, {TARGET_MS:g} wanted: {1e3 / worst:.0f} switches a core",
    )
    yield worst <= LINEAR * best, f"{worst / best:.2f} times the cheapest at most, {LINEAR:g} wanted"
    for curve, power in growth(costs):
        yield abs(curve.power - power) <= PROPORTIONAL, f"{curve}, {power:g} ± {PROPORTIONAL:g} wanted"
    late = min(cost.kept_up for cost in costs)
    yield late >= ON_TIME, f"{late:.0%} of the polls that were to be made were made, {ON_TIME:.0%} wanted"


def once_a_second(costs: Sequence[Cost], cores: int) -> str:
    """What the most switches would take if each were polled every second, beside what there is."""
    most = max(costs, key=lambda cost: cost.switches)
    wanted = most.switches * most.share
    return (
        f"{most.switches} switches every second would take {wanted:.1f} cores for collectors alone; this machine has "
        f"{cores}. They were polled every {most.interval_s:g} s."
    )
