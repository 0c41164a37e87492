"""What polling cost in each case, the line on which that grows with switches and collectors, and the verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TARGET = 40
"""Switches of 65,536 cells that one core polls in a second, from the request to the published sample."""
LINEAR = 0.1
"""By so much a case may be off the line."""
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
    def due(self) -> float:
        """Polls that were to be made."""
        return self.switches * self.seconds / self.interval_s

    @property
    def kept_up(self) -> bool:
        """Nearly all of them were; of some switches one fell just before or behind the time that was looked at."""
        return self.polls >= ON_TIME * self.due - math.sqrt(self.switches)


@dataclass(frozen=True, slots=True)
class Model:
    """Cores = polls a second · the cost of one + collectors · what each takes by itself, fitted to all cases."""

    ms_a_poll: float
    own_cores: float
    """Of a collector that polls nothing: it renews its lease, and looks at the others'."""
    off: float
    """By how much the case that fits worst is off, as a part of it."""

    @property
    def switches_a_core(self) -> float:
        """That one collector on one core can poll every second."""
        return (1 - self.own_cores) / self.ms_a_poll * 1e3


def fitted(costs: Sequence[Cost]) -> Model | None:
    """Each case counts the same, large or small. None where there are too few cases to tell one from the other."""
    cores = np.array([cost.cores for cost in costs])
    terms = np.array([(cost.polls / cost.seconds, cost.collectors) for cost in costs])
    relative = terms / cores[:, None]
    if np.linalg.matrix_rank(relative) < 2:
        return None
    (a_poll, own), *_ = np.linalg.lstsq(relative, np.ones(len(costs)), rcond=None)
    return Model(float(a_poll) * 1e3, float(own), float(np.abs(relative @ (a_poll, own) - 1).max()))


def verdicts(costs: Sequence[Cost]) -> Iterator[tuple[bool, str]]:
    """Whether each target was reached, in words."""
    model = fitted(costs)
    if model is None:
        worst = max(cost.ms_a_poll for cost in costs)
        yield (
            1e3 / worst >= TARGET,
            f"a poll takes {worst:.1f} ms of a core: {1e3 / worst:.0f} a second, {TARGET} wanted",
        )
    else:
        yield (
            model.switches_a_core >= TARGET,
            f"a poll takes {model.ms_a_poll:.1f} ms of a core and each collector {model.own_cores:.1%} by itself: "
            f"one core polls {model.switches_a_core:.0f} switches a second, {TARGET} wanted",
        )
        yield model.off <= LINEAR, f"no case is off that line by more than {model.off:.0%}, {LINEAR:.0%} wanted: linear"
    made = min(cost.polls / cost.due for cost in costs)
    yield all(cost.kept_up for cost in costs), f"{made:.0%} of the polls that were due were made, {ON_TIME:.0%} wanted"


def once_a_second(costs: Sequence[Cost], cores: int) -> str:
    """What the most switches would take if each were polled every second, beside what there is."""
    most = max(costs, key=lambda cost: cost.switches)
    wanted = most.switches * most.share
    return (
        f"{most.switches} switches every second would take {wanted:.1f} cores for collectors alone; this machine has "
        f"{cores}. They were polled every {most.interval_s:g} s."
    )
