"""What `ezpath status` and `ezpath diff` make of answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ezpath.answers import (
    MOST_LISTED,
    Changed,
    Gap,
    Installed,
    SagaUnderWay,
    ServiceStatus,
    from_document,
    to_document,
)
from ezpath.cli.differences import as_json, lines, status, verdict
from ezpath.cli.health import SERVICES, complete, judge
from ezpath.events import TargetState
from ezpath.names import PairId

TOR1 = TargetState("switch:tor1", "in-sync", 90.0, 100.0, compared_at=99.0, items=3)
H1 = TargetState("host:h1", "in-sync", 90.0, 100.0)
EXPECTED = frozenset({"switch:tor1", "host:h1"})


def service(name: str, *targets: TargetState, **more: object) -> ServiceStatus:
    return ServiceStatus(name, f"m-{name}", "0.1.0", 50.0, 100.0, True, targets, **more)  # type: ignore[arg-type]


def all_well() -> dict[str, ServiceStatus]:
    found = {name: service(name) for name in SERVICES}
    found["collector"] = service("collector", owns=("switch:tor1",))
    found["switch-writer"] = service("switch-writer", TOR1, owns=("switch:tor1",))
    found["host-writer"] = service("host-writer", H1)
    found["decider"] = service("decider", active=2)
    return found


def alarms(services: dict[str, ServiceStatus]) -> tuple[str, ...]:
    return judge(services.values(), EXPECTED, 100.0).alarms


def test_all_is_well():
    health = judge(all_well().values(), EXPECTED, 100.0)
    assert health.well and health.active == 2
    assert [state.target for state in health.targets] == ["switch:tor1", "host:h1"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_does_not_answer_is_named_with_what_it_would_have_written(name):
    services = all_well()
    lost = services.pop(name).targets
    assert alarms(services) == (
        f"{name}: no answer. See that ezpath-{name} runs",
        *(f"{state.target}: no writer answers for it" for state in lost),
    )
    assert not complete(services.values(), EXPECTED)


def test_everybody_has_answered():
    assert complete(all_well().values(), EXPECTED)
    assert not complete(all_well().values(), EXPECTED | {"host:h2"})


def test_a_switch_that_no_collector_polls_is_named():
    services = all_well()
    services["collector"] = service("collector")
    assert alarms(services) == ("switch:tor1: no collector polls it",)
    assert not complete(services.values(), EXPECTED)


def test_who_has_what_is_told_by_service():
    services = all_well()
    services["second"] = replace(service("collector"), instance="m-idle")
    health = judge(services.values(), EXPECTED, 100.0)
    assert health.owners == {"switch:tor1": {"collector": "m-collector", "switch-writer": "m-switch-writer"}}


def test_a_service_that_is_not_ready_is_named():
    services = all_well()
    services["decider"] = replace(services["decider"], ready=False)
    assert alarms(services) == ("decider m-decider: not ready for 50.0 s",)


@pytest.mark.parametrize("state", ["starting", "differs", "standby", "unreachable"])
def test_a_target_that_is_not_in_sync_is_named_with_the_reason_and_since_when(state):
    services = all_well()
    services["host-writer"] = service("host-writer", replace(H1, state=state, since=58.0, reason="no route"))
    assert alarms(services) == (f"host:h1: {state} for 42.0 s: no route",)


def test_of_two_writers_the_one_that_has_the_switch_is_believed():
    services = all_well()
    services["second"] = service("switch-writer", replace(TOR1, state="standby", reason="another is primary"))
    assert alarms(services) == ()


def test_a_saga_that_had_to_ask_again_is_named_and_one_under_way_is_not():
    services = all_well()
    waits = SagaUnderWay(PairId("red.a.b"), "host-send-off", 60.0, ("host:h2",), 4, "host h2 is gone")
    moves = SagaUnderWay(PairId("red.a.c"), "switch-send", 99.9, ("switch:tor1",))
    services["decider"] = service("decider", under_way=2, sagas=(moves, waits))
    health = judge(services.values(), EXPECTED, 100.0)
    assert health.alarms == ("red.a.b: waits in host-send-off for host:h2, 40.0 s (host h2 is gone)",)
    assert [saga.pair for saga in health.sagas] == ["red.a.b", "red.a.c"], "the slowest first"


SAME = Installed("host:h1", 100.0, 7, 2)
DIFFERS = replace(
    SAME, target="switch:tor1", missing=("tag 1",), surplus=("tag 2",), changed=(Changed("tag 3", "tag 4"),), left_out=9
)


def test_each_difference_is_a_line_switches_first():
    listed = list(lines({"host:h1": SAME, "switch:tor1": DIFFERS, "host:h2": None}, "silent"))
    assert [(line.target, line.kind, line.what) for line in listed] == [
        ("switch:tor1", "missing", "tag 1"),
        ("switch:tor1", "surplus", "tag 2"),
        ("switch:tor1", "changed", "tag 3; found: tag 4"),
        ("switch:tor1", "missing", "… and 9 more differences of all kinds"),
        ("host:h1", "same", "2 items, generation 7"),
        ("host:h2", "unknown", "silent"),
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (SAME, "same"),
        (DIFFERS, "differs"),
        (None, "unknown"),
        (replace(SAME, problem="away"), "unknown"),
        (replace(SAME, surplus=("x",)), "differs"),
    ],
)
def test_the_exit_status_is_0_only_where_all_are_known_and_the_same(answer, said):
    assert verdict(answer) == said
    assert status([SAME, answer]) == (said != "same")
    target = answer.target if answer else "host:h1"
    (line,) = as_json({target: answer}, "silent")
    assert (line["verdict"], line["target"]) == (said, target)


def test_where_there_is_nobody_nothing_was_compared_and_that_is_no_success():
    assert status([]) == 1
    assert status([SAME, SAME]) == 0


def test_where_nothing_is_known_it_says_so():
    (line,) = lines({"host:h1": replace(SAME, generation=None, items=0)}, "silent")
    assert line.what.startswith("nothing is known")


def test_an_answer_lists_no_more_than_can_be_told_and_counts_the_rest():
    gap = Gap(tuple(map(str, range(MOST_LISTED + 3))), ("s",) * (MOST_LISTED + 4), ())
    told = gap.told("switch:tor1", 1.0, 7, 2000)
    assert (len(told.missing), len(told.surplus), told.left_out) == (MOST_LISTED, MOST_LISTED, 7)
    assert len(json.dumps(to_document(told))) < 2**20


@pytest.mark.parametrize("answer", [SAME, DIFFERS, *all_well().values()])
def test_answers_survive_the_way(answer):
    assert from_document(json.loads(json.dumps(to_document(answer)))) == answer
