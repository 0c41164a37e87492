"""What the sagas' world says about flows, carried into the engine: who is where, and which tables were full.

Pure. Looks only at the sagas that changed since the last time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ezpath.names import PairId
from ezpath.saga import Phase, Saga
from ezpath.saga.phases import FORWARD
from ezpath.saga.pmap import PMap

from ezpath_decider.columns import I32
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Engine
from ezpath_decider.places import ARRIVING, LEAVING, ON_SWITCH, OVERLAY

ASKED_FOR_S = 5.0
"""A decision that no saga took up by then is forgotten, and may be made again."""


def state_of(saga: Saga | None) -> int:
    """Where a pair's frames go, as :mod:`ezpath_decider.places` has it."""
    if saga is None or saga.ended:
        return OVERLAY
    if saga.phase is Phase.ACTIVE:
        return ON_SWITCH
    return ARRIVING if saga.phase in FORWARD else LEAVING


def _changed(before: Mapping[PairId, Saga], now: Mapping[PairId, Saga]) -> set[PairId]:
    if isinstance(before, PMap) and isinstance(now, PMap):
        return now.changed_since(before)
    changed = {pair for pair, saga in now.items() if before.get(pair) is not saga}
    return changed | {pair for pair in before if pair not in now}


@dataclass(slots=True)
class Standing:
    """Keeps an engine's places as the sagas are."""

    engine: Engine
    _seen: Mapping[PairId, Saga] = field(default_factory=dict)
    _asked: dict[PairId, float] = field(default_factory=dict)

    def learn(self, sagas: Mapping[PairId, Saga], now: float) -> None:
        """Take over what changed."""
        changed = _changed(self._seen, sagas)
        late = {pair for pair, at in self._asked.items() if now - at > ASKED_FOR_S}
        for pair in changed | late:
            self._asked.pop(pair, None)
        self._seen = sagas
        refusals = [saga for pair in changed if (saga := sagas.get(pair)) and saga.phase is Phase.ROLLED_BACK]
        self._enter(changed, sagas, now)
        self._enter(late - changed, sagas, now, again=True)
        if refusals:
            held = self.engine.entries_held()
            for saga in refusals:
                self.engine.allowance.refused(saga.reason, held, saga.entered_at)

    def adopt(self, directory: Directory, numbers: I32) -> None:
        """Other endpoints; see :func:`~ezpath_decider.directory.succeed`.

        What the sagas say of those that are new is learnt anew, for they may have been here before.
        """
        known = self.engine.directory
        self.engine.adopt(directory, numbers)
        self._seen = {pair: saga for pair, saga in self._seen.items() if known.pair_key(pair) is not None}

    def asked(self, pair: PairId, what: Literal["offload", "revert"], now: float) -> None:
        """A decision is on its way: its saga will be seen soon."""
        self._asked[pair] = now
        key = self.engine.directory.pair_key(pair)
        if key is not None:
            state = ARRIVING if what == "offload" else LEAVING
            self.engine.places.enter(np.array([key], np.uint64), state, now, self.engine.series)

    def _enter(self, pairs: Iterable[PairId], sagas: Mapping[PairId, Saga], now: float, again: bool = False) -> None:
        """``again``: nothing happened to them, what was asked for has not been taken up."""
        groups: dict[tuple[int, bool], list[tuple[int, float]]] = {}
        for pair in pairs:
            saga, key = sagas.get(pair), self.engine.directory.pair_key(pair)
            if key is not None:
                failed = saga is not None and saga.phase is Phase.ROLLED_BACK and not again
                groups.setdefault((state_of(saga), failed), []).append((key, saga.entered_at if saga else now))
        for (state, failed), flows in groups.items():
            keys, times = (np.array(each) for each in zip(*flows, strict=True))
            self.engine.places.enter(keys.astype(np.uint64), state, times, self.engine.series, failed)
