"""Interleaved rounds: each candidate once a round, in turn, so that a machine's moods hit all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Measured = TypeVar("_Measured")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some rounds."""

    median: float
    least: float
    greatest: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ValueError for no values."""
        if not values:
            raise ValueError("no rounds: nothing to take a median of")
        return cls(statistics.median(values), min(values), max(values), len(values))


def interleaved(candidates: Mapping[str, Callable[[], _Measured]], rounds: int) -> Iterator[tuple[int, str, _Measured]]:
    """(round, candidate, value) as they come. Every second round runs in the opposite order."""
    names = list(candidates)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name, candidates[name]()


def ratios(values: Mapping[str, Sequence[float]], base: str) -> dict[str, Spread]:
    """Each candidate against ``base``, round by round: only what was measured together is compared."""
    return {
        name: Spread.of([value / reference for value, reference in zip(series, values[base], strict=True)])
        for name, series in values.items()
    }
