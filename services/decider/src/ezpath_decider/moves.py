"""From the set a strategy chose to the moves of this round, in an order that never asks for more than there is room.

Pure. Make before break: what is put out for something better stays until that has arrived, wherever the tables have
room for both; where they have not, it goes first and the better one follows when its entries are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ezpath_decider.budgets import Budgets, Room
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Indices, Mask
from ezpath_decider.places import ARRIVING, OVERLAY
from ezpath_decider.strategy import Selection, highest_first, preference


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Rows, in the order in which they are to be asked for: offloads first."""

    offload: Indices
    revert: Indices
    waiting: Mask
    """Chosen, and without room until what leaves has left."""


def plan(candidates: Candidates, selection: Selection, budgets: Budgets, most: int) -> Moves:
    """The moves towards ``selection``, at most ``most`` of each kind. ``budgets`` include the headroom."""
    chosen = selection.chosen
    wanted = preference(candidates, selection.score, np.flatnonzero(chosen & (candidates.state == OVERLAY)))
    room = Room(candidates.book, budgets)
    room.hold(candidates.flow[candidates.state != OVERLAY])
    fits, _ = room.fit(candidates.flow[wanted])
    offload = wanted[fits][:most]
    waiting = np.zeros(len(candidates), np.bool_)
    waiting[wanted[~fits]] = True
    revert = np.flatnonzero(candidates.current & ~chosen & ~candidates.must)
    evicted = selection.no_room[revert] if selection.no_room is not None else np.zeros(len(revert), np.bool_)
    arriving = candidates.state == ARRIVING
    arriving[offload] = True
    stays = evicted & _touch(candidates, revert, arriving) & ~_touch(candidates, revert, waiting)
    revert = revert[~stays]
    revert = highest_first(candidates, -selection.score, revert)[:most]
    return Moves(offload, revert, waiting)


def _touch(candidates: Candidates, rows: Indices, others: Mask) -> Mask:
    """Which of ``rows`` have a switch in common with any of ``others``."""
    switch = candidates.directory.switch
    marked = np.zeros(len(candidates.directory.switches), np.bool_)
    for end in candidates.ends:
        marked[switch[end[others]]] = True
    one, other = (switch[end[rows]] for end in candidates.ends)
    return marked[one] | marked[other]
