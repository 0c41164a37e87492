"""Which event is the moment that a kill waits for."""

from __future__ import annotations

import pytest
from ezpath.events import JsonEvent, SagaStep, StepReport
from ezpath.names import PairId, Tenant
from ezpath_lab.chaos.plan import Moment
from ezpath_lab.chaos.wire import matches

PAIR, RED = PairId("red.a.b"), Tenant("red")
ENTERED = SagaStep("red.a.b.1", PAIR, RED, 7, "switch-send", "switch-receive", at=0.0, took_ms=1.0)
CONFIRMED = StepReport("red.a.b.1", PAIR, 6, "switch-receive", "switch:tor1", ok=True)


@pytest.mark.parametrize(
    ("moment", "event", "matching"),
    [
        (Moment("before", "switch-send"), ENTERED, True),
        (Moment("before", "switch-receive"), ENTERED, False),
        (Moment("after", "switch-receive"), ENTERED, True),
        (Moment("after", "switch-receive"), CONFIRMED, True),
        (Moment("before", "switch-receive"), CONFIRMED, False),
        (Moment("after", "switch-send"), CONFIRMED, False),
    ],
)
def test_before_is_when_a_step_is_announced_and_after_when_it_is_confirmed_or_over(
    moment: Moment, event: JsonEvent, matching: bool
) -> None:
    assert matches(moment, event) is matching
