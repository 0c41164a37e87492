"""How many table entries EZPath may hold where: per table, per ToR, per tenant.

Pure. :class:`Room` counts what flows hold, shared entries once, and says what still fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ezpath_decider.book import NONE, PLACES, TABLES, Book, Numbers
from ezpath_decider.columns import I32, U8, U64, Indices, Mask
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

    number: int
    """Among the reasons; which of the book's pools these are, too."""
    free: I64


class Room:
    """What is free, as flows are taken in one after the other. Entries that several need are counted once."""

    def __init__(self, book: Book, budgets: Budgets) -> None:
        self._book = book
        self._held = np.zeros(len(book), np.bool_)
        self._held[NONE] = True
        self._payer = np.empty(len(book), np.int32)
        """Scratch: whoever needs an entry first, where that has just been asked."""
        self._limits = list(_limits(budgets))

    def hold(self, flows: U64) -> bool:
        """Count these in, whether they fit or not. Whether they do."""
        needed = self._book.entries(flows)
        self._learn_new_entries()
        wanted = np.zeros(len(self._held), np.bool_)
        wanted[needed] = True
        self._take(np.flatnonzero(wanted & ~self._held))
        return all((limit.free >= 0).all() for limit in self._limits)

    def fit(self, flows: U64) -> tuple[Mask, U8]:
        """Take in as many flows as fit, the first ones first. Returns who is in, and which limit refused the others.

        A flow that leans on an entry of one before it is decided after that one; where tables are nearly full, a later
        flow may therefore get what an earlier one was about to: never more than there is room for.
        """
        taken, refused = np.zeros(len(flows), np.bool_), np.full(len(flows), FITS, np.uint8)
        for first in range(0, len(flows), AT_ONCE):
            left = np.arange(first, min(first + AT_ONCE, len(flows)))
            refused[left] = self._refuse_at_a_glance(flows[left])
            left = left[refused[left] == FITS]
            needed = self._book.entries(flows[left]).T
            self._learn_new_entries()
            while left.size:
                new = ~self._held[needed]
                refused[left] = why = self._refuse([self._pools(limit)[needed] for limit in self._limits], new)
                if (why != FITS).any():
                    possible = np.flatnonzero(why == FITS)
                    left, needed, new = left[possible], needed[:, possible], new[:, possible]
                good = self._accept(needed, new)
                taken[left[good]] = True
                left, needed = left[~good], needed[:, ~good]
        return taken, refused

    def _pools(self, limit: _Limit) -> I32:
        """Which of its pools each entry counts towards."""
        return self._book.pools(limit.number)

    def _learn_new_entries(self) -> None:
        """The book may have numbered entries since this room was opened."""
        more = len(self._book) - len(self._held)
        if more:
            self._held = np.concatenate([self._held, np.zeros(more, np.bool_)])
            self._payer = np.empty(len(self._held), np.int32)

    def _refuse_at_a_glance(self, flows: U64) -> U8:
        """As far as :meth:`_refuse` can tell from entries that need no looking up.

        Whose own endpoint's entry is nobody's so far, has none on other switches either: each flow holds both.
        """
        home = self._book.entries_at_home(flows).T
        switch = self._book.switch[home[:2]]
        apart = switch[0] != switch[1]
        known = ~self._held[home]
        new = np.concatenate([known, known[1::-1] & apart])
        pools = (self._pools(limit)[home] for limit in self._limits)
        return self._refuse([np.concatenate([pool, pool[:2]]) for pool in pools], new)

    def _refuse(self, pools: Sequence[I32], new: Mask) -> U8:
        """The number of a limit that each flow's own new entries would break, all others left out; FITS for none.

        By place and flow: the pool of each entry, for each limit, and whether it is new.
        """
        refused = np.full(new.shape[1], FITS, np.uint8)
        # Only where there is room for less than a flow may need does it matter how much one needs.
        rooms = [
            np.clip(limit.free, 0, PLACES).astype(np.uint8)[pool]
            for limit, pool in zip(self._limits, pools, strict=True)
        ]
        for limit, room in zip(self._limits, rooms, strict=True):
            refused[(new & (room == 0)).any(axis=0) & (refused == FITS)] = limit.number
        for limit, where, room in zip(self._limits, pools, rooms, strict=True):
            tight = (new & (room < PLACES)).any(axis=0)
            rows = np.flatnonzero(tight & (refused == FITS))
            here, pool, left = new[:, rows], where[:, rows], room[:, rows]
            for place in range(PLACES):
                needs = np.count_nonzero(here & (pool == pool[place]), axis=0)
                too_many = here[place] & (needs > left[place]) & (refused[rows] == FITS)
                refused[rows[too_many]] = limit.number
        return refused

    def _accept(self, needed: Numbers, new: Mask) -> Mask:
        """Those that fit together with all before them; at least the first one does. ``new``: held by nobody yet."""
        rows, places = np.divmod(np.flatnonzero(np.ascontiguousarray(new.T)).astype(np.int32), np.int32(PLACES))
        entries = needed[places, rows]
        # The first flow that needs an entry pays for it. (Of equal indices the last assignment stands.)
        self._payer[entries[::-1]] = rows[::-1]
        payer = self._payer[entries]
        pays = payer == rows
        over = np.zeros(needed.shape[1], np.bool_)
        paid, payers = entries[pays], rows[pays]
        for limit in self._limits:
            over[payers[_beyond(self._pools(limit)[paid], limit.free)]] = True
        over[rows[over[payer]]] = True
        good = ~over
        self._take(paid[good[payers]])
        return good

    def _take(self, entries: npt.NDArray[np.integer[Any]]) -> None:
        self._held[entries] = True
        for limit in self._limits:
            limit.free -= np.bincount(self._pools(limit)[entries], minlength=len(limit.free))


def _limits(budgets: Budgets) -> Iterator[_Limit]:
    """Tables first: a full table is the hardest of reasons. Limits that nobody set cost nothing."""
    capacities = budgets.tables.ravel(), budgets.switches, np.tile(budgets.tenants, len(budgets.switches))
    for number, capacity in enumerate(capacities):
        if (capacity < UNLIMITED).any():
            # One more pool without end, the last, for no entry.
            yield _Limit(number, np.append(capacity, UNLIMITED))


def _beyond(pools: I32, free: I64) -> Indices:
    """Which of these entries, counted pool by pool in their order, come after the last that there is room for."""
    short = np.bincount(pools, minlength=len(free)) > free
    if not short.any():
        return np.zeros(0, np.intp)
    rows = np.flatnonzero(short[pools])
    pools = pools[rows]
    order = np.argsort(pools.astype(np.uint16) if len(free) <= 1 << 16 else pools, kind="stable")
    grouped = pools[order]
    first = np.flatnonzero(np.diff(grouped, prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return rows[order[place >= free[grouped]]]
