"""What the decider says of its sagas when it is asked how it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest

from ezpath.answers import SagaCounts, SagaUnderWay
from ezpath.saga import Phase, Saga

LISTED = 50
"""Sagas in one answer: those that have been longest in their phase."""


def counts(sagas: Iterable[Saga]) -> SagaCounts:
    """All of them counted, and the slowest of those that are neither active nor at their end."""
    active, moving = 0, list[Saga]()
    for saga in sagas:
        if saga.phase is Phase.ACTIVE:
            active += 1
        elif not saga.ended:
            moving.append(saga)
    longest = nsmallest(LISTED, moving, key=lambda saga: saga.entered_at)
    return SagaCounts(active, len(moving), tuple(map(_told, longest)))


def _told(saga: Saga) -> SagaUnderWay:
    waiting = tuple(sorted(saga.waiting))
    return SagaUnderWay(saga.pair, saga.phase.value, saga.entered_at, waiting, saga.tries, saga.reason)
