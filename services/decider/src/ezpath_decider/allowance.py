"""What each ToR has room for: the operator's budgets, the tables' real sizes, what others hold, and what a full table
taught. Pure.

A switch that said RESOURCE_EXHAUSTED is believed: for a while it is asked for no more than it held then, and later for
a few entries more. So a table that is full for whatever reason is asked again now and then, and not in a loop.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ezpath_decider.book import TABLES
from ezpath_decider.budgets import I64, UNLIMITED, Budgets
from ezpath_decider.directory import Directory

FULL_FOR_S = 30.0
FULL_FOR_MOST_S = 600.0
FORGIVEN = 4
PROBE = 4
TOGETHER_S = 5.0
READINGS = 3
"""What others hold is the least of so many readings: between two of them entries of ours come and go."""
_EXHAUSTED = re.compile(r"switch:(?P<switch>[^:\s]+): .*RESOURCE_EXHAUSTED(?:.*?\btable (?:\S+\.)?(?P<table>\w+))?")


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What the operator allows. Entries are counted on each ToR."""

    entries: int = 1024
    """All of EZPath's tables together."""
    share: float = 1.0
    """Of each table's size."""
    reserve: int = 0
    """Entries of each table left to others."""
    switches: Mapping[str, int] = field(default_factory=dict)
    """``entries`` of single ToRs."""
    tenants: Mapping[str, int] = field(default_factory=dict)
    """Quotas: entries of one tenant on each ToR."""
    headroom: float = 0.02
    """Part of a budget that only moves use, so that the better flow can come before the worse one goes."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A table was full with so many entries of ours."""

    entries: int
    at: float
    lasts_s: float

    def allowed(self, now: float) -> int:
        """No more than then for a while; after that a few more each time, twice as many as the time before."""
        periods = int((now - self.at) / self.lasts_s)
        return self.entries + (PROBE << min(periods, 30)) if periods else self.entries

    def after(self, entries: int, now: float) -> _Lesson:
        """Full again: soon after the last time means that it will be for longer."""
        soon = now - self.at < FORGIVEN * self.lasts_s
        return _Lesson(entries, now, min(2 * self.lasts_s, FULL_FOR_MOST_S) if soon else FULL_FOR_S)


@dataclass(slots=True)
class Allowance:
    """What is known of the tables. Keys are (switch, table) by number."""

    directory: Directory
    rules: BudgetRules = field(default_factory=BudgetRules)
    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    _others: dict[tuple[int, int], deque[int]] = field(default_factory=dict)
    _lessons: dict[tuple[int, int], _Lesson] = field(default_factory=dict)

    def report(self, switch: str, table: str, size: int, used: int, ours: int) -> None:
        """A switch's table has room for ``size`` entries in all and holds ``used``, of which ``ours`` are EZPath's."""
        key = self._key(switch, table)
        if key is not None:
            self._sizes[key] = size
            self._others.setdefault(key, deque(maxlen=READINGS)).append(max(0, used - ours))

    def refused(self, reason: str, held: I64, now: float) -> bool:
        """A saga ended for ``reason``; ``held`` are EZPath's entries by switch and table. True: a table was full."""
        found = _EXHAUSTED.search(reason)
        switch = self.directory.switch_number.get(found["switch"]) if found else None
        if found is None or switch is None:
            return False
        for table, name in enumerate(TABLES):
            # A switch that does not say which table it was may have meant any of them.
            if found["table"] in (name, None) or found["table"] not in TABLES:
                ours, before = int(held[switch, table]), self._lessons.get((switch, table))
                # Several that fail together teach one lesson.
                if before is None or now - before.at > TOGETHER_S:
                    self._lessons[switch, table] = before.after(ours, now) if before else _Lesson(ours, now, FULL_FOR_S)
        return True

    def budgets(self, now: float) -> Budgets:
        """What may be held, headroom included."""
        rules, directory = self.rules, self.directory
        budgets = Budgets.of(directory)
        for (switch, table), size in self._sizes.items():
            others = min(self._others[switch, table])
            budgets.tables[switch, table] = max(0, min(int(size * rules.share), size - max(others, rules.reserve)))
        for (switch, table), lesson in self._lessons.items():
            budgets.tables[switch, table] = min(budgets.tables[switch, table], lesson.allowed(now))
        budgets.switches[:] = [rules.switches.get(name, rules.entries) for name in directory.switches]
        if rules.tenants:
            budgets.tenants[:] = [rules.tenants.get(name, UNLIMITED) for name in directory.tenants]
        return budgets

    def settled(self, budgets: Budgets) -> Budgets:
        """What flows may hold when nothing moves: ``budgets`` without the headroom."""
        headroom = self.rules.headroom
        return Budgets(_less(budgets.tables, headroom), _less(budgets.switches, headroom), budgets.tenants)

    def _key(self, switch: str, table: str) -> tuple[int, int] | None:
        number = self.directory.switch_number.get(switch)
        return None if number is None or table not in TABLES else (number, TABLES.index(table))


def _less(entries: I64, headroom: float) -> I64:
    return entries - (np.minimum(entries, UNLIMITED >> 8) * headroom).astype(np.int64)
