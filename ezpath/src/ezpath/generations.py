"""Which command is the newest word on an item: a late or repeated one must change nothing (invariant I4).

Pure. Generations are numbers that only grow, given out by the decider for all commands together.
"""

from __future__ import annotations

from collections.abc import Hashable


class Generations:
    """The newest generation that spoke about each item, and the ``floor``.

    The floor is the generation of a whole desired state that was adopted at once: it speaks about every item, whether
    the item is in it or not.
    """

    def __init__(self, floor: int = 0) -> None:
        self._floor = floor
        self._spoken: dict[Hashable, int] = {}

    @property
    def floor(self) -> int:
        return self._floor

    @property
    def newest(self) -> int:
        """The newest generation heard of, about whatever item."""
        return max(self._spoken.values(), default=self._floor)

    def of(self, key: Hashable) -> int:
        """The generation whose word on ``key`` stands; 0 where there was none."""
        return self._spoken.get(key, self._floor)

    def is_stale(self, key: Hashable, generation: int, *, agrees: bool = False) -> bool:
        """A newer generation has spoken about ``key``. The same one again is a repetition, and is not stale.

        ``agrees`` says that what is asked for is so already: then nothing has to change, and whoever asked may know
        it is done. Two pairs that share an item ask for the same thing, and only one of them is the newest.
        """
        return not agrees and generation < self.of(key)

    def record(self, key: Hashable, generation: int) -> None:
        """``generation`` has spoken about ``key``. One that is older than what is known changes nothing."""
        if generation >= self.of(key):
            self._spoken[key] = generation

    def adopt(self, floor: int) -> None:
        """A whole desired state of generation ``floor`` was adopted. What is newer stands."""
        if floor < self._floor:
            return
        self._floor = floor
        self._spoken = {key: spoken for key, spoken in self._spoken.items() if spoken > floor}
