"""Which command is the newest word on an item: a late or repeated one must change nothing (invariant I4).

Pure. Generations are numbers that only grow, given out by the decider for all commands together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

Key = Hashable


class Generations:
    """The newest generation carried out, item by item.

    ``floor`` is the generation of a whole desired state that was adopted at once: about every item, it is the word
    of that generation, whether the item is in it or not.
    """

    def __init__(self, floor: int = 0) -> None:
        self._floor = floor
        self._newest: dict[Key, int] = {}

    @property
    def newest(self) -> int:
        """The newest generation heard of, about any item."""
        return max(self._newest.values(), default=self._floor)

    def of(self, key: Key) -> int:
        """The generation whose word on ``key`` stands; 0 where there was none."""
        return max(self._newest.get(key, 0), self._floor)

    def is_stale(self, key: Key, generation: int) -> bool:
        """A newer generation has spoken about ``key``. The same one again is a repetition, and is not stale."""
        return generation < self.of(key)

    def record(self, keys: Iterable[Key], generation: int) -> None:
        """``generation`` is carried out (or was tried) on ``keys``. Older ones than known leave things as they are."""
        for key in keys:
            if not self.is_stale(key, generation):
                self._newest[key] = generation

    def adopt(self, floor: int) -> None:
        """A whole desired state of generation ``floor`` is carried out. What is newer than it stands."""
        if floor < self._floor:
            return
        self._floor = floor
        self._newest = {key: known for key, known in self._newest.items() if known > floor}
