"""When a run of chaos is a success, and when loss in outages is more than the outages explain."""

from __future__ import annotations

from dataclasses import replace

from ezpath_lab.chaos.accounts import EXCESS, REACTION_S, Outage, Report, Violation, by_kind, excess
from ezpath_lab.chaos.ledger import Account

IDLE = Outage("tor-empty", "tor1", down_s=1.5, seconds=2.0, lost=400, streams_rate=100.0)


def test_as_much_loss_as_idle_is_the_outages_own() -> None:
    assert excess([IDLE, IDLE], [IDLE, IDLE]) == ""


def test_loss_beyond_the_stated_tolerance_is_ezpaths() -> None:
    allowed = int(EXCESS * IDLE.lost + REACTION_S * IDLE.streams_rate)

    assert excess([replace(IDLE, lost=allowed)], [IDLE]) == ""
    reason = excess([replace(IDLE, lost=allowed + 1)], [IDLE])
    assert f"{allowed + 1} packets lost" in reason
    assert "400 idle" in reason


def test_an_outage_that_took_twice_as_long_may_lose_twice_as_much() -> None:
    slow = replace(IDLE, down_s=3.0, lost=int(EXCESS * 800))

    assert excess([slow], [IDLE]) == ""
    assert excess([replace(slow, lost=slow.lost + int(REACTION_S * 100) + 1)], [IDLE]) != ""


def test_outages_without_their_counterparts_are_no_proof() -> None:
    assert "nothing to compare" in excess([IDLE, IDLE], [IDLE])


def test_a_run_without_packets_or_rounds_has_not_passed() -> None:
    report = Report(seed=1, minutes=1.0)
    assert not report.passed

    report.rounds, report.packets = 1, Account(sent=1)
    assert report.passed

    report.violations.append(Violation(1, "packets lost", "3"))
    assert not report.passed
    assert report.as_json()["violations"] == ["round 1: packets lost: 3"]


def test_switch_overs_are_the_active_and_the_reverted() -> None:
    report = Report(seed=1, minutes=1.0, outcomes={"active": 3, "reverted": 2, "rolled-back": 7})

    assert report.switch_overs == 5


def test_outages_by_kind() -> None:
    ovs = Outage("ovs-restart", "h11", down_s=0.5, seconds=1.0, lost=10, streams_rate=50.0)

    assert by_kind([IDLE, ovs, replace(IDLE, seconds=4.0)]) == {
        "tor-empty": (2, 3.0, 800),
        "ovs-restart": (1, 1.0, 10),
    }
