"""What breaks when: the same for the same seed, and nothing left out."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from ezpath_lab.chaos.plan import KINDS, OUTAGES, PHASES, WEIGHTS, Fault, Kind, Rate, Round, Targets, rounds

TARGETS = Targets(("switch-writer", "host-writer", "decider", "collector"), ("tor1", "tor2"), ("h11", "h12"))


def _rounds(seed: int, count: int, kinds: tuple[Kind, ...] = KINDS, rate: Rate | None = None) -> list[Round]:
    return list(islice(rounds(seed, TARGETS, kinds, rate or Rate()), count))


def _faults(plan: list[Round]) -> list[Fault]:
    return [fault for round_ in plan for fault in (*round_.faults, *([round_.outage] if round_.outage else []))]


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert _rounds(7, 30) == _rounds(7, 30)
    assert _rounds(7, 30) != _rounds(8, 30)


def test_a_plan_does_not_depend_on_how_much_of_it_is_carried_out() -> None:
    assert _rounds(7, 10) == _rounds(7, 30)[:10]


def test_a_hundred_rounds_hold_a_thousand_faults_of_every_kind() -> None:
    # Given a hundred rounds
    faults = _faults(_rounds(7, 100))

    # Then there are faults enough, of every kind, as often as their weights say
    count = Counter(fault.kind for fault in faults)
    assert len(faults) >= 1000
    assert set(count) == set(KINDS)
    for kind, weight in WEIGHTS.items():
        assert count[kind] == pytest.approx(16 * weight, abs=16)


def test_each_service_is_killed_before_and_after_each_step() -> None:
    # Given as many kills as there are cards in the deck
    kills = [fault for fault in _faults(_rounds(3, 100)) if fault.kind == "kill"][: 4 * len(PHASES) * 2]

    # Then none came twice
    wanted = {
        (service, when, phase) for service in TARGETS.services for phase in PHASES for when in ("before", "after")
    }
    assert {(k.target, k.moment.when, k.moment.phase) for k in kills if k.moment} == wanted


def test_outages_come_alone_at_the_end_of_every_so_many_rounds() -> None:
    plan = _rounds(1, 12, rate=Rate(outage_every=3))

    assert [round_.number for round_ in plan if round_.outage] == [3, 6, 9, 12]
    assert not [fault for round_ in plan for fault in round_.faults if fault.kind in OUTAGES]


def test_only_the_kinds_that_were_asked_for_come() -> None:
    plan = _rounds(1, 6, kinds=("clock-jump", "tor-empty"))

    assert {fault.kind for fault in _faults(plan)} == {"clock-jump", "tor-empty"}
    assert all(len(round_.faults) == Rate().faults for round_ in plan)


def test_faults_of_a_round_fall_within_its_time_and_in_order() -> None:
    for round_ in _rounds(9, 20, rate=Rate(faults=8, seconds=4.0)):
        times = [fault.at_s for fault in round_.faults]
        assert times == sorted(times)
        assert all(0 <= at_s <= 4.0 for at_s in times)
    numbers = [fault.number for fault in _faults(_rounds(9, 20))]
    assert numbers == sorted(set(numbers))


def test_of_several_nats_servers_each_breaks_in_its_turn() -> None:
    # Given a cluster, and nothing that breaks but its servers
    targets = Targets(("decider",), ("tor1",), ("h11",), ("nats-1", "nats-2", "nats-3"))
    faults = _faults(list(islice(rounds(7, targets, ("bus-restart",), Rate(faults=3)), 4)))
    # Then before one breaks again, the others have
    targets_in_turn = [fault.target for fault in faults]
    assert all(set(targets_in_turn[n : n + 3]) == set(targets.servers) for n in range(0, 12, 3))
