"""The effects of several transitions, carried out as if they were those of one.

Pure. Under load many inputs wait; each record and each document is then written once, as the last of them left it.
What has to be written before what stays as it is (``effects.py``). docs/SAGA.md says why nobody can tell the difference
from single transitions whose commands took a little longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ezpath.names import PairId
from ezpath.saga.effects import Effects, Keep, Said, Want
from ezpath.saga.model import Saga
from ezpath.saga.plan import Target


@dataclass(slots=True)
class Batch:
    """Fill it with :meth:`add`, then carry out ``records``, ``documents``, ``said``, ``told``, in this order."""

    _sagas: dict[PairId, Saga] = field(default_factory=dict)
    _wants: dict[Target, Want] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)

    def fits(self, effects: Effects) -> bool:
        """Whether they may be added: no saga goes on whose outcome is still to be told.

        Its record is all that remembers the outcome, should the decider die before it has told it (I5).
        """
        moved = (self._sagas.get(effect.saga.pair) for effect in effects if isinstance(effect, Keep))
        return not any(saga is not None and saga.told for saga in moved)

    def add(self, effects: Effects) -> None:
        """Those of the next transition. They must fit."""
        for effect in effects:
            match effect:
                case Keep():
                    self._sagas[effect.saga.pair] = effect.saga
                case Want():
                    self._wants[effect.target] = effect.after(self._wants.get(effect.target))
                case _:
                    self.said.append(effect)

    @property
    def records(self) -> tuple[Saga, ...]:
        """Those that hold something first: one that ended may have left an item to another, and that must be known."""
        return tuple(map(_untold, sorted(self._sagas.values(), key=lambda saga: saga.ended)))

    @property
    def documents(self) -> tuple[Want, ...]:
        return tuple(self._wants.values())

    @property
    def told(self) -> tuple[Saga, ...]:
        """Records that say that the outcome is on the bus."""
        return tuple(saga for saga in self._sagas.values() if saga.told)

    @property
    def effects(self) -> Effects:
        """All of it, as a single transition would have it."""
        return (*map(Keep, self.records), *self.documents, *self.said, *map(Keep, self.told))


def batches(turns: Iterable[Effects]) -> Iterable[Batch]:
    """The effects of ``turns``, in as few batches as may be."""
    batch = Batch()
    for effects in turns:
        if not batch.fits(effects):
            yield batch
            batch = Batch()
        batch.add(effects)
    yield batch


def _untold(saga: Saga) -> Saga:
    return replace(saga, told=False) if saga.told else saga
