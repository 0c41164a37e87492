"""The plug-in interface: what a strategy is given, what it returns, and the one helper that most of them end in.

Pure. A strategy is a function ``(candidates, budgets, current, *, settings...) -> Selection``. It is found by its name
in the entry point group ``ezpath.strategies`` (``loading.py``); ``docs/STRATEGIES.md`` says how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ezpath_decider.budgets import Budgets, Room
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import U8, Indices, Mask

Floats = npt.NDArray[np.floating[Any]]
NO_ROOM = ("no room in a table", "no room in a ToR's budget", "over the tenant's quota")
"""Why a flow that was wanted is not in, in the order of the limits of :class:`~ezpath_decider.budgets.Room`."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The new set, and why: for each row the number of a reason."""

    chosen: Mask
    why: U8
    reasons: Sequence[str]
    """Texts with the names of columns in braces: ``{mbit_mean:.1f} Mbit/s``; see ``reasons.py`` for the columns."""
    score: Floats
    """What the strategy went by, the higher the better."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Further values for the reasons' braces: levels, prices."""
    no_room: Mask | None = None
    """Who was wanted and found no room: they are put out, if they are, for something better."""

    def because(self, rows: Mask, reason: str) -> Selection:
        """The same with another reason for ``rows``."""
        why = np.where(rows, np.uint8(len(self.reasons)), self.why)
        return replace(self, why=why, reasons=(*self.reasons, reason))


class StrategyError(ValueError):
    """A strategy cannot be used as it was asked for."""


class Strategy(Protocol):
    """Settings are keyword-only parameters with defaults; an operator sets them by name."""

    def __call__(self, candidates: Candidates, budgets: Budgets, current: Mask, /) -> Selection: ...


def fill(
    candidates: Candidates,
    budgets: Budgets,
    score: Floats,
    *,
    wanted: Mask | None = None,
    yes: str = "score {score:.3g}",
    no: str = "not wanted",
    numbers: Mapping[str, float] | None = None,
) -> Selection:
    """As many of ``wanted`` as there is room for, the highest ``score`` first. Most strategies end in this.

    Those that must stay are in before all others, then those that an operator wants always. ``yes`` and ``no`` are the
    reasons of who is wanted and who is not.
    """
    wanted = candidates.may & ((score > 0) if wanted is None else wanted) | candidates.must
    wanted |= candidates.may & candidates.always
    why = np.where(wanted, np.uint8(0), np.uint8(1))
    order = preference(candidates, score, np.flatnonzero(wanted))
    stay, go = order[candidates.must[order]], order[~candidates.must[order]]
    room = Room(candidates.book, budgets)
    room.hold(candidates.flow[stay])
    taken, refused = room.fit(candidates.flow[go])
    chosen = np.zeros(len(candidates), np.bool_)
    chosen[stay] = True
    chosen[go[taken]] = True
    out = ~taken
    why[go[out]] = 2 + refused[out]
    no_room = np.zeros(len(candidates), np.bool_)
    no_room[go[out]] = True
    return Selection(chosen, why, (yes, no, *NO_ROOM), score, numbers or {}, no_room)


def preference(candidates: Candidates, score: Floats, rows: Indices) -> Indices:
    """``rows`` in the order in which they are looked at."""
    order = highest_first(candidates, score, rows)
    always = candidates.always[order]
    return np.concatenate([order[always], order[~always]]) if always.any() else order


def highest_first(candidates: Candidates, score: Floats, rows: Indices) -> Indices:
    """``rows`` by ``score``. Of equal ones the smaller key goes first: how rows are numbered decides nothing."""
    order = rows[np.argsort(-score[rows])]
    if (score[order[1:]] == score[order[:-1]]).any():
        rows = rows[np.argsort(candidates.flow[rows], kind="stable")]
        order = rows[np.argsort(-score[rows], kind="stable")]
    return order


def highest(candidates: Candidates, score: Floats, rows: Indices, most: int) -> Indices:
    """At most so many of ``rows``, those of the highest ``score``; of equal ones those with smaller keys."""
    if len(rows) <= most:
        return rows
    if most <= 0:
        return rows[:0]
    least = np.partition(score[rows], -most)[-most]
    above, equal = rows[score[rows] > least], rows[score[rows] == least]
    return np.append(above, equal[np.argsort(candidates.flow[equal], kind="stable")][: most - len(above)])
