"""How far the explorer goes: in a test run, and when it may take its time (`make model`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from model.decider import Scenario
from model.scenarios import alone, crossing, followed, in_rack, moving, shared, tenants, vanishing
from model.writers import Host, Switch


class Bound(NamedTuple):
    """A scenario, and how many faults there may be in one run."""

    scenario: Callable[[], Scenario]
    faults: int
    at_once: bool = True
    """Without it, the reading of a desired state and its carrying out are two steps (``targets.Target.opening``)."""

    @property
    def switch(self) -> Switch:
        return Switch(at_once=self.at_once)

    @property
    def host(self) -> Host:
        return Host(at_once=self.at_once)

    def __str__(self) -> str:
        return f"{self.scenario().name}, {self.faults} faults"


IN_A_TEST_RUN = (
    Bound(alone, 2, at_once=False),
    Bound(lambda: followed(alone()), 2),
    Bound(shared, 1),
    Bound(lambda: in_rack((1, 0), (1, 0)), 1),
    Bound(lambda: tenants((2, 1), (1, 1)), 1),
    Bound(vanishing, 1),
    Bound(moving, 1),
)
AT_LENGTH = (
    Bound(alone, 3, at_once=False),
    Bound(shared, 1, at_once=False),
    Bound(crossing, 2),
    Bound(lambda: followed(crossing()), 1),
    Bound(lambda: shared((1, 0), (1, 0)), 2),
    Bound(in_rack, 1),
    Bound(lambda: tenants((2, 2), (2, 2)), 1),
    Bound(lambda: tenants((1, 1), (1, 0)), 2),
    Bound(vanishing, 2),
    Bound(moving, 2),
)
