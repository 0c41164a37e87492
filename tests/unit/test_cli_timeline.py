"""What `ezpath trace` makes of what was said, and what a capture's lines are: pure parts."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ezpath.catalogue import CHANNELS
from ezpath.cli.filters import Filter
from ezpath.cli.moments import Moment, duration_s, moment
from ezpath.cli.seen import Seen, from_line, line
from ezpath.cli.timeline import newest_of, of_saga
from ezpath.cli.trace import lines
from ezpath.cli.watching import NoEvent, Wanted, captured
from ezpath.events import DeadLetter, FlowSample, MalformedEvent, subject_of
from fuzz_events import EVENTS
from saga_story import PAIR, SAGA, events, sample

BEGAN = 1_800_000_000.0
STORY = [Seen(event, published_at=BEGAN + number) for number, event in enumerate(events(BEGAN))]


def timeline():
    found = of_saga(SAGA, STORY)
    assert found is not None
    return found


def test_every_step_says_how_long_it_took_and_who_did_it():
    found = timeline()
    assert [(stage.phase, stage.again) for stage in found.stages] == [
        ("requested", False),
        ("switch-receive", False),
        ("host-send", False),
        ("active", False),
        ("host-send-off", False),
        ("host-send-off", True),
        ("reverted", False),
    ]
    assert [round(stage.took_ms) for stage in found.stages[:-1]] == [5, 40, 15, 1000, 1000, 20]
    assert found.stages[-1].took_ms is None
    (part,) = found.stages[1].parts
    assert (part.target, part.asked, part.ok, part.took_ms) == ("switch:tor1", "put 1", True, 38.0)
    assert (found.stages[4].parts[0].ok, found.stages[5].parts[0].ok) == (None, True)
    assert [(asked.what, asked.reason) for asked in found.asked] == [("offload", "busy"), ("revert", "idle")]
    assert [outcome.outcome for outcome in found.outcomes] == ["active", "reverted"]
    assert found.targets == ("switch:tor1", "host:h11")


def test_steps_and_words_that_came_twice_are_shown_once():
    assert of_saga(SAGA, [each for each in STORY for _ in range(2)]) == timeline()


def test_a_report_of_another_generation_is_nobody_s():
    late = replace(next(each.event for each in STORY if each.event.type == "step-report"), generation=9, ok=False)
    assert of_saga(SAGA, [*STORY, Seen(late)]) == timeline()


def test_the_newest_saga_of_a_pair():
    newer = replace(STORY[1].event, saga=f"{PAIR}.2")
    assert newest_of(PAIR, STORY) == SAGA
    assert newest_of(PAIR, [*STORY, Seen(newer)]) == f"{PAIR}.2"
    assert newest_of("red.red-1.red-9", STORY) is None
    assert of_saga("red.red-1.red-3.9", STORY) is None


def test_each_way_has_bars_to_its_own_scale():
    shown = [text.plain for text in lines(timeline())]
    assert shown[0] == f"{SAGA}: active after 60 ms, then reverted after 1.0 s (idle)"
    by_phase = {text.split()[3]: text for text in shown[5:]}
    assert by_phase["switch-receive"].count("━") == 16  # 40 of 60 ms, of 24
    assert "switch:tor1 38 ms" in by_phase["switch-receive"]
    assert "━" not in by_phase["ACTIVE"]
    assert any("host-send-off, again" in text and "host:h11 9 ms" in text for text in shown)
    assert any("host:h11 (no answer)" in text for text in shown)


# ---- captures -------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_every_event_survives_a_capture(event):
    seen = Seen(event, subject_of(event), 7, 12.5)
    assert from_line(line(seen)) == seen
    assert json.loads(line(seen))["type"] == event.type


def test_a_sample_survives_a_capture_with_addresses_that_people_read():
    text = line(Seen(sample(), "ezpath.samples.tor1", None, 12.5))
    back = from_line(text)
    assert json.loads(text)["src"] == ["02:00:00:00:00:01"]
    assert isinstance(back.event, FlowSample) and back.event.drops == {"3": 2}
    for column in ("vni", "src", "dst", "packets", "bytes"):
        assert np.array_equal(getattr(back.event, column), getattr(sample(), column))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '"x"', '{"v":1}', '{"v":1,"type":"flow-sample"}', '{"type":"flow-sample","switch":"t","vni":[-1]}'],
)
def test_a_line_that_is_no_event_is_said_to_be_none(text):
    with pytest.raises(MalformedEvent):
        from_line(text)


def test_a_capture_is_filtered_and_what_is_no_event_in_it_is_named():
    text = [line(seen) for seen in STORY]
    everything = Wanted(Filter(), (), None)
    found = list(captured([*text, "rubbish", ""], everything))
    assert found[-1] == NoEvent(len(text) + 1, "not JSON: Expecting value: line 1 column 1 (char 0)")
    assert len(found) == len(text) + 1
    outcomes = Wanted(Filter(kinds=["saga-outcome"]), (), None)
    assert [seen.event.outcome for seen in captured(text, outcomes)] == ["active", "reverted"]
    assert len(list(captured(text, replace(everything, last=3)))) == 3
    # --since and --until are seen from the capture's last event, whatever it is
    last = max(seen.at for seen in STORY)
    active, reverted = (seen for seen in STORY if getattr(seen.event, "outcome", ""))
    back = Moment(ago_s=last - reverted.at)
    assert [seen.event for seen in captured(text, replace(outcomes, since=back))] == [reverted.event]
    before = replace(outcomes, until=Moment(at=active.at))
    assert [seen.event for seen in captured(text, before)] == [active.event]
    # and --last is of what lies between
    assert [seen.event for seen in captured(text, replace(before, last=1))] == [active.event]
    assert list(captured(text, replace(before, last=0))) == []


# ---- moments --------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("0.5d", 43200), ("10", None), ("", None)])
def test_a_duration(text, seconds):
    assert duration_s(text) == seconds


NIGHT = datetime(2026, 11, 28, 0, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("10m", "2026-11-28T00:20:00"),
        ("00:10+00:00", "2026-11-28T00:10:00"),
        ("03:10:05+00:00", "2026-11-27T03:10:05"),  # the last one that was
        ("2026-11-20T03:10Z", "2026-11-20T03:10:00"),
        ("2026-11-20T03:10:00.500+01:00", "2026-11-20T02:10:00.500000"),
    ],
)
def test_a_moment_is_so_long_ago_a_time_of_day_or_a_date(text, iso):
    found = moment(text).before(NIGHT)
    assert datetime.fromtimestamp(found, UTC).replace(tzinfo=None).isoformat() == iso


@pytest.mark.parametrize("text", ["yesterday", "10 m", "25:00", "2026-13-01", "-5m", ""])
def test_what_is_no_moment_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="is no moment: give how long ago, such as 90s"):
        moment(text)


def test_a_time_of_day_without_a_zone_is_local(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment("09:10").before(NIGHT) == NIGHT - 20 * 60
        assert moment("2026-11-28T09:00").before(0.0) == NIGHT - 30 * 60
    finally:
        monkeypatch.undo()
        time.tzset()


# ---- filters, kinds -------------------------------------------------------


def test_by_endpoint_saga_and_kind():
    outcome = STORY[9].event
    assert Filter(endpoints=["red-1"]).matches(outcome) and Filter(endpoints=["red.red-3"]).matches(outcome)
    assert not Filter(endpoints=["red-2"]).matches(outcome) and not Filter(endpoints=["blue.red-1"]).matches(outcome)
    assert Filter(sagas=[SAGA]).matches(outcome) and Filter(sagas=[PAIR]).matches(outcome)
    assert not Filter(sagas=[f"{PAIR}.2"]).matches(outcome)
    assert Filter(kinds=["saga-outcome"]).matches(outcome) and not Filter(kinds=["saga-step"]).matches(outcome)
    assert Filter(switches=["tor1"]).matches(sample()) and not Filter(switches=["tor2"]).matches(sample())
    assert not Filter(tenants=["red"]).matches(sample()), "a sample is nobody's"
    assert not Filter(sagas=[SAGA]).matches(DeadLetter("s", "ezpath.x", "r", "", 0, 0.0))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_the_catalogue_knows_where_every_event_is_published(event):
    subject = subject_of(event).split(".")
    fitting = [
        channel
        for channel in CHANNELS
        if channel.kind == event.type
        and len(tokens := channel.subject.split(".")) == len(subject)
        and all(token in ("*", given) for token, given in zip(tokens, subject, strict=True))
    ]
    assert len(fitting) == 1, subject
