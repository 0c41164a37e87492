"""What `value` is compared with: an oracle that knows the future, and policies that know little.

Pure. All are strategies as any other, run by the same engine under the same budgets; only the oracle gets to see more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from ezpath_decider.book import Book
from ezpath_decider.budgets import Budgets, Room
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import F32, F64, U64, Indices, Mask
from ezpath_decider.series import Series
from ezpath_decider.sim.traffic import Second
from ezpath_decider.strategies.value import bill, considered
from ezpath_decider.strategy import Selection, Strategy, fill, highest

_SCRAMBLE = np.uint64(0x9E3779B97F4A7C15)
RELUCTANCE = (0.0, 0.5, 2.0, 1e6)
"""Sets that an oracle looks at: a flow that is in counts so much more there. With the last, nobody is put out."""
PASSES = 2
IN_FIRST = np.float32(1e12)
"""Above every score: who is in stays."""


@dataclass(slots=True, eq=False)
class Future:
    """What flows will send, for so many intervals ahead, by row of the series."""

    series: Series
    intervals: int
    total: F64 = field(default_factory=lambda: np.zeros(0))
    """Packets of each flow in all those intervals."""
    _ahead: deque[tuple[Indices, F32]] = field(default_factory=deque)

    def look(self, ahead: Sequence[Second], now: float) -> None:
        """An interval has passed; ``ahead`` are those that follow, the next one first."""
        if self._ahead:
            rows, packets = self._ahead.popleft()
            self.total[rows] -= packets
        for number in range(len(self._ahead), self.intervals):
            second = ahead[number]
            rows = self.series.rows_of(second.flows, now)
            self._grow()
            self.total[rows] += second.packets
            self._ahead.append((rows, second.packets))

    def of(self, count: int, later: float) -> tuple[F64, F64]:
        """Packets of the first ``count`` rows for flows that are there, and for those that come after ``later``
        intervals."""
        self._grow()
        now = np.maximum(self.total[:count], 0)
        then = now.copy()
        for number, (rows, packets) in enumerate(self._ahead):
            missed = min(1.0, later - number)
            if missed <= 0:
                break
            then[rows] -= packets * missed
        return now, np.maximum(then, 0)

    def _grow(self) -> None:
        more = self.series.rows.count - len(self.total)
        if more > 0:
            self.total = np.concatenate([self.total, np.zeros(more)])


@dataclass(frozen=True, slots=True, eq=False)
class Oracle:
    """The most packets over the intervals to come, by what flows *will* send.

    Several sets are made, by packets an entry, each with another reluctance to change; the one that will carry the most
    counts. What a flow that is not there yet sends until it has come, and another's entries are free, is not carried.
    """

    future: Future
    later: float
    """Intervals that an exchange takes."""

    def __call__(self, candidates: Candidates, budgets: Budgets, current: Mask, /) -> Selection:
        staying, coming = self.future.of(len(candidates), self.later)
        worth = np.where(current, staying, coming).astype(np.float32) * candidates.importance
        inside = np.flatnonzero(current & candidates.may)
        others = np.flatnonzero(~current & candidates.may & (worth > 0))
        rows = np.append(inside, highest(candidates, worth, others, considered(budgets.entries)))
        wanted = np.zeros(len(candidates), np.bool_)
        wanted[rows] = worth[rows] > 0
        needed, best, most = candidates.entries(rows), None, -1.0
        for reluctance in RELUCTANCE:
            boost = np.where(current[rows], np.float32(1 + reluctance), np.float32(1))
            chosen = current
            for _ in range(PASSES):
                score = np.zeros(len(candidates), np.float32)
                score[rows] = worth[rows] * boost / bill(needed, chosen[rows], len(candidates.book))
                selection = fill(candidates, budgets, score, wanted=wanted)
                chosen, carried = selection.chosen, float(worth[selection.chosen].sum(dtype=np.float64))
                if carried > most:
                    best, most = selection, carried
        assert best is not None
        return best


def ideal(second: Second, book: Book, budgets: Budgets) -> tuple[float, float]:
    """Packets and octets that the best set for this one interval carries, if it could be there in no time.

    More than any policy can reach, but for what is lost by choosing flow after flow: it may change all of it each time.
    """
    worth, needed = second.packets, book.entries(second.flows)
    chosen, best = np.zeros(len(worth), np.bool_), (0.0, 0.0)
    for _ in range(PASSES + 1):
        order = np.argsort(-worth / bill(needed, chosen, len(book)), kind="stable")
        taken, _ = Room(book, budgets).fit(second.flows[order])
        chosen = np.zeros(len(worth), np.bool_)
        chosen[order[taken]] = True
        carried = float(worth[chosen].sum(dtype=np.float64))
        if carried > best[0]:
            best = carried, float(second.octets[chosen].sum(dtype=np.float64))
    return best


def random_choice(candidates: Candidates, budgets: Budgets, current: Mask) -> Selection:
    """Any flows that send, in no order; they stay as long as they send."""
    scrambled = ((candidates.flow * _SCRAMBLE) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return fill(candidates, budgets, scrambled + IN_FIRST * _sends(candidates, current), wanted=_sends(candidates))


def first_come(candidates: Candidates, budgets: Budgets, current: Mask) -> Selection:
    """Who has sent for the longest time; stays as long as it sends."""
    age = candidates.age_s.astype(np.float32)
    return fill(candidates, budgets, age + IN_FIRST * _sends(candidates, current), wanted=_sends(candidates))


def static_topk(after_s: float) -> Strategy:
    """The busiest flows of the first ``after_s`` seconds, for ever."""
    kept: U64 | None = None

    def strategy(candidates: Candidates, budgets: Budgets, current: Mask, /) -> Selection:
        nonlocal kept
        score = candidates.packets_mean
        if candidates.now - candidates.series.began_at < after_s:
            return fill(candidates, budgets, score, wanted=np.zeros(len(candidates), np.bool_))
        if kept is None:
            selection = fill(candidates, budgets, score, wanted=candidates.packets_s > 0)
            kept = candidates.flow[selection.chosen]
        return fill(candidates, budgets, score, wanted=np.isin(candidates.flow, kept))

    return strategy


def plain_threshold(enter_packets_s: float) -> Strategy:
    """In above a level, out below it. Nobody is put out for somebody better."""

    def strategy(candidates: Candidates, budgets: Budgets, current: Mask, /) -> Selection:
        loud = candidates.packets_s >= enter_packets_s
        return fill(candidates, budgets, candidates.packets_s + IN_FIRST * current, wanted=loud)

    return strategy


def _sends(candidates: Candidates, among: Mask | None = None) -> Mask:
    """Flows with traffic in any of the rounds remembered."""
    sends = candidates.series.rows.packet_history[: len(candidates)].any(axis=1)
    return cast(Mask, sends if among is None else sends & among)


NAIVE: dict[str, Callable[..., Selection]] = {"random": random_choice, "first-come": first_come}
