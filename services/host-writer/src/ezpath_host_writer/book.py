"""What ought to be installed on one host, by the newest word on each item.

Pure. Commands and desired states go in; the set of items comes out. Late and repeated commands change nothing (I4).
Each shard of the deciders counts its own generations, and no two speak about the same item.
"""

from __future__ import annotations

from collections.abc import Iterable

from ezpath.desired import Desired
from ezpath.events import HostCommand
from ezpath.generations import Generations
from ezpath.items import HostItem

Entries = dict[tuple[object, ...], HostItem]


class Book:
    """One host's items."""

    def __init__(self, items: Iterable[HostItem] = ()) -> None:
        self._entries: Entries = {item.key: item for item in items}
        self._generations: dict[int, Generations] = {}
        self._shards: dict[tuple[object, ...], int] = {}
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
        others = {key: item for key, item in self._entries.items() if self._shards.get(key, shard) != shard}
        self._entries = others | {item.key: item for item in desired.items}
        self._shards |= {item.key: shard for item in desired.items}
        generations.adopt(desired.generation)
        return True

    def enter(self, commands: Iterable[HostCommand]) -> None:
        """Enter all that is not stale."""
        for command in commands:
            for item in command.put:
                if not self._is_stale(item, command, wanted=True):
                    self._entries[item.key] = item
                    self._note(item, command)
            for item in command.remove:
                if not self._is_stale(item, command, wanted=False):
                    if self._entries.get(item.key) == item:
                        del self._entries[item.key]
                    self._note(item, command)

    def staleness(self, command: HostCommand) -> str:
        """Why ``command``, which was entered, is overtaken: ``stale: …``; empty where it is the newest word."""
        for item, wanted in (*((item, True) for item in command.put), *((item, False) for item in command.remove)):
            if self._is_stale(item, command, wanted=wanted):
                newer = self._of(command.shard).of(item.key)
                return f"stale: generation {command.generation}, where {newer} has spoken about {_brief(item)}"
        return ""

    def snapshot(self) -> Entries:
        """The items, to go back to with :meth:`restore`."""
        return dict(self._entries)

    def restore(self, snapshot: Entries) -> None:
        """The items as they were; whose word was the newest stays known."""
        self._entries = dict(snapshot)

    def withdraw(self, command: HostCommand, snapshot: Entries) -> None:
        """``command`` failed: what it put is as it was in ``snapshot``; what it removed stays removed."""
        for item in command.put:
            newest = self._of(command.shard).of(item.key)
            if self._entries.get(item.key) != item or newest != command.generation:
                continue
            if item.key in snapshot:
                self._entries[item.key] = snapshot[item.key]
            else:
                del self._entries[item.key]

    def _is_stale(self, item: HostItem, command: HostCommand, *, wanted: bool) -> bool:
        agrees = (self._entries.get(item.key) == item) is wanted
        return self._of(command.shard).is_stale(item.key, command.generation, agrees=agrees)

    def _note(self, item: HostItem, command: HostCommand) -> None:
        self._of(command.shard).record(item.key, command.generation)
        self._shards[item.key] = command.shard

    def _of(self, shard: int) -> Generations:
        return self._generations.setdefault(shard, Generations())


def _brief(item: HostItem) -> str:
    return " ".join(str(part) for part in item.key)
