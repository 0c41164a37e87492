"""Which spans an event is worth: ids that nobody draws, one root, errors where something failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.bus import Saying
from ezpath.bus.trace import headers, traceparent
from ezpath.events import FlowsSnapshot, SagaOutcome, SagaStep, StepReport
from ezpath.names import PairId, Tenant
from ezpath.tracing import CannotTrace, Exchange, export, spans_of, tracer
from ezpath.tracing.spans import span_id, trace_id

PAIR = PairId("red.a.b")
SAGA = f"{PAIR}.4"


def step(phase: str, previous: str, reason: str = "", generation: int = 7) -> SagaStep:
    return SagaStep(SAGA, PAIR, Tenant("red"), generation, phase, previous, 100.0, 500.0, (), reason)  # type: ignore[arg-type]


REPORT = StepReport(SAGA, PAIR, 7, "switch-send", "switch:tor1", True, "", 20.0)


def test_who_leaves_requested_tells_the_root_and_whoever_leads_tells_the_same():
    [root] = spans_of(step("switch-receive", "requested"), 0.0)
    [again] = spans_of(step("switch-receive", "requested", generation=9), 5.0)
    assert root.parent_id is None and (root.name, root.began_at, root.ended_at) == ("offload red.a.b", 99.5, 100.0)
    assert (again.trace_id, again.span_id) == (root.trace_id, root.span_id)
    [phase] = spans_of(step("switch-send", "switch-receive"), 0.0)
    assert (phase.name, phase.parent_id, phase.trace_id) == ("switch-receive", root.span_id, root.trace_id)
    # and whoever listens on NATS from outside hangs on the same root
    assert traceparent(SAGA) == f"00-{root.trace_id}-{root.span_id}-01"
    assert headers("7", None) == {"Nats-Msg-Id": "7"}


def test_a_report_hangs_on_its_phase_and_what_the_switch_said_on_the_report():
    exchange = Exchange(99.99, 99.995, 3)
    writer, target = spans_of(REPORT, 100.0, exchange)
    assert writer.parent_id == span_id(SAGA, "switch-send") and target.parent_id == writer.span_id
    assert (writer.began_at, writer.ended_at, writer.kind) == (99.98, 100.0, "consumer")
    assert (target.name, target.kind, target.attributes["ezpath.commands"]) == ("P4Runtime tor1", "client", 3)
    # another attempt, and another target, are other spans
    others = (replace(REPORT, generation=8), replace(REPORT, target="switch:tor2"))
    assert len({writer.span_id, *(next(spans_of(other, 100.0)).span_id for other in others)}) == 3


def test_what_failed_is_marked_and_what_was_overtaken_is_not():
    failed = replace(REPORT, ok=False, reason="RESOURCE_EXHAUSTED: full")
    assert [span.error for span in spans_of(failed, 100.0, Exchange(99.0, 100.0, 1))] == [failed.reason] * 2
    overtaken = replace(REPORT, ok=False, reason="stale: generation 7, where 8 has spoken")
    [span] = spans_of(overtaken, 100.0, Exchange(99.0, 100.0, 1))
    assert not span.error
    [span] = spans_of(step("switch-off", "switch-send", "switch:tor1: full"), 0.0)
    assert (span.name, span.error) == ("switch-send", "switch:tor1: full")
    [span] = spans_of(step("switch-off", "host-receive-off"), 0.0)
    assert not span.error


@pytest.mark.parametrize(("outcome", "error"), [("active", ""), ("reverted", ""), ("rolled-back", "full")])
def test_an_outcome_is_as_long_as_the_way_to_it(outcome: str, error: str):
    told = SagaOutcome(SAGA, PAIR, Tenant("red"), outcome, 100.0, 2000.0, error)  # type: ignore[arg-type]
    [span] = spans_of(told, 100.0)
    assert (span.name, span.began_at, span.error) == (f"outcome: {outcome}", 98.0, error)
    assert span.parent_id == span_id(SAGA, "requested") and span.trace_id == trace_id(SAGA)


def test_a_refusal_marks_the_root_for_there_is_nothing_else():
    [root] = spans_of(step("rolled-back", "requested", "no VLAN id is free on host h11"), 0.0)
    assert (root.parent_id, root.error) == (None, "no VLAN id is free on host h11")


def test_asking_again_is_told_waiting_is_not_and_rest_is_not():
    [again] = spans_of(step("host-send", "host-send", "resumed"), 0.0)
    assert (again.name, again.parent_id) == ("host-send, asked again", span_id(SAGA, "host-send"))
    assert not list(spans_of(step("switch-off", "switch-off", "waiting: no answer from switch:tor1"), 0.0))
    assert not list(spans_of(step("host-send-off", "active", "idle"), 0.0))
    assert not list(spans_of(FlowsSnapshot(1.0), 0.0))


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://collector", "http://"])
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(CannotTrace, match=r"--traces .*: is no address of a collector. Give one such as http"):
        tracer(url, "decider", "m-1", "0.1.0")


def test_a_receiver_that_is_away_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "CLOSE_S", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    traces = tracer("http://127.0.0.1:9", "decider", "m-1", "0.1.0")
    traces.said([Saying(REPORT)] * 5000)
    traces.close()
