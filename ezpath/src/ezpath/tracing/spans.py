"""Which spans an event is worth. Pure.

Trace and span ids are derived from what an event is about, none is drawn: the decider, its successor and every writer
give one offload the same trace, and a span its parent, without a word to each other. What is said twice, after a
crash, is the same span.

    offload red.red-1.red-3            from the request to the moment the saga begins; the root
    ├── decision                       who asked, and why
    ├── switch-receive                 a phase, until all have confirmed it or one could not
    │   └── switch:tor1                a writer, from reading the command to its report
    │       └── P4Runtime tor1         the switch itself: written, and read back
    ├── …                              there and, perhaps hours later, back
    └── outcome                        active, reverted or rolled back; as long as the way there, or back, took

A saga leaves ``requested`` exactly once, however it ends and whoever leads then: so each trace has its root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ezpath.events import JsonEvent, SagaOutcome, SagaStep, StepReport

Attribute = str | float | int | bool | tuple[str, ...]
FORWARD = ("switch-receive", "switch-send", "host-receive", "host-send")
WAITING = "waiting:"
"""Begins the reason of a step that says only who is waited for."""
STALE = "stale"
"""Begins the reason of a report on a command that a newer one overtook: nothing is wrong, and nobody was asked."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A switch or host was asked itself, and answered. Unix times, seconds."""

    began_at: float
    ended_at: float
    together: int
    """So many commands went in one batch."""


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work of one service. Unix times, seconds."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    began_at: float
    ended_at: float
    kind: Literal["internal", "consumer", "client"] = "internal"
    error: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def trace_id(saga: str) -> str:
    """32 hexadecimal digits."""
    return hashlib.sha256(saga.encode()).hexdigest()[:32]


def span_id(saga: str, *of: object) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256("/".join(map(str, (saga, *of))).encode()).hexdigest()[:16]


def spans_of(event: JsonEvent, now: float, exchange: Exchange | None = None) -> Iterator[Span]:
    """What is over now that ``event`` is said. ``exchange``: with the switch or host that a report is about."""
    match event:
        case SagaStep():
            yield from _of_step(event)
        case SagaOutcome():
            yield _of_outcome(event)
        case StepReport():
            yield from _of_report(event, now, exchange)


def _of_step(step: SagaStep) -> Iterator[Span]:
    began_at, root = step.at - step.took_ms / 1e3, span_id(step.saga, "requested")
    about = _about(step)
    if step.phase != step.previous:
        if step.previous == "active":
            return  # at rest: nobody worked
        turned_back = step.previous in FORWARD and step.phase not in (*FORWARD, "active")
        is_root = step.previous == "requested"
        yield Span(
            trace_id(step.saga),
            span_id(step.saga, step.previous),
            None if is_root else root,
            f"offload {step.pair}" if is_root else step.previous,
            began_at,
            step.at,
            error=step.reason if turned_back or (step.phase == "rolled-back" and is_root) else "",
            attributes={**about, "ezpath.phase": step.previous, "ezpath.next": step.phase},
        )
    elif not step.reason.startswith(WAITING):
        # The same phase: the saga was granted its turn, or its commands were asked again.
        granted = step.phase == "requested"
        yield Span(
            trace_id(step.saga),
            span_id(step.saga, step.phase, step.generation, "decision" if granted else "again"),
            root if granted else span_id(step.saga, step.phase),
            "decision" if granted else f"{step.phase}, asked again",
            began_at,
            step.at,
            attributes={**about, "ezpath.reason": step.reason},
        )


def _of_outcome(outcome: SagaOutcome) -> Span:
    return Span(
        trace_id(outcome.saga),
        span_id(outcome.saga, "outcome", outcome.outcome),
        span_id(outcome.saga, "requested"),
        f"outcome: {outcome.outcome}",
        outcome.at - outcome.took_ms / 1e3,
        outcome.at,
        error=outcome.reason if outcome.outcome == "rolled-back" else "",
        attributes={**_about(outcome), "ezpath.outcome": outcome.outcome, "ezpath.reason": outcome.reason},
    )


def _of_report(report: StepReport, now: float, exchange: Exchange | None) -> Iterator[Span]:
    ours = (report.phase, report.generation, report.target)
    stale = report.reason.startswith(STALE)
    error = "" if report.ok or stale else report.reason
    began_at = now - report.took_ms / 1e3
    about = {**_about(report), "ezpath.phase": report.phase, "ezpath.target": report.target}
    yield Span(
        trace_id(report.saga),
        span_id(report.saga, *ours),
        span_id(report.saga, report.phase),
        report.target,
        min(began_at, exchange.began_at) if exchange else began_at,
        now,
        "consumer",
        error,
        {**about, "ezpath.generation": report.generation, "ezpath.answer": report.reason or "confirmed"},
    )
    if exchange is not None and not stale:
        kind, _, name = report.target.partition(":")
        yield Span(
            trace_id(report.saga),
            span_id(report.saga, *ours, "exchange"),
            span_id(report.saga, *ours),
            f"{'P4Runtime' if kind == 'switch' else 'Open vSwitch'} {name}",
            exchange.began_at,
            exchange.ended_at,
            "client",
            error,
            {**about, "ezpath.answer": report.reason or "confirmed", "ezpath.commands": exchange.together},
        )


def _about(event: SagaStep | SagaOutcome | StepReport) -> dict[str, Attribute]:
    return {"ezpath.saga": event.saga, "ezpath.pair": event.pair, "ezpath.tenant": event.pair.partition(".")[0]}
