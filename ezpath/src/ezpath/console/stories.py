"""The newest sagas, each as the timeline that `ezpath trace` shows. Pure.

Kept are the events of so many sagas, and of each so many: what a page shows does not grow with what happens.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ezpath.cli.seen import Seen
from ezpath.cli.timeline import AT_REST, Timeline, of_saga, verdict, ways
from ezpath.events import (
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)

MOST_SAGAS = 24
MOST_OF_ONE = 256
"""Events: one that waits for a host that is away is asked again and again."""
MOST_REQUESTS = 256

_OF_A_SAGA = SagaStep | SagaOutcome | SwitchCommand | HostCommand | StepReport


class Stories:
    """Changes with each event."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, deque[Seen]] = OrderedDict()
        """By saga, the one that moved last at the end."""
        self._requests: deque[Seen] = deque(maxlen=MOST_REQUESTS)
        self._made: dict[str, Mapping[str, Any]] = {}

    def hear(self, seen: Seen) -> bool:
        """Whether it tells of a saga."""
        event = seen.event
        if isinstance(event, OffloadRequested | RevertRequested):
            self._requests.append(seen)
            return False
        if not isinstance(event, _OF_A_SAGA):
            return False
        told = self._told.setdefault(event.saga, deque(maxlen=MOST_OF_ONE))
        told.append(seen)
        if isinstance(event, SagaStep | SagaOutcome):
            self._told.move_to_end(event.saga)
        self._made.pop(event.saga, None)
        while len(self._told) > MOST_SAGAS:
            gone, _ = self._told.popitem(last=False)
            self._made.pop(gone, None)
        return True

    def document(self) -> list[Mapping[str, Any]]:
        """The newest first."""
        return [made for saga in reversed(self._told) if (made := self._made.get(saga) or self._make(saga))]

    def _make(self, saga: str) -> Mapping[str, Any] | None:
        pair = saga.rpartition(".")[0]
        requests = [seen for seen in self._requests if getattr(seen.event, "pair", "") == pair]
        timeline = of_saga(saga, [*requests, *self._told[saga]])
        if timeline is None:
            return None
        self._made[saga] = made = _document(timeline)
        return made


def _document(timeline: Timeline) -> Mapping[str, Any]:
    newest = timeline.stages[-1] if timeline.stages else None
    return {
        "saga": timeline.saga,
        "pair": timeline.pair,
        "phase": newest.phase if newest else timeline.outcomes[-1].outcome,
        "rests": newest is None or newest.phase in AT_REST,
        "verdict": verdict(timeline),
        "asked": [asdict(asked) for asked in timeline.asked],
        "outcomes": [asdict(outcome) for outcome in timeline.outcomes],
        "ways": [[asdict(stage) | {"rests": stage.phase in AT_REST} for stage in way] for way in ways(timeline.stages)],
    }
