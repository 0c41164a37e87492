"""Where the saga benchmark says the time of an offload went: legs that add up to the whole, of whole ways only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ezpath.events import HostCommand, JsonEvent, OffloadRequested, PhaseName, SagaOutcome, StepReport, SwitchCommand
from ezpath.names import HostName, PairId, SwitchName, Tenant
from ezpath_bench.saga.legs import legs_of

RED = Tenant("red")
PHASES: tuple[PhaseName, ...] = ("switch-receive", "switch-send", "host-receive", "host-send")


def way(pair: PairId, until: PhaseName | None = None) -> Iterator[tuple[float, JsonEvent]]:
    """Asked for at 0; each phase is commanded 10 ms after what came before, and answered 1 and 30 ms later."""
    at, saga = 0.0, f"{pair}.1"
    yield at, OffloadRequested(pair, RED, "", 0.0, at)
    for phase in PHASES:
        at += 0.010
        for end in "ab":
            if phase.startswith("switch"):
                yield at, SwitchCommand(saga, pair, 1, phase, SwitchName(end))
            else:
                yield at, HostCommand(saga, pair, 1, phase, HostName(end))
        if phase == until:
            return
        yield at + 0.001, StepReport(saga, pair, 1, phase, "switch:a", True)
        at += 0.030
        yield at, StepReport(saga, pair, 1, phase, "switch:b", True)
    yield at + 0.005, SagaOutcome(saga, pair, RED, "active", at, 0.0)


def test_given_a_whole_way_then_its_legs_are_waits_for_the_slowest_and_add_up() -> None:
    legs = legs_of(way(PairId("red.a.b")))

    assert list(legs) == [
        *(f"{who} {phase}" for phase in PHASES for who in ("decider, before", "writers,")),
        "decider, before the outcome",
    ]
    assert legs["decider, before host-send"] == pytest.approx([10])
    assert legs["writers, host-send"] == pytest.approx([30])
    assert sum(each[0] for each in legs.values()) == pytest.approx(4 * 40 + 5)


def test_given_ways_that_are_not_whole_then_they_are_left_out() -> None:
    whole, broken = PairId("red.a.b"), PairId("red.c.d")

    legs = legs_of([*list(way(whole))[1:], *way(broken, until="host-receive")])

    assert legs == {}, "one was asked for before the time that is looked at, the other one never came to its end"
