"""What ought to be installed on one host, by the newest word on each item.

Pure. Commands and desired states go in; the set of items comes out. Late and repeated commands change nothing (I4).
Each shard of the deciders counts its own generations, and no two speak about the same item.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ezpath.desired import Desired
from ezpath.events import HostCommand
from ezpath.generations import Generations
from ezpath.items import HostItem
from ezpath.saga.pmap import PMap

Entries = PMap[str, HostItem]
"""By the item's key, as text. One that was kept stays as it was, and what has changed since is found at once."""


class Book:
    """One host's items."""

    def __init__(self, items: Iterable[HostItem] = ()) -> None:
        self._entries = entries_of(items)
        self._generations: dict[int, Generations] = {}
        self._shards: dict[str, int] = {}
        """Whose an item is; what was found here and nobody has spoken about is in nobody's part."""

    @property
    def items(self) -> tuple[HostItem, ...]:
        return tuple(self._entries.values())

    def hear(self, desired: Desired[HostItem], shard: int = 0) -> bool:
        """Take over what ``shard`` wants if that says something new. Says whether it did.

        New is what is newer than any command of the shard's that was heard of: one was lost, or is still to come. A
        document older than the one adopted before is one of a world that began anew: all that was known is void.
        """
        if not self.is_news(desired, shard):
            return False
        if desired.generation < self._of(shard).floor:
            self._generations[shard] = Generations()
        return self.adopt(desired, shard)

    def is_news(self, desired: Desired[HostItem], shard: int = 0) -> bool:
        """Whether :meth:`hear` would take it over."""
        generations = self._of(shard)
        return not generations.floor <= desired.generation <= generations.newest

    def adopt(self, desired: Desired[HostItem], shard: int = 0) -> bool:
        """Take over what ``shard`` wants, unless newer commands of it were carried out. Says whether it did."""
        generations = self._of(shard)
        if desired.generation < generations.newest:
            return False
        entries, mine = self._entries, {name(item): item for item in desired.items}
        for key in list(entries):
            if key not in mine and self._shards.get(key, shard) == shard:
                entries = entries.without(key)
        for key, item in mine.items():
            if entries.get(key) != item:
                entries = entries.put(key, item)
        self._entries = entries
        self._shards |= dict.fromkeys(mine, shard)
        generations.adopt(desired.generation)
        return True

    def enter(self, commands: Iterable[HostCommand]) -> None:
        """Enter all that is not stale."""
        for command in commands:
            for item in command.put:
                if not self._is_stale(item, command, wanted=True):
                    self._entries = self._entries.put(name(item), item)
                    self._note(item, command)
            for item in command.remove:
                if not self._is_stale(item, command, wanted=False):
                    if self._entries.get(name(item)) == item:
                        self._entries = self._entries.without(name(item))
                    self._note(item, command)

    def staleness(self, command: HostCommand) -> str:
        """Why ``command``, which was entered, is overtaken: ``stale: …``; empty where it is the newest word."""
        for item, wanted in (*((item, True) for item in command.put), *((item, False) for item in command.remove)):
            if self._is_stale(item, command, wanted=wanted):
                newer = self._of(command.shard).of(item.key)
                return f"stale: generation {command.generation}, where {newer} has spoken about {name(item)}"
        return ""

    def snapshot(self) -> Entries:
        """The items, to go back to with :meth:`restore`."""
        return self._entries

    def restore(self, snapshot: Entries) -> None:
        """The items as they were; whose word was the newest stays known."""
        self._entries = snapshot

    def withdraw(self, command: HostCommand, snapshot: Entries) -> None:
        """``command`` failed: what it put is as it was in ``snapshot``; what it removed stays removed."""
        for item in command.put:
            key, newest = name(item), self._of(command.shard).of(item.key)
            if self._entries.get(key) != item or newest != command.generation:
                continue
            before = snapshot.get(key)
            self._entries = self._entries.without(key) if before is None else self._entries.put(key, before)

    def _is_stale(self, item: HostItem, command: HostCommand, *, wanted: bool) -> bool:
        agrees = (self._entries.get(name(item)) == item) is wanted
        return self._of(command.shard).is_stale(item.key, command.generation, agrees=agrees)

    def _note(self, item: HostItem, command: HostCommand) -> None:
        self._of(command.shard).record(item.key, command.generation)
        self._shards[name(item)] = command.shard

    def _of(self, shard: int) -> Generations:
        return self._generations.setdefault(shard, Generations())


def entries_of(items: Iterable[HostItem]) -> Entries:
    """These and no others."""
    return PMap((name(item), item) for item in items)


@lru_cache(maxsize=32768)
def name(item: HostItem) -> str:
    """Its key, as text."""
    return " ".join(map(str, item.key))
