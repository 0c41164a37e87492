"""How many sagas are on their way forward, and who is next of those that wait until there is room.

Pure. More at once than can be answered within a step's deadline would all be undone, and none ever arrive. Only the
way forward is counted: a saga on its way back may wait for a host for ever, and is to keep nobody else.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal

from ezpath.names import PairId

UNDER_WAY: Literal["under way"] = "under way"
Turn = tuple[float, float, PairId]
"""Its place among those that wait: the smallest is next."""
Stands = Turn | Literal["under way"] | None


@dataclass(frozen=True, slots=True)
class Crowd:
    """An index over all sagas."""

    under_way: int = 0
    waiting: tuple[Turn, ...] = ()

    def moved(self, before: Stands, after: Stands) -> Crowd:
        """A saga stood at ``before``, and now stands at ``after``."""
        if before == after:
            return self
        under_way = self.under_way + (after == UNDER_WAY) - (before == UNDER_WAY)
        waiting = self.waiting
        if isinstance(before, tuple):
            place = bisect_left(waiting, before)
            waiting = (*waiting[:place], *waiting[place + 1 :])
        if isinstance(after, tuple):
            listed = list(waiting)
            insort(listed, after)
            waiting = tuple(listed)
        return Crowd(under_way, waiting)

    def next(self, most: int) -> PairId | None:
        """Whose turn it is, if there is room for one more."""
        return self.waiting[0][-1] if self.waiting and self.under_way < most else None
