"""How many table entries EZPath may hold where: per table, per ToR, per tenant.

Pure. :class:`Room` counts what flows hold, shared entries once, and says what still fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ezpath_decider.book import NONE, PLACES, TABLES, Book, Numbers
from ezpath_decider.columns import I32, NOWHERE, U8, U64, Indices, Mask
from ezpath_decider.directory import Directory

I64 = npt.NDArray[np.int64]
UNLIMITED = 1 << 40
FITS = 0xFF
"""No limit refused it."""
AT_ONCE = 1 << 14
"""Flows looked at together: behind the first of them tables are full, and the rest is refused at a glance."""


@dataclass(frozen=True, eq=False)
class Budgets:
    """Entries allowed. What others hold in the tables, and what is reserved for them, is taken off already."""

    tables: I64
    """By switch and table (:data:`ezpath_decider.book.TABLES`)."""
    switches: I64
    """By switch, all tables together."""
    tenants: I64
    """By tenant: on each switch, all tables together."""

    @property
    def entries(self) -> int:
        """All together."""
        return int(np.minimum(self.tables.sum(axis=1), self.switches).sum())

    @classmethod
    def of(
        cls, directory: Directory, table: int = UNLIMITED, switch: int = UNLIMITED, tenant: int = UNLIMITED
    ) -> Budgets:
        """The same for all."""
        return cls(
            np.full((len(directory.switches), len(TABLES)), table, np.int64),
            np.full(len(directory.switches), switch, np.int64),
            np.full(len(directory.tenants), tenant, np.int64),
        )


@dataclass(eq=False)
class _Limit:
    """One kind of limit: entries fall into pools, and each pool has room for so many."""

    pools_of: Callable[[], I32]
    pool: I32
    """Of each entry, as :attr:`pools_of` says."""
    free: I64


class Room:
    """What is free, as flows are taken in one after the other. Entries that several need are counted once."""

    def __init__(self, book: Book, budgets: Budgets) -> None:
        self._book = book
        self._held = np.zeros(len(book), np.bool_)
        self._held[NONE] = True
        self._limits = list(_limits(book, budgets))

    def hold(self, flows: U64) -> None:
        """Count these in, whether they fit or not."""
        needed = self._book.entries(flows)
        self._learn_new_entries()
        wanted = np.zeros(len(self._held), np.bool_)
        wanted[needed] = True
        self._take(np.flatnonzero(wanted & ~self._held))

    def fit(self, flows: U64) -> tuple[Mask, U8]:
        """Take in as many flows as fit, the first ones first. Returns who is in, and which limit refused the others.

        A flow that leans on an entry of one before it is decided after that one; where tables are nearly full, a later
        flow may therefore get what an earlier one was about to: never more than there is room for.
        """
        taken, refused = np.zeros(len(flows), np.bool_), np.full(len(flows), FITS, np.uint8)
        for first in range(0, len(flows), AT_ONCE):
            left = np.arange(first, min(first + AT_ONCE, len(flows)))
            refused[left] = self._refuse_at_home(flows[left])
            left = left[refused[left] == FITS]
            needed = self._book.entries(flows[left])
            self._learn_new_entries()
            while left.size:
                refused[left] = self._refuse(needed)
                possible = refused[left] == FITS
                left, needed = left[possible], needed[possible]
                good = self._accept(needed)
                taken[left[good]] = True
                left, needed = left[~good], needed[~good]
        return taken, refused

    def _learn_new_entries(self) -> None:
        """The book may have numbered entries since this room was opened."""
        more = len(self._book) - len(self._held)
        if more:
            self._held = np.concatenate([self._held, np.zeros(more, np.bool_)])
            self._limits = [_Limit(limit.pools_of, limit.pools_of(), limit.free) for limit in self._limits]

    def _refuse_at_home(self, flows: U64) -> U8:
        """The quick part of :meth:`_refuse`: entries that need no looking up, in pools that are full."""
        refused = np.full(len(flows), FITS, np.uint8)
        needed = self._book.entries_at_home(flows)
        new = ~self._held[needed]
        for number, limit in enumerate(self._limits):
            full = (new & (limit.free <= 0)[limit.pool[needed]]).any(axis=1)
            refused[full & (refused == FITS)] = number
        return refused

    def _refuse(self, needed: Numbers) -> U8:
        """The number of a limit that each flow's own new entries would break, all others left out; FITS for none."""
        refused = np.full(len(needed), FITS, np.uint8)
        new = ~self._held[needed]
        for number, limit in enumerate(self._limits):
            full = (new & (limit.free <= 0)[limit.pool[needed]]).any(axis=1)
            refused[full & (refused == FITS)] = number
        for number, limit in enumerate(self._limits):
            # Only where there is room for less than a flow may need does it matter how much one needs.
            tight = new & (limit.free < PLACES)[limit.pool[needed]]
            open_ = np.flatnonzero(tight.any(axis=1) & (refused == FITS))
            pools, here = limit.pool[needed[open_]], new[open_]
            for place in range(PLACES):
                same = here & (pools == pools[:, place, None])
                too_many = here[:, place] & (same.sum(axis=1) > limit.free[pools[:, place]])
                refused[open_[too_many & (refused[open_] == FITS)]] = number
        return refused

    def _accept(self, needed: Numbers) -> Mask:
        """Those that fit together with all before them. At least the first one does."""
        rows, places = np.nonzero(~self._held[needed])
        entries = needed[rows, places]
        # The first flow that needs an entry pays for it. (Of equal indices the last assignment stands.)
        payer = np.zeros(len(self._held), np.intp)
        payer[entries[::-1]] = rows[::-1]
        pays = payer[entries] == rows
        over = np.zeros(len(needed), np.bool_)
        for limit in self._limits:
            over[rows[pays][_beyond(limit.pool[entries[pays]], limit.free)]] = True
        leans = over[payer[entries]]
        over[rows[leans]] = True
        good = ~over
        self._take(entries[pays & good[rows]])
        return good

    def _take(self, entries: npt.NDArray[np.integer[Any]]) -> None:
        self._held[entries] = True
        for limit in self._limits:
            limit.free -= np.bincount(limit.pool[entries], minlength=len(limit.free))


def _limits(book: Book, budgets: Budgets) -> list[_Limit]:
    """Tables first: a full table is the hardest of reasons. Limits that nobody set cost nothing."""
    switches, tables = budgets.tables.shape
    limits = [_limit(book, lambda: book.switch * tables + book.table, budgets.tables.ravel())]
    if (budgets.switches < UNLIMITED).any():
        limits.append(_limit(book, lambda: book.switch, budgets.switches))
    if (budgets.tenants < UNLIMITED).any():
        tenants = len(budgets.tenants)
        limits.append(_limit(book, lambda: book.switch * tenants + book.tenant, np.tile(budgets.tenants, switches)))
    return limits


def _limit(book: Book, pools_of: Callable[[], I32], capacity: I64) -> _Limit:
    """One more pool without end, for no entry."""

    def pools() -> I32:
        return np.where(book.switch == NOWHERE, len(capacity), pools_of()).astype(np.int32)

    return _Limit(pools, pools(), np.append(capacity, UNLIMITED))


def _beyond(pools: I32, free: I64) -> Indices:
    """Which of these entries, counted pool by pool in their order, come after the last that there is room for."""
    few = len(free) <= 1 << 16
    order = np.argsort(pools.astype(np.uint16) if few else pools, kind="stable")
    grouped = pools[order]
    starts = np.searchsorted(grouped, grouped, side="left") if len(grouped) else order
    place = np.arange(1, len(order) + 1) - starts
    return order[place > free[grouped]]
