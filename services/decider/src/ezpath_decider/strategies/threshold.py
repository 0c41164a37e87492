"""`threshold`: busy flows go to the switches, idle ones come back; between the two levels a flow stays where it is."""

from __future__ import annotations

import numpy as np

from ezpath_decider.budgets import Budgets
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import Mask
from ezpath_decider.series import HISTORY
from ezpath_decider.strategy import Selection, fill


def threshold(
    candidates: Candidates,
    budgets: Budgets,
    current: Mask,
    *,
    enter_bps: float = 5e6,
    enter_polls: int = 3,
    exit_bps: float = 1e6,
    idle_polls: int = 5,
    dwell_s: float = 0.0,
) -> Selection:
    """In at ``enter_bps`` held for ``enter_polls`` rounds, out below ``exit_bps`` for ``idle_polls`` since it came.

    Rates are bits per second of both directions. ``dwell_s``: at least so long on the switches. Nobody who is in is put
    out for somebody busier; of those who want in, the busiest go first.
    """
    if exit_bps > enter_bps:
        raise ValueError(f"exit_bps {exit_bps:g} is above enter_bps {enter_bps:g}: flows between would move for ever")
    if max(enter_polls, idle_polls) > HISTORY:
        raise ValueError(f"enter_polls and idle_polls are at most {HISTORY}: so many rounds are remembered")
    loud = np.flatnonzero(~current & (candidates.bits_s >= enter_bps))
    quiet = np.flatnonzero(current & (candidates.bits_s < exit_bps) & (candidates.since_s >= dwell_s))
    wanted = current.copy()
    wanted[loud[candidates.lasted(loud, enter_polls, enter_bps, above=True)]] = True
    idle = candidates.lasted(quiet, idle_polls, exit_bps, above=False)
    wanted[quiet[idle & (candidates.rounds_here(quiet) >= idle_polls)]] = False
    score = candidates.bits_s + np.where(current, np.float32(1e15), np.float32(0))
    enter, leave = f"{enter_bps / 1e6:g} for {enter_polls} polls", f"{exit_bps / 1e6:g} for {idle_polls} polls"
    levels = f"in from {enter} on, out below {leave}"
    selection = fill(
        candidates,
        budgets,
        score,
        wanted=wanted,
        yes=f"{{mbit_s:.2f}} Mbit/s: {levels}",
        no=f"{{mbit_s:.2f}} Mbit/s: {levels}",
    )
    busy = selection.because(selection.chosen & ~current, f"busy: {{mbit_s:.2f}} Mbit/s, at least {enter}")
    return busy.because(current & ~wanted, f"idle: {{mbit_s:.2f}} Mbit/s, below {leave}")
