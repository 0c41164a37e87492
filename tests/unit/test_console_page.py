"""The console's page as a value: what is heard goes in, what a browser is sent comes out. No bus, no browser."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import pytest
from console_rig import NETWORK, recording
from ezpath.answers import ServiceStatus
from ezpath.cli.health import judge
from ezpath.cli.seen import Seen
from ezpath.console.flows import HORIZON_S, MOST_FLOWS, MOST_POINTS
from ezpath.console.journal import MOST_LINES
from ezpath.console.listening import address_of
from ezpath.console.page import Cursor, Page
from ezpath.console.stories import MOST_SAGAS
from ezpath.console.tunnels import Leg, Place, legs
from ezpath.events import DeadLetter, FlowLine, FlowsSnapshot, OffloadRequested, SagaOutcome, SagaStep, TargetState
from ezpath.inventory import Inventory, load
from ezpath.names import PairId, Tenant

RED = Tenant("red")
PAIR = PairId("red.red-11.red-21")
SAGA = f"{PAIR}.1"
H11, H12, H21 = Place("h11", "tor1"), Place("h12", "tor1"), Place("h21", "tor2")


@pytest.fixture(scope="module")
def network() -> Inventory:
    return load(NETWORK)


@pytest.fixture
def page(network: Inventory) -> Page:
    return Page(network, "127.0.0.1:4222", 0.0)


def news(page: Page, cursor: Cursor) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in page.news(cursor)}


def flows(at: float, *lines: FlowLine) -> Seen:
    return Seen(FlowsSnapshot(at, lines))


def flow(where: str = "overlay", pair: str = PAIR, rate: float = 1e6, phase: str | None = None) -> FlowLine:
    _, a, b = pair.split(".")
    return FlowLine(PairId(pair), RED, a, b, rate, 100.0, where, phase)  # type: ignore[arg-type]


def step(phase: str, at: float, saga: str = SAGA) -> Seen:
    pair = PairId(saga.rpartition(".")[0])
    return Seen(SagaStep(saga, pair, RED, 1, phase, "requested", at, 1.0))  # type: ignore[arg-type]


def outcome(what: str, at: float) -> Seen:
    return Seen(SagaOutcome(SAGA, PAIR, RED, what, at, 60.0))  # type: ignore[arg-type]


# ---- where tunnels begin and end


def test_in_the_overlay_the_tunnel_goes_from_host_to_host() -> None:
    assert legs(H11, H21, "overlay", None) == (Leg("h11", "h21", "vxlan"),)


def test_on_the_switches_it_goes_from_tor_to_tor_and_hosts_only_tag() -> None:
    there = (Leg("h11", "tor1", "tag"), Leg("tor1", "tor2", "vxlan"), Leg("tor2", "h21", "tag"))
    assert legs(H11, H21, "switch", "active") == there


def test_within_one_rack_there_is_no_tunnel_and_within_one_host_not_even_a_tag() -> None:
    assert legs(H11, H12, "switch", "active") == (Leg("h11", "tor1", "tag"), Leg("tor1", "h12", "tag"))
    assert legs(H11, H11, "switch", "active") == (Leg("h11", "h11", "bridge"),)


@pytest.mark.parametrize(
    ("phase", "wrapping"),
    [("switch-receive", "vxlan"), ("host-receive", "vxlan"), ("host-send-off", "tag"), ("drain", "vxlan")],
)
def test_what_moves_is_drawn_where_frames_still_go(phase: str, wrapping: str) -> None:
    assert legs(H11, H21, "moving", phase)[0].wrapping == wrapping  # type: ignore[arg-type]


# ---- flows


def test_an_outcome_counts_at_once_and_until_the_next_snapshot(page: Page) -> None:
    cursor = Cursor()
    page.hear(flows(10.0, flow()))
    assert news(page, cursor)["flows"]["flows"][0]["legs"] == [{"start": "h11", "end": "h21", "wrapping": "vxlan"}]
    # When its saga moves, and comes to rest, then the page says so though no snapshot has
    page.hear(step("switch-receive", 10.2))
    assert news(page, cursor)["flows"]["flows"][0]["where"] == "moving"
    page.hear(outcome("active", 10.4))
    told = news(page, cursor)["flows"]
    assert (told["flows"][0]["where"], told["flows"][0]["legs"][1]["wrapping"]) == ("switch", "vxlan")
    assert (told["rates"]["switch"], told["counts"]["switch"]) == (1e6, 1)
    # And the next snapshot has the last word
    page.hear(flows(11.0, flow("overlay")))
    assert news(page, cursor)["flows"]["flows"][0]["where"] == "overlay"


def test_what_a_saga_said_before_the_snapshot_changes_nothing(page: Page) -> None:
    page.hear(flows(10.0, flow("switch")))
    page.hear(step("host-send-off", 9.0))
    assert news(page, Cursor())["flows"]["flows"][0]["where"] == "switch"


def test_a_pair_that_is_offloaded_without_traffic_is_shown_too(page: Page) -> None:
    page.hear(outcome("active", 10.0))
    (shown,) = news(page, Cursor())["flows"]["flows"]
    assert (shown["pair"], shown["rate_bps"], shown["where"]) == (PAIR, 0.0, "switch")


def test_a_pair_that_the_inventory_does_not_know_is_listed_and_not_drawn(page: Page) -> None:
    page.hear(flows(10.0, flow(pair="red.who.what")))
    (shown,) = news(page, Cursor())["flows"]["flows"]
    assert (shown["places"], shown["legs"]) == ([], [])


def test_decisions_are_marks_of_a_flow_and_said_twice_they_are_one(page: Page) -> None:
    decided = Seen(OffloadRequested(PAIR, RED, "busy", 1e6, 9.9))
    for seen in (decided, decided, outcome("rolled-back", 10.4)):
        page.hear(seen)
    marks = news(page, Cursor())["marks"][PAIR]
    assert [(mark["at"], mark["what"]) for mark in marks] == [(9.9, "offload"), (10.4, "rolled-back")]


def test_who_comes_later_gets_the_past_as_far_as_plots_go_back(page: Page) -> None:
    for second in range(int(HORIZON_S) + 100):
        page.hear(flows(float(second), flow("switch" if second > 300 else "overlay", rate=second)))
    points = news(page, Cursor())["points"][PAIR]
    assert len(points) <= MOST_POINTS
    assert points[0][0] >= 100 - 1 and points[-1] == [699.0, 699, 2]


def test_a_slow_browser_s_plots_have_no_gaps(page: Page) -> None:
    slow = Cursor()
    page.hear(flows(1.0, flow(rate=1.0)))
    assert news(page, slow)["points"] == {PAIR: [[1.0, 1, 0]]}
    for second in range(2, 6):
        page.hear(flows(float(second), flow(rate=second)))
    assert [at for at, _, _ in news(page, slow)["points"][PAIR]] == [2.0, 3.0, 4.0, 5.0]
    # and of a flow that is new it gets what there is
    page.hear(flows(6.0, flow(rate=6), flow(pair="red.red-12.red-22")))
    assert {pair: len(points) for pair, points in news(page, slow)["points"].items()} == {
        PAIR: 1,
        "red.red-12.red-22": 1,
    }


def test_the_busiest_are_told_and_how_many_are_not(page: Page) -> None:
    many = [flow(pair=f"red.a{number}.b", rate=float(number)) for number in range(MOST_FLOWS + 7)]
    page.hear(flows(1.0, *many))
    told = news(page, Cursor())["flows"]
    assert (len(told["flows"]), told["left_out"]) == (MOST_FLOWS, 7)
    assert told["flows"][0]["pair"] == f"red.a{MOST_FLOWS + 6}.b"
    assert told["rates"]["total"] == sum(line.rate_bps for line in many)


# ---- what a browser is sent


def test_a_browser_is_sent_what_changed_and_nothing_twice(page: Page) -> None:
    cursor = Cursor()
    assert {"bus", "network", "flows"} <= set(news(page, cursor))
    assert not page.has_news(cursor) and news(page, cursor) == {}
    page.hear(flows(1.0, flow()))
    assert page.has_news(cursor) and set(news(page, cursor)) == {"flows", "points"}
    assert page.connected(True, 2.0) and not page.connected(True, 3.0)
    assert news(page, cursor)["bus"] == {"server": "127.0.0.1:4222", "connected": True, "since": 2.0}


def test_a_slow_browser_is_told_how_much_it_missed_and_costs_nothing_meanwhile(page: Page) -> None:
    slow = Cursor()
    page.hear(step("requested", 1.0))
    news(page, slow)
    for number in range(10 * MOST_LINES):
        page.hear(Seen(DeadLetter("decider", "ezpath.x", "no JSON", "", 0, float(number))))
        page.hear(flows(float(number), flow()))
    told = news(page, slow)
    assert len(told["journal"]["lines"]) == MOST_LINES and told["journal"]["passed_over"] == 9 * MOST_LINES
    assert told["flows"]["at"] == 10 * MOST_LINES - 1
    # who has only just come has missed nothing
    assert news(page, Cursor())["journal"]["passed_over"] == 0


def test_what_is_kept_does_not_grow_with_what_happens(page: Page) -> None:
    for number in range(2 * MOST_SAGAS):
        for second in range(300):
            page.hear(step("host-send-off", float(second), f"red.a{number}.b.1"))
    told = news(page, Cursor())["sagas"]
    assert len(told) == MOST_SAGAS and told[0]["pair"] == f"red.a{2 * MOST_SAGAS - 1}.b"
    assert sum(len(way) for saga in told for way in saga["ways"]) <= 256 * MOST_SAGAS


def test_no_password_of_nats_is_told() -> None:
    assert address_of("nats://ezpath:secret@10.0.0.5:4223") == "10.0.0.5:4223"
    assert address_of("nats://token@nats") == "nats:4222"


# ---- switches, hosts, services


def test_what_writers_repeat_is_one_line_and_the_newest_state(page: Page) -> None:
    for at, state in ((1.0, "in-sync"), (2.0, "in-sync"), (3.0, "unreachable")):
        page.hear(Seen(TargetState("switch:tor1", state, at, at, "gone" if state == "unreachable" else "")))  # type: ignore[arg-type]
    told = news(page, Cursor())
    assert [line["what"] for line in told["journal"]["lines"]] == ["switch:tor1 in-sync", "switch:tor1 unreachable"]
    states = {each["target"]: (each["state"], each["reason"]) for each in told["targets"]}
    assert states["switch:tor1"] == ("unreachable", "gone")
    assert states["host:h11"] == ("unknown", "no writer has told of it yet")


def test_alarms_are_those_of_ezpath_status(page: Page) -> None:
    health = judge([ServiceStatus("decider", "one", "0.1.0", 1.0, 2.0, True, active=3)], ["switch:tor1"], 2.0)
    page.judged(health)
    told = news(page, Cursor())["health"]
    assert tuple(told["alarms"]) == health.alarms and told["active"] == 3
    assert told["services"] == [{"service": "decider", "instance": "one", "version": "0.1.0", "ready": True}]


# ---- the recorded main job


def test_the_lab_s_main_job_as_it_was_recorded(page: Page) -> None:
    for seen in recording():
        page.hear(seen)
    told = news(page, Cursor())
    # Four sagas, the newest first: three went there and came back, one found the table full
    verdicts = {saga["pair"]: saga["verdict"] for saga in told["sagas"]}
    assert set(verdicts) == {PAIR, "blue.blue-11.blue-21", "red.red-11.red-12", "red.red-12.red-22"}
    assert "active after 1.1 s, then reverted" in verdicts[PAIR]
    assert "RESOURCE_EXHAUSTED" in verdicts["red.red-12.red-22"]
    there, back = next(saga["ways"] for saga in told["sagas"] if saga["pair"] == PAIR)
    assert [stage["phase"] for stage in there][1:5] == ["switch-receive", "switch-send", "host-receive", "host-send"]
    assert back[-1]["phase"] == "reverted" and all(part["ok"] for stage in back for part in stage["parts"])
    # Its plot has all that was decided of it, and what came of that
    assert [mark["what"] for mark in told["marks"][PAIR]] == ["offload", "active", "revert", "reverted"]
    carried = [place for place, _ in groupby(point[2] for point in told["points"][PAIR])]
    assert carried == [0, 1, 2, 1, 0]  # by the hosts, moving, by the switches, and back
    # And nothing is on the switches any more
    assert told["flows"]["counts"]["switch"] == 0
