"""What ought to be installed on one host, by the newest word on each item.

Pure. Commands and desired states go in; the set of items comes out. Late and repeated commands change nothing (I4).
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
        self._generations = Generations()

    @property
    def items(self) -> tuple[HostItem, ...]:
        return tuple(self._entries.values())

    def adopt(self, desired: Desired[HostItem]) -> bool:
        """Take over ``desired``, unless commands of newer generations were carried out. Says whether it did."""
        if desired.generation < self._generations.newest:
            return False
        self._entries = {item.key: item for item in desired.items}
        self._generations.adopt(desired.generation)
        return True

    def enter(self, commands: Iterable[HostCommand]) -> None:
        """Enter all that is not stale."""
        for command in commands:
            for item in command.put:
                if not self._is_stale(item, command.generation, wanted=True):
                    self._entries[item.key] = item
                    self._generations.record(item.key, command.generation)
            for item in command.remove:
                if not self._is_stale(item, command.generation, wanted=False):
                    if self._entries.get(item.key) == item:
                        del self._entries[item.key]
                    self._generations.record(item.key, command.generation)

    def staleness(self, command: HostCommand) -> str:
        """Why ``command``, which was entered, is overtaken: ``stale: …``; empty where it is the newest word."""
        for item, wanted in (*((item, True) for item in command.put), *((item, False) for item in command.remove)):
            if self._is_stale(item, command.generation, wanted=wanted):
                newer = self._generations.of(item.key)
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
            if self._entries.get(item.key) != item or self._generations.of(item.key) != command.generation:
                continue
            if item.key in snapshot:
                self._entries[item.key] = snapshot[item.key]
            else:
                del self._entries[item.key]

    def _is_stale(self, item: HostItem, generation: int, *, wanted: bool) -> bool:
        agrees = (self._entries.get(item.key) == item) is wanted
        return self._generations.is_stale(item.key, generation, agrees=agrees)


def _brief(item: HostItem) -> str:
    return " ".join(str(part) for part in item.key)
