"""`value`: the most benefit an entry. Entries that flows share are shared in the bill, and minds change slowly."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ezpath_decider.book import NONE, Numbers
from ezpath_decider.budgets import Budgets
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import F32, Mask, blocks
from ezpath_decider.series import HISTORY
from ezpath_decider.strategy import Selection, fill, highest

DOUBT = np.float32(3)
"""How many times its own uncertainty (the variance of the mean of the last rounds) news has to outdo to count half."""
ROUNDS = np.float32(HISTORY)
TINY = np.float32(1e-9)
CONSIDERED = 0.3
"""Newcomers looked at, as part of the entries of all tables together. A flow needs four to six of its own."""
LEAST_CONSIDERED = 4096
PASSES = 2
"""The second one knows who else came in, and shares the bill with them …"""
SETTLED = 0.02
"""… and is left out where no larger part of the set has changed."""


def value(
    candidates: Candidates,
    budgets: Budgets,
    current: Mask,
    *,
    per: Literal["packets", "bytes"] = "packets",
    stickiness: float = 0.7,
    floor: float = 1.0,
) -> Selection:
    """Packets or bytes (``per``) a second × importance ÷ entries on both ToRs, the highest first.

    ``stickiness``: a flow that is in counts so much more (0.7: 1.7 times), so that nobody is put out for a little.
    ``floor``: what comes in sends at least so much a second; what is in stays while it sends half of that.
    """
    rate = expected(candidates, per)
    benefit = rate * candidates.importance
    inside = np.flatnonzero(current & candidates.may)
    newcomers = np.flatnonzero(~current & candidates.may & (rate >= floor))
    others = highest(candidates, benefit, newcomers, considered(budgets.entries))
    rows, boost = np.append(inside, others), np.ones(len(inside) + len(others), np.float32)
    boost[: len(inside)] += np.float32(stickiness)
    wanted = np.zeros(len(candidates), np.bool_)
    wanted[others] = True
    wanted[inside] = rate[inside] >= floor / 2
    needed, chosen = candidates.entries(rows), current
    for _ in range(PASSES):
        billed = chosen
        score = np.zeros(len(candidates), np.float32)
        score[rows] = benefit[rows] * boost / bill(needed, chosen[rows], len(candidates.book))
        selection = fill(
            candidates,
            budgets,
            score,
            wanted=wanted,
            yes=f"worth {{score:.3g}} {per}/s an entry",
            no=f"{{packets_mean:.1f}} packets/s, {{mbit_mean:.2f}} Mbit/s: in from {{floor:g}} {per}/s on, if not too "
            "many are better",
            numbers={"floor": floor},
        )
        chosen = selection.chosen
        if np.count_nonzero(chosen != billed) <= SETTLED * np.count_nonzero(chosen):
            break
    return selection


def expected(candidates: Candidates, per: str) -> F32:
    """The rate to expect of each flow: its long mean, or that of the last rounds where they clearly say otherwise.

    Clearly: by more than their own swing explains. So a flow that jumps is believed in seconds, and one that only
    swings is not followed.
    """
    rows = candidates.series.rows
    mean, ring = (rows.packet_mean, rows.packet_history) if per == "packets" else (rows.octet_mean, rows.octet_history)
    rate = np.empty(len(candidates), np.float32)
    for block in blocks(len(candidates)):
        rate[block] = _expected(mean[block], ring[block])
    return rate


def _expected(mean: F32, ring: F32) -> F32:
    # Place by place, and not a sum of NumPy's: in the same order for each row, wherever it stands.
    total, squares = np.zeros_like(mean), np.zeros_like(mean)
    for place in range(HISTORY):
        total += ring[:, place]
        squares += ring[:, place] * ring[:, place]
    recent = total / ROUNDS
    swing = np.maximum(squares / ROUNDS - recent * recent, 0) / ROUNDS
    news = recent - mean
    weight = news * news / (news * news + DOUBT * swing + TINY)
    rate: F32 = mean + weight * news
    return rate


def bill(needed: Numbers, chosen: Mask, entries: int) -> F32:
    """What each flow pays where each entry is paid by its users together: who is not in, as if it were."""
    users = np.bincount(needed[chosen].ravel(), minlength=entries).astype(np.float32)
    users[NONE] = np.inf
    total: F32 = (1 / (users[needed] + ~chosen[:, None])).sum(axis=1, dtype=np.float32)
    return total


def considered(entries: int) -> int:
    """So many newcomers could matter, where the tables have so many entries all together."""
    return max(LEAST_CONSIDERED, int(CONSIDERED * entries))
