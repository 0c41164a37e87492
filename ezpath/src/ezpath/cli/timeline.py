"""The life of one offload, put together from what was said about it: each step, how long it took, and who did it. Pure.

Steps and outcomes are by the decider's clock, answers by NATS's: a difference between them is a difference of clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ezpath.cli.lines import duration
from ezpath.cli.seen import Seen
from ezpath.events import (
    HostCommand,
    OffloadRequested,
    OutcomeName,
    PhaseName,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)

AT_REST: tuple[PhaseName, ...] = ("active", "reverted", "rolled-back")


@dataclass(slots=True)
class Part:
    """What one target was asked for a step, and what came of it."""

    target: str
    asked: str = ""
    """``put 2``, ``remove 1``; empty where the command was not found."""
    asked_at: float | None = None
    answered_at: float | None = None
    took_ms: float | None = None
    """By the target's writer, from reading the command to its confirmation."""
    ok: bool | None = None
    """None: no answer (yet)."""
    reason: str = ""


@dataclass(slots=True)
class Stage:
    """One phase of the saga, or asking for it once more."""

    phase: PhaseName
    at: float
    generation: int
    reason: str = ""
    again: bool = False
    """The same phase was asked for anew: of those who had not confirmed."""
    took_ms: float | None = None
    """Until the next one; None for the last."""
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wanted the pair moved."""

    what: Literal["offload", "revert"]
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    outcome: OutcomeName
    at: float
    took_ms: float
    reason: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of one saga, oldest first."""

    saga: str
    pair: str
    asked: tuple[Asked, ...]
    stages: tuple[Stage, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Everybody who had to do with it."""
        return tuple(dict.fromkeys(part.target for stage in self.stages for part in stage.parts))


def newest_of(pair: str, seen: Iterable[Seen]) -> str | None:
    """The saga of ``pair`` that was heard of last."""
    found = None
    for each in seen:
        if isinstance(each.event, SagaStep | SagaOutcome) and each.event.pair == pair:
            found = each.event.saga
    return found


def of_saga(saga: str, seen: Sequence[Seen]) -> Timeline | None:
    """What ``seen`` (in the order of the stream) says of it; None where it says nothing."""
    events = [each for each in seen if getattr(each.event, "saga", None) == saga]
    steps = [each.event for each in events if isinstance(each.event, SagaStep)]
    outcomes = [each.event for each in events if isinstance(each.event, SagaOutcome)]
    if not steps and not outcomes:
        return None
    stages = _stages(steps)
    for each in events:
        _note(stages, each)
    # What was published twice, after a crash, was said once.
    told = tuple(dict.fromkeys(Outcome(each.outcome, each.at, each.took_ms, each.reason) for each in outcomes))
    pair = (steps or outcomes)[0].pair
    return Timeline(saga, pair, tuple(dict.fromkeys(_asked(pair, stages, seen))), tuple(stages), told)


def ways(stages: Sequence[Stage]) -> list[list[Stage]]:
    """There, and back: a rest ends a way."""
    found: list[list[Stage]] = [[]]
    for stage in stages:
        found[-1].append(stage)
        if stage.phase in AT_REST:
            found.append([])
    return [way for way in found if way]


def verdict(timeline: Timeline) -> str:
    """What became of it, in words."""
    if not timeline.outcomes:
        return f"in {timeline.stages[-1].phase}, no outcome yet"
    return ", then ".join(
        f"{each.outcome} after {duration(each.took_ms)}" + (f" ({each.reason})" if each.outcome != "active" else "")
        for each in timeline.outcomes
    )


def _stages(steps: Sequence[SagaStep]) -> list[Stage]:
    """A step that was published twice, after a crash, is one: its generation is its own."""
    stages: list[Stage] = []
    seen: set[tuple[str, int, float]] = set()
    for step in steps:
        key = (step.phase, step.generation, step.at)
        if key in seen:
            continue
        seen.add(key)
        again = bool(stages) and stages[-1].phase == step.phase
        stage = Stage(step.phase, step.at, step.generation, step.reason, again)
        stage.parts = [Part(target) for target in step.targets]
        if stages:
            stages[-1].took_ms = max(0.0, step.at - stages[-1].at) * 1000
        stages.append(stage)
    return stages


def _note(stages: Iterable[Stage], seen: Seen) -> None:
    """A command or a report, with the stage that it belongs to."""
    event = seen.event
    if not isinstance(event, SwitchCommand | HostCommand | StepReport):
        return
    stage = next((each for each in stages if (each.generation, each.phase) == (event.generation, event.phase)), None)
    if stage is None:
        return
    target = _target(event)
    part = next((each for each in stage.parts if each.target == target), None)
    if part is None:
        part = Part(target)
        stage.parts.append(part)
    if isinstance(event, StepReport):
        if part.ok is not True:  # the first good word counts: later ones are repetitions
            part.answered_at, part.ok, part.reason, part.took_ms = seen.at, event.ok, event.reason, event.took_ms
    elif part.asked_at is None:
        part.asked_at, part.asked = seen.at, _what(event)


def _target(event: SwitchCommand | HostCommand | StepReport) -> str:
    match event:
        case SwitchCommand():
            return f"switch:{event.switch}"
        case HostCommand():
            return f"host:{event.host}"
        case StepReport():
            return event.target


def _what(event: SwitchCommand | HostCommand) -> str:
    counts = (("put", event.put), ("remove", event.remove))
    return ", ".join(f"{verb} {len(items)}" for verb, items in counts if items) or "nothing"


def _asked(pair: str, stages: Sequence[Stage], seen: Iterable[Seen]) -> Iterable[Asked]:
    """The last request before the saga began, and those for its end while it lasted."""
    if not stages:
        return
    began, ended = stages[0].at, stages[-1].at
    before: Asked | None = None
    later: list[Asked] = []
    for each in seen:
        event = each.event
        if not isinstance(event, OffloadRequested | RevertRequested) or event.pair != pair:
            continue
        if isinstance(event, OffloadRequested):
            if event.at <= began:
                before = Asked("offload", event.at, event.reason)
        elif began <= event.at <= ended:
            later.append(Asked("revert", event.at, event.reason))
    yield from ([before] if before else [])
    yield from later
