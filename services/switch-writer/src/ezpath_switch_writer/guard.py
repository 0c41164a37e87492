"""Late and repeated commands change nothing (I4). Pure.

Two memories: the newest generation carried out for each item's key, and what KV says ought to be there, which is
written before the commands that follow from it. A command that contradicts either, and is not newer, is stale.
Each shard of the deciders counts its own generations, and no two speak about one item: a guard for each.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from ezpath.desired import Desired, union
from ezpath.events import SwitchCommand
from ezpath.items import SwitchItem


@dataclass(frozen=True, slots=True)
class _Done:
    generation: int
    put: bool
    item: SwitchItem


@dataclass(slots=True)
class Guards:
    """One switch's memory of generations."""

    _by_shard: dict[int, Guard] = field(default_factory=dict)

    @property
    def spoken(self) -> bool:
        """Any shard has said what it wants."""
        return any(guard.desired is not None for guard in self._by_shard.values())

    @property
    def desired(self) -> Desired[SwitchItem] | None:
        """All that any shard wants there; None where none has said anything."""
        documents = [guard.desired for guard in self._by_shard.values() if guard.desired is not None]
        return union(documents) if documents else None

    def known(self) -> Desired[SwitchItem] | None:
        """The newest document of each shard, and what newer commands changed in it: for when KV cannot be asked.

        None where no document was ever seen.
        """
        known = [known for guard in self._by_shard.values() if (known := guard.known()) is not None]
        return union(known) if known else None

    def learn(self, shard: int, desired: Desired[SwitchItem]) -> bool:
        """Take note of a new document. True when generations count from anew: then all that was known is void."""
        return self._of(shard).learn(desired)

    def stale(self, command: SwitchCommand) -> str:
        """Why ``command`` must not be carried out any more; empty when it may."""
        return self._of(command.shard).stale(command)

    def record(self, command: SwitchCommand) -> None:
        """``command`` was carried out, or tried: nothing older touches its items from now on."""
        self._of(command.shard).record(command)

    def _of(self, shard: int) -> Guard:
        return self._by_shard.setdefault(shard, Guard())


@dataclass(slots=True)
class Guard:
    """What one shard said."""

    desired: Desired[SwitchItem] | None = None
    _done: dict[Hashable, _Done] = field(default_factory=dict)

    def learn(self, desired: Desired[SwitchItem]) -> bool:
        """Take note of a new document. True when generations count from anew: then all that was known is void."""
        anew = self.desired is not None and desired.generation < self.desired.generation
        if anew:
            self._done.clear()
        self.desired = desired
        return anew

    def known(self) -> Desired[SwitchItem] | None:
        """See :meth:`Guards.known`."""
        desired = self.desired
        if desired is None:
            return None
        items = {item.key: item for item in desired.items}
        newest = desired.generation
        for done in self._done.values():
            if done.generation <= desired.generation:
                continue
            newest = max(newest, done.generation)
            if done.put:
                items[done.item.key] = done.item
            elif items.get(done.item.key) == done.item:
                del items[done.item.key]
        return Desired(newest, frozenset(items.values()))

    def stale(self, command: SwitchCommand) -> str:
        """Why ``command`` must not be carried out any more; empty when it may."""
        for put, items in ((True, command.put), (False, command.remove)):
            for item in items:
                if reason := self._stale(command.generation, put, item):
                    return f"stale: {reason}"
        return ""

    def record(self, command: SwitchCommand) -> None:
        """``command`` was carried out, or tried: nothing older touches its items from now on."""
        for put, items in ((True, command.put), (False, command.remove)):
            for item in items:
                done = self._done.get(item.key)
                # An older command that agrees may be carried out; the newest word stays the newest.
                if done is None or command.generation >= done.generation:
                    self._done[item.key] = _Done(command.generation, put, item)

    def _stale(self, generation: int, put: bool, item: SwitchItem) -> str:
        done = self._done.get(item.key)
        if done is not None and generation < done.generation and not _agrees(put, item, done):
            return f"generation {generation} of {item} after generation {done.generation}"
        desired = self.desired
        if desired is not None and generation <= desired.generation and put != (item in desired.items):
            wanted = "not wanted" if put else "wanted"
            return f"generation {generation}, and {item} is {wanted} as of generation {desired.generation}"
        return ""


def _agrees(put: bool, item: SwitchItem, done: _Done) -> bool:
    """An older command that asks for what the newer one made true is no harm."""
    if put:
        return done.put and done.item == item
    return done.put != (done.item == item)
