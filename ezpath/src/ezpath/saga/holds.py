"""Who holds what: items that pairs share are counted, not owned.

Pure. Nothing of this is stored: it follows from the sagas' records (``phases.HOLDS``) and so cannot disagree with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ezpath.items import Item
from ezpath.names import PairId
from ezpath.saga.plan import Target
from ezpath.saga.pmap import PMap

Held = frozenset[tuple[Target, Item]]


@dataclass(frozen=True, slots=True)
class Holds:
    """An index over all sagas: target to item to the pairs that hold it."""

    by_target: PMap[Target, Mapping[Item, frozenset[PairId]]] = field(default_factory=PMap)

    def moved(self, pair: PairId, before: Held, after: Held) -> Holds:
        """``pair`` held ``before``, and now holds ``after``."""
        by_target = self.by_target
        for target in sorted({target for target, _ in before ^ after}):
            holders = dict(by_target.get(target, {}))
            for where, item in before - after:
                if where == target:
                    holders[item] = holders[item] - {pair}
                    if not holders[item]:
                        del holders[item]
            for where, item in after - before:
                if where == target:
                    holders[item] = holders.get(item, frozenset()) | {pair}
            by_target = by_target.put(target, holders)
        return self if by_target is self.by_target else Holds(by_target)

    def is_free(self, target: Target, item: Item, but_for: PairId) -> bool:
        """Nobody holds ``item``, but for one pair."""
        return not self._at(target).get(item, frozenset()) - {but_for}

    def items(self, target: Target) -> frozenset[Item]:
        """All that somebody holds on ``target``: what ought to be installed there."""
        return frozenset(self._at(target))

    def changed(self, before: Holds, among: Iterable[tuple[Target, Item]]) -> set[Target]:
        """The targets that ought to hold something else than they did ``before``, as far as ``among`` says it."""
        return {t for t, item in among if (item in self._at(t)) != (item in before._at(t))}

    def _at(self, target: Target) -> Mapping[Item, frozenset[PairId]]:
        return self.by_target.get(target, {})
