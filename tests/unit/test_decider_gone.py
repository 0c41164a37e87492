"""Hosts that are gone: whose pairs come back, when, and how often that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.events import TargetState
from ezpath.names import HostName, PairId, Tenant, VlanId
from ezpath.saga import Phase, Saga
from ezpath.saga.plan import sides_of
from ezpath_decider.gone import AGAIN_S, SILENT_S, Gone
from ezpath_decider.underway import LISTED, counts

H21 = HostName("h21")


def told(state: str = "unreachable", target: str = "host:h21", reason: str = "no route") -> TargetState:
    return TargetState(target, state, 0.0, 0.0, reason)  # type: ignore[arg-type]


@pytest.fixture
def saga(inventory) -> Saga:
    """red-1 on h11 with red-3 on h21, active."""
    pair = PairId("red.red-1.red-3")
    sides = sides_of(inventory.pair_by_id(pair), (VlanId(100), VlanId(100)), inventory)
    return Saga(pair, Tenant("red"), 1, Phase.ACTIVE, "active", 7, 0.0, 0.0, float("inf"), sides=sides)


def test_a_host_is_gone_when_it_was_unreachable_for_long_enough(saga):
    gone = Gone(after_s=5)
    gone.hear(told(), 100)
    assert (gone.hosts(104.9), list(gone.to_revert([saga], 104.9))) == (frozenset(), [])
    gone.hear(told(reason="still no route"), 105)
    assert gone.hosts(105) == {H21}
    assert list(gone.to_revert([saga], 105)) == [(saga, "host h21 is gone: still no route")]


def test_one_that_was_back_in_between_begins_anew(saga):
    gone = Gone(after_s=5)
    gone.hear(told(), 100)
    gone.hear(told("in-sync"), 103)
    gone.hear(told(), 104)
    assert gone.hosts(106) == frozenset()
    assert gone.hosts(109) == {H21}


@pytest.mark.parametrize("state", ["starting", "in-sync", "differs", "standby"])
def test_only_who_cannot_be_reached_is_gone(state):
    gone = Gone(after_s=0)
    gone.hear(told(state), 100)
    gone.hear(told(target="switch:tor1"), 100)
    assert gone.hosts(101) == frozenset()


def test_a_writer_that_falls_silent_says_nothing(saga):
    gone = Gone(after_s=5)
    gone.hear(told(), 100)
    assert gone.hosts(100 + SILENT_S) == {H21}
    assert gone.hosts(100 + SILENT_S + 0.1) == frozenset()


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ACTIVE])
def test_only_active_pairs_are_brought_back(saga, phase):
    gone = Gone(after_s=0)
    gone.hear(told(), 100)
    assert list(gone.to_revert([replace(saga, phase=phase)], 100)) == []


def test_pairs_of_other_hosts_stay(saga):
    gone = Gone(after_s=0)
    gone.hear(told(target="host:h12"), 100)
    assert list(gone.to_revert([saga], 100)) == []


def test_it_is_asked_for_once_and_again_if_nobody_took_it_up(saga):
    gone = Gone(after_s=0)
    for now in range(100, 100 + int(3 * AGAIN_S)):
        gone.hear(told(), now)
        assert len(list(gone.to_revert([saga], now))) == (1 if (now - 100) % AGAIN_S == 0 else 0)


def test_sagas_are_counted_and_the_slowest_are_told(saga):
    moving = [
        replace(
            saga,
            pair=PairId(f"red.a.b{n}"),
            phase=Phase.HOST_SEND_OFF,
            entered_at=float(n),
            waiting=frozenset({"host:h21"}),
        )
        for n in range(LISTED + 5)
    ]
    ended = replace(saga, phase=Phase.REVERTED)
    told = counts([saga, ended, *reversed(moving)])
    assert (told.active, told.under_way, len(told.longest)) == (1, LISTED + 5, LISTED)
    assert (told.longest[0].pair, told.longest[0].waiting) == ("red.a.b0", ("host:h21",))
