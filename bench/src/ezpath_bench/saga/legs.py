"""Where the time of an offload goes: each leg of its way, by the times at which NATS stored what was said. Pure.

A *leg* is a wait for somebody: for the decider, from the request or a phase's last answer to the next command, and for
the writers, from a phase's first command to its last answer. Together they are the way from the request to the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ezpath.events import HostCommand, JsonEvent, OffloadRequested, SagaOutcome, StepReport, SwitchCommand
from ezpath.names import PairId

_PHASES = ("switch-receive", "switch-send", "host-receive", "host-send")
Legs = Mapping[str, list[float]]
"""Milliseconds, one for each offload that came to its end, by leg and in the order of the way."""


@dataclass(slots=True)
class _Way:
    asked: float | None = None
    commanded: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    ended: float | None = None

    def legs(self) -> Iterable[tuple[str, float]]:
        at = self.asked
        for phase in _PHASES:
            commanded, answered = self.commanded.get(phase), self.answered.get(phase)
            if at is None or commanded is None or answered is None:
                return
            yield f"decider, before {phase}", commanded - at
            yield f"writers, {phase}", answered - commanded
            at = answered
        if at is not None and self.ended is not None:
            yield "decider, before the outcome", self.ended - at


def legs_of(stored: Iterable[tuple[float, JsonEvent]]) -> Legs:
    """``stored``: each event with the time at which NATS had it. Offloads that are not whole in it are left out."""
    ways: dict[PairId, _Way] = {}
    for at, event in stored:
        match event:
            case OffloadRequested():
                ways[event.pair] = _Way(asked=at)
            case SwitchCommand() | HostCommand() if event.pair in ways:
                ways[event.pair].commanded.setdefault(event.phase, at)
            case StepReport() if event.pair in ways:
                ways[event.pair].answered[event.phase] = at
            case SagaOutcome() if event.pair in ways and event.outcome == "active":
                ways[event.pair].ended = at
    found: dict[str, list[float]] = {}
    for way in ways.values():
        legs = dict(way.legs())
        if len(legs) == 2 * len(_PHASES) + 1:
            for leg, seconds in legs.items():
                found.setdefault(leg, []).append(seconds * 1e3)
    return found
