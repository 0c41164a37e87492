"""The one that decides, where several count: orders parts, puts them together, and decides as if it had counted all.

Pure. The engine's series are then not its own: each round they are replaced by the rows that came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ezpath.names import PairId

from ezpath_decider.columns import U64, Mask
from ezpath_decider.engine import Engine, Round
from ezpath_decider.explain import settings_of
from ezpath_decider.parts import ROW_COLUMNS, Choice, Order, Part, addresses, flows_at, places_to_columns
from ezpath_decider.share import PARTS, assignment, parts_of_flows

ABSENT_ROUNDS = 3
"""Whoever did not answer so many orders in a row is given up, and its parts go to the others."""

ASKED_FIRST = 3
"""Orders that only ask who is there, before the first one that divides the flows."""


@dataclass(slots=True)
class Gathering:
    """One for each engine that decides. :meth:`order`, collect the answers, :meth:`decide`."""

    engine: Engine
    name: str
    warm_up_s: float = 30.0
    """Flows of a part that its owner has counted for less are left where they are: their means say little yet."""
    number: int = 0
    owners: tuple[str, ...] = ()
    _absent: dict[str, int] = field(default_factory=dict)
    """Members, and how many orders in a row they did not answer."""

    def __post_init__(self) -> None:
        self.engine.series.gathered = 0

    @property
    def members(self) -> Collection[str]:
        return self._absent.keys()

    def order(self, strategy: str, now: float, asked: Iterable[PairId] = ()) -> Order:
        """The next round's."""
        engine = self.engine
        self.number += 1
        # At first, only ask who is there: whoever was told too early to count nothing would forget what it has.
        self.owners = assignment(sorted(self._absent)) if self.number > ASKED_FIRST else ()
        settled = engine.allowance.settled(engine.allowance.budgets(now))
        choice = Choice(
            strategy,
            settings_of(engine.strategy),
            settled.entries,
            engine.series.half_life_s,
            engine.retry_after_s,
            engine.kinds,
            engine.pins.lists,
            engine.pins.paused,
        )
        directory = engine.directory
        keys = [key for pair in asked if (key := directory.pair_key(pair)) is not None]
        places = places_to_columns(engine.places, directory)
        return Order(
            self.name, self.number, now, self.owners, choice, places, addresses(np.array(keys, np.uint64), directory)
        )

    def complete(self, parts: Mapping[str, Part]) -> bool:
        """Whether all that count have answered."""
        return bool(self.owners) and set(self.owners) <= parts.keys()

    def decide(self, parts: Iterable[Part], now: float) -> Round:
        """On what came of this round's parts. Flows of whoever did not answer stay where they are."""
        parts = [part for part in parts if part.number == self.number]
        answered = {part.sender for part in parts}
        for name in set(self._absent) - answered:
            self._absent[name] += 1
        self._absent = {name: rounds for name, rounds in self._absent.items() if rounds < ABSENT_ROUNDS}
        self._absent |= dict.fromkeys(answered, 0)
        self._replace(parts, now)
        self.engine.places.settle(self.engine.series)
        return self.engine.decide(now)

    def _replace(self, parts: list[Part], now: float) -> None:
        engine, warm = self.engine, self._warm(parts)
        flows: list[U64] = [np.zeros(0, np.uint64)]
        columns: dict[str, list[Any]] = {name: [] for name in (*ROW_COLUMNS, "fresh")}
        for part in parts:
            found, rows = flows_at(part.rows, engine.directory)
            of_part = parts_of_flows(found, engine.directory)
            mine = self._owned(part.sender)[of_part]
            flows.append(found[mine])
            kept = rows[mine]
            for name in ROW_COLUMNS:
                columns[name].append(part.rows[name][kept])
            columns["fresh"].append(part.rows["fresh"][kept] & warm[of_part[mine]])
            columns["first_seen"][-1] = self._first_seen(part, columns["first_seen"][-1], now)
        joined = {name: np.concatenate(each) for name, each in columns.items() if each}
        engine.series.replace(np.concatenate(flows), joined)

    def _owned(self, sender: str) -> Mask:
        return np.array([owner == sender for owner in self.owners] or [False] * PARTS)

    def _warm(self, parts: list[Part]) -> Mask:
        """Which parts have been counted for long enough. Where none has, all are as good as a fresh start is."""
        warm = np.zeros(PARTS, np.bool_)
        for part in parts:
            warm |= self._owned(part.sender) & (part.kept_s >= self.warm_up_s)
        return warm if warm.any() else ~warm

    def _first_seen(self, part: Part, first_seen: Any, now: float) -> Any:
        """By this engine's clock and beginning."""
        began_at = part.began_at + (now - part.now)
        series = self.engine.series
        series.began_at = series.began_at or began_at
        return first_seen + np.float32(began_at - series.began_at)
