"""What a strategy decides about: one row a flow, columns worked out when they are asked for.

Pure. ``docs/STRATEGIES.md`` lists the columns for those who write strategies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np

from ezpath_decider.book import Book, Numbers
from ezpath_decider.columns import F32, F64, I32, U8, U64, Indices, Mask, blocks
from ezpath_decider.directory import Directory, ends
from ezpath_decider.places import ARRIVING, ON_SWITCH, OVERLAY, Places
from ezpath_decider.series import HISTORY, Series

BITS = np.float32(8)


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What an operator said about flows, by row. ``pinned.py`` makes them from lists of names."""

    always: Mask
    """On the switches before all others, busy or not, as long as there is room."""
    barred: Mask
    """Never on the switches: denied, or not among those allowed."""
    held: Mask
    """Stay where they are: paused."""


@dataclass(eq=False)
class Candidates:
    """The table. Columns are read-only views or made once; rows are those of the series."""

    series: Series
    places: Places
    book: Book
    rules: Rules
    now: float
    retry_after_s: float = 30.0
    kinds: Mapping[str, float] = field(default_factory=dict)
    _beside: tuple[Indices, Indices] = field(init=False)

    def __post_init__(self) -> None:
        self._beside = self.places.beside(self.series)

    def __len__(self) -> int:
        return self.series.rows.count

    # ---- traffic, both directions together --------------------------------

    @cached_property
    def bits_s(self) -> F32:
        """At the last round."""
        return self.series.latest() * BITS

    @cached_property
    def packets_s(self) -> F32:
        return self.series.latest(octets=False)

    @cached_property
    def bits_mean(self) -> F32:
        """Exponentially weighted: the last seconds count most."""
        return self.series.rows.octet_mean[: len(self)] * BITS

    @property
    def packets_mean(self) -> F32:
        return self.series.rows.packet_mean[: len(self)]

    @cached_property
    def burstiness(self) -> F32:
        """Standard deviation over mean: 0 for a steady flow, above 1 for a bursty one."""
        return self.series.burstiness(np.arange(len(self)))

    @cached_property
    def age_s(self) -> F64:
        """Since the flow was first seen."""
        return self.series.age_s(self.now)

    def lasted(self, rows: Indices, rounds: int, bits_s: float, *, above: bool) -> Mask:
        """Of ``rows``: whether the rate was at or above (else: below) ``bits_s`` in each of the last ``rounds``."""
        history = self.series.history(rows)[:, : min(rounds, HISTORY)] * BITS
        steady = (history >= bits_s) if above else (history < bits_s)
        return steady.all(axis=1) & (self.series.rows.rounds[rows] >= rounds)

    # ---- who, and where ---------------------------------------------------

    @property
    def directory(self) -> Directory:
        return self.series.directory

    @property
    def flow(self) -> U64:
        """Keys; ``directory.pair_name`` has their names."""
        return self.series.rows.key[: len(self)]

    @cached_property
    def ends(self) -> tuple[Indices, Indices]:
        """The endpoints of each flow."""
        return ends(self.flow)

    @cached_property
    def tenant(self) -> I32:
        return self.directory.tenant[self.ends[0]]

    @cached_property
    def importance(self) -> F32:
        """The product of both ends': what the inventory says of each, times what the policy says of its kind."""
        weights, (one, other) = self.directory.weights(self.kinds), self.ends
        importance = np.empty(len(self), np.float32)
        for block in blocks(len(self)):
            np.multiply(weights[one[block]], weights[other[block]], out=importance[block])
        return importance

    @cached_property
    def state(self) -> U8:
        """OVERLAY, ARRIVING, ON_SWITCH or LEAVING."""
        states = np.zeros(len(self), np.uint8)
        records, rows = self._beside
        states[rows] = self.places.rows.state[records]
        return states

    @cached_property
    def since_s(self) -> F64:
        """Since it came to where it is; infinite for what never moved."""
        seconds = np.full(len(self), np.inf)
        records, rows = self._beside
        seconds[rows] = self.now - self.places.rows.entered_at[records]
        return seconds

    def rounds_here(self, rows: Indices) -> Indices:
        """Rounds with fresh word since each of ``rows`` came to where it is."""
        arrived = np.zeros(len(self), np.int64)
        records, moved = self._beside
        arrived[moved] = self.places.rows.rounds[records]
        return self.series.rows.rounds[rows] - arrived[rows]

    # ---- what may be decided ----------------------------------------------

    @cached_property
    def current(self) -> Mask:
        """On the switches or on the way there."""
        return cast(Mask, (self.state == ARRIVING) | (self.state == ON_SWITCH))

    @cached_property
    def must(self) -> Mask:
        """Stay on the switches whatever is decided: they are just arriving, held, or there is no word of them."""
        settled = (self.state == ON_SWITCH) & self._word & ~self.rules.held
        return cast(Mask, self.current & ~settled)

    @cached_property
    def may(self) -> Mask:
        """May be on the switches after this decision; all others may not."""
        possible = self._apart & ~self.rules.barred
        unmoved = (self.state == OVERLAY) & self._word & ~self.rules.held & ~self._resting
        return cast(Mask, self.must | possible & (unmoved | (self.state == ON_SWITCH)))

    @property
    def _apart(self) -> Mask:
        """The ends are on different hosts."""
        host, (one, other) = self.directory.host, self.ends
        apart = np.empty(len(self), np.bool_)
        for block in blocks(len(self)):
            np.not_equal(host[one[block]], host[other[block]], out=apart[block])
        return apart

    @property
    def always(self) -> Mask:
        """The operator wants them on the switches, before all others."""
        return self.rules.always

    @property
    def _word(self) -> Mask:
        """Fresh word of them in this round. (Rows made since then are none that could be decided about.)"""
        word = np.zeros(len(self), np.bool_)
        word[: len(self.series.fresh)] = self.series.fresh
        return word

    @property
    def _resting(self) -> Mask:
        """Rolled back lately: left alone for a while, longer each time."""
        return self.rests_s > 0

    @cached_property
    def rests_s(self) -> F32:
        """Seconds until the decider may move it again; 0 for all that were not rolled back lately."""
        rests_s = np.zeros(len(self), np.float32)
        records, rows = self._beside
        failures = self.places.rows.failures[records]
        rest_s = self.retry_after_s * np.exp2(np.clip(failures.astype(np.float64) - 1, 0, 5))
        waited_s = self.now - self.places.rows.entered_at[records]
        resting = (self.places.rows.state[records] == OVERLAY) & (failures > 0) & (waited_s < rest_s)
        rests_s[rows[resting]] = (rest_s - waited_s)[resting]
        return rests_s

    def entries(self, rows: Indices) -> Numbers:
        """Numbers of the table entries that each of ``rows`` needs, :data:`~ezpath_decider.book.PLACES` wide."""
        return self.book.entries(self.flow[rows])
