"""Which flows can matter to a strategy's decision: all others might as well not be there.

Pure. Where several deciders share the counting, only these are sent to the one that decides. For each strategy that
comes with EZPath the choice is exact: the decision is the same as if all were sent (``docs/decisions/0025``). Of a
strategy without an entry here everything is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Mask
from ezpath_decider.places import OVERLAY
from ezpath_decider.strategies.value import considered, expected
from ezpath_decider.strategy import Floats, highest

Matters = Callable[[Candidates, int, Mapping[str, Any]], Mask]
"""Of candidates, the entries that all tables have together, and the strategy's settings."""


def matters(strategy: str, candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    """Those of ``candidates`` that ``strategy`` has to see, what is on the switches and what must go there included."""
    choose = _CHOICES.get(strategy, _everything)
    chosen: Mask = choose(candidates, entries, settings) | (candidates.state != OVERLAY) | candidates.always
    return chosen


def _everything(candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    return np.ones(len(candidates), np.bool_)


def _pinned(candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    """What is listed, which :func:`matters` adds."""
    return np.zeros(len(candidates), np.bool_)


def _threshold(candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    """Nobody comes in from below the level."""
    loud: Mask = candidates.bits_s >= settings["enter_bps"]
    return loud


def _topk(candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    """Those above the floor; with ``most``, the first so many; and never more than the strategy looks at. Whoever is
    behind so many here is behind them everywhere."""
    score: Floats = candidates.packets_s if settings["per"] == "packets" else candidates.bits_s / 8
    above: Mask = candidates.may & (score > settings["floor"])
    most = int(settings["most"])
    if 0 < most < np.count_nonzero(above):
        above &= score >= np.partition(score[above], -most)[-most]
    others = np.flatnonzero(above & ~candidates.must)
    found = np.zeros(len(candidates), np.bool_)
    found[highest(candidates, score, others, considered(2 * entries))] = True
    return found


def _value(candidates: Candidates, entries: int, settings: Mapping[str, Any]) -> Mask:
    """It looks at so many newcomers; whoever is not among the first so many here is not among them anywhere."""
    rate = expected(candidates, settings["per"])
    newcomers = np.flatnonzero(~candidates.current & candidates.may & (rate >= settings["floor"]))
    found = np.zeros(len(candidates), np.bool_)
    found[highest(candidates, rate * candidates.importance, newcomers, considered(entries))] = True
    return found


_CHOICES: dict[str, Matters] = {"pinned": _pinned, "threshold": _threshold, "topk": _topk, "value": _value}
