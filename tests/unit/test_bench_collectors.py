"""What the benchmark of collectors makes of what it measured: a line, and a verdict on each target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath_bench.collectors.command import _cases
from ezpath_bench.collectors.cost import Cost, fitted, once_a_second, verdicts


def cost(switches: int, collectors: int = 1, ms: float = 20.0, own: float = 0.02, interval_s: float = 10.0) -> Cost:
    """As many polls as were due in a hundred seconds, each of which took ``ms`` of a core, each collector ``own``."""
    polls = round(switches * 100 / interval_s)
    cores = polls * ms / 1e3 / 100 + collectors * own
    return Cost(switches, collectors, interval_s, polls, 100.0, cores, 0.1, 0.1, (switches // collectors,) * collectors)


LINE = [cost(100), cost(200), cost(400), cost(400, 2), cost(400, 8)]


def test_given_polls_that_all_cost_the_same_then_that_is_found_beside_what_collectors_take_by_themselves() -> None:
    model = fitted(LINE)
    assert model is not None
    assert (model.ms_a_poll, model.own_cores) == (pytest.approx(20), pytest.approx(0.02))
    assert model.switches_a_core == pytest.approx(49) and model.off < 1e-9
    assert all(reached for reached, _ in verdicts(LINE))


@pytest.mark.parametrize(
    ("costs", "missed"),
    [
        ([cost(100, ms=26.0, own=0)], "38 a second, 40 wanted"),
        (
            [cost(100, ms=24.8, own=0.05), cost(400, ms=24.8, own=0.05)],
            "one core polls 38 switches a second, 40 wanted",
        ),
        ([cost(100, ms=15.0), cost(200, ms=15.0), cost(400, ms=22.0)], "no case is off that line by more than 1"),
        ([replace(cost(100), polls=900, cores=0.18)], "90% of the polls that were due were made, 95% wanted"),
    ],
)
def test_given_a_target_that_is_missed_then_it_is_the_one_that_is_named(costs: list[Cost], missed: str) -> None:
    said = [words for reached, words in verdicts(costs) if not reached]
    assert len(said) == 1 and missed in said[0], said


def test_what_cannot_be_served_on_this_machine_is_said() -> None:
    assert "400 switches every second would take 8.2 cores" in once_a_second(LINE, 2)
    assert "this machine has 2. They were polled every 10 s" in once_a_second(LINE, 2)


def test_the_cases_are_two_curves_that_meet() -> None:
    assert _cases((500, 125, 250), (4, 1, 8)) == [(125, 4), (250, 4), (500, 4), (500, 1), (500, 8)]
