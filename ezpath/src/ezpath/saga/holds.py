"""Who holds what: items that pairs share are counted, not owned.

Pure. Nothing of this is stored: it follows from the sagas' records (``phases.HOLDS``) and so cannot disagree with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from ezpath.desired import item_to_json
from ezpath.items import Item
from ezpath.names import PairId
from ezpath.saga.plan import Target
from ezpath.saga.pmap import PMap

Held = frozenset[tuple[Target, Item]]


@dataclass(frozen=True, slots=True)
class Holders:
    """The pairs that hold ``item``. A tenant's tag may be held by thousands."""

    item: Item
    pairs: PMap[PairId, None] = field(default_factory=PMap)


AtTarget = PMap[str, Holders]
"""By the item's name: what it is in JSON (:func:`~ezpath.desired.item_to_json`)."""
_NOTHING: AtTarget = PMap()
_NO_KEYS: PMap[str, Item] = PMap()
_NO_PAIRS: PMap[PairId, None] = PMap()


@dataclass(frozen=True, slots=True)
class Holds:
    """An index over all sagas: target to item to the pairs that hold it."""

    by_target: PMap[Target, AtTarget] = field(default_factory=PMap)
    by_key: PMap[Target, PMap[str, Item]] = field(default_factory=PMap)
    """The item of each key. There is one at most, for nobody is to hold another (:meth:`in_the_way`)."""

    def moved(self, pair: PairId, before: Held, after: Held) -> Holds:
        """``pair`` held ``before``, and now holds ``after``."""
        by_target, by_key = self.by_target, self.by_key
        for target, item in before - after:
            here, (name, key) = by_target[target], _texts(item)
            pairs = here[name].pairs.without(pair)
            if not pairs and by_key[target].get(key) == item:
                by_key = by_key.put(target, by_key[target].without(key))
            by_target = by_target.put(target, here.put(name, Holders(item, pairs)) if pairs else here.without(name))
        for target, item in after - before:
            here, (name, key) = by_target.get(target, _NOTHING), _texts(item)
            held = here.get(name)
            if held is None:
                by_key = by_key.put(target, by_key.get(target, _NO_KEYS).put(key, item))
            pairs = (_NO_PAIRS if held is None else held.pairs).put(pair, None)
            by_target = by_target.put(target, here.put(name, Holders(item, pairs)))
        return self if by_target is self.by_target else Holds(by_target, by_key)

    def is_free(self, target: Target, item: Item, but_for: PairId) -> bool:
        """Nobody holds ``item``, but for one pair."""
        held = self._at(target).get(_texts(item)[0])
        return held is None or len(held.pairs) == (but_for in held.pairs)

    def in_the_way(self, needed: Iterable[tuple[Target, Item]]) -> tuple[Target, PairId] | None:
        """Where another pair holds an item that cannot stand beside one of ``needed``, and which pair that is."""
        for target, item in needed:
            other = self.by_key.get(target, _NO_KEYS).get(_texts(item)[1])
            if other is not None and other != item:
                return target, min(self._at(target)[_texts(other)[0]].pairs)
        return None

    def items(self, target: Target) -> frozenset[Item]:
        """All that somebody holds on ``target``: what ought to be installed there."""
        return frozenset(held.item for held in self._at(target).values())

    def names(self, target: Target) -> Collection[str]:
        """The same, each item as it is in JSON."""
        return self._at(target)

    def changed(self, before: Holds, among: Iterable[tuple[Target, Item]]) -> dict[Target, set[str]]:
        """What targets ought to hold and did not ``before``, or did and ought not to, as far as ``among`` says it."""
        changed: dict[Target, set[str]] = {}
        for target, item in among:
            name = _texts(item)[0]
            if (name in self._at(target)) != (name in before._at(target)):
                changed.setdefault(target, set()).add(name)
        return changed

    def _at(self, target: Target) -> AtTarget:
        return self.by_target.get(target, _NOTHING)


@lru_cache(maxsize=65536)
def _texts(item: Item) -> tuple[str, str]:
    """Its name and its key, as text: of thousands of pairs on one host most items are the same."""
    return item_to_json(item), " ".join(map(str, item.key))
