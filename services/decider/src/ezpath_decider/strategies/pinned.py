"""`pinned`: what the operator listed, and nothing else.

The lists themselves (always, allow, deny) hold for every strategy: ``pins.py`` makes them columns, which
:func:`~ezpath_decider.strategy.fill` respects and the engine sees to.
"""

from __future__ import annotations

import numpy as np

from ezpath_decider.budgets import Budgets
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Mask
from ezpath_decider.strategy import Selection, fill


def pinned(candidates: Candidates, budgets: Budgets, current: Mask) -> Selection:
    """The flows of the list ``always``, the busiest first; all others stay in the overlay."""
    return fill(
        candidates,
        budgets,
        candidates.bits_mean,
        wanted=np.zeros(len(candidates), np.bool_),
        yes="the operator wants it always on the switches",
        no="not on the operator's list of flows that are always on the switches",
    )
