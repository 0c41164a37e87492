"""`topk`: at each round the busiest flows of that round, as many as there is room for. Simple, and restless."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ezpath_decider.budgets import Budgets
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Mask
from ezpath_decider.strategies.value import considered
from ezpath_decider.strategy import Selection, fill, highest


def topk(
    candidates: Candidates,
    budgets: Budgets,
    current: Mask,
    *,
    per: Literal["packets", "bytes"] = "packets",
    most: int = 0,
    floor: float = 0.0,
) -> Selection:
    """The highest rate of the last round first, in packets or bytes (``per``) a second.

    ``floor``: only above so many; ``most``: at most so many flows, 0 for as many as fit.
    """
    score = candidates.packets_s if per == "packets" else candidates.bits_s / 8
    wanted = candidates.may & (score > floor)
    if 0 < most < np.count_nonzero(wanted):
        last = np.partition(score[wanted], -most)[-most]
        wanted &= score >= last
    # Nobody behind as many as there are entries has a chance: why put all in order?
    others = np.flatnonzero(wanted & ~candidates.must)
    wanted[others] = False
    wanted[highest(candidates, score, others, considered(2 * budgets.entries))] = True
    return fill(candidates, budgets, score, wanted=wanted, yes=f"{{score:.0f}} {per}/s", no=f"{{score:.0f}} {per}/s")
