"""One that counts: keeps the series of its share of the flows, and sends those that can matter when it is ordered to.

Pure. Every decider that shares the work has one, the one that decides as well (``gathering.py``).
"""

from __future__ import annotations

import numpy as np
from ezpath.samples import FlowSample

from ezpath_decider.allowance import Allowance
from ezpath_decider.columns import I32, Indices
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Engine
from ezpath_decider.matters import matters
from ezpath_decider.parts import Order, Part, flows_at, places_of, rows_to_columns
from ezpath_decider.pins import Pins
from ezpath_decider.places import UNKNOWN
from ezpath_decider.rounds import SHOWN
from ezpath_decider.share import Share
from ezpath_decider.strategies.pinned import pinned


class Counting:
    """Feed it samples; give it each order. What it is not told to count it forgets."""

    def __init__(self, name: str, directory: Directory) -> None:
        self.name = name
        # It decides nothing: the strategy stands for none.
        self._engine = Engine(directory, pinned, Allowance(directory), Pins(directory))
        self._share = self._engine.series.share = Share(directory)

    def sample(self, sample: FlowSample, now: float) -> bool:
        return self._engine.sample(sample, now)

    def forget(self, now: float) -> None:
        self._engine.forget(now)

    def adopt(self, directory: Directory, numbers: I32) -> None:
        """Endpoints came, went or moved."""
        self._engine.adopt(directory, numbers)

    @property
    def flows(self) -> int:
        """So many are counted here."""
        return self._engine.series.rows.count

    def answer(self, order: Order, now: float) -> Part:
        """Note the round, and tell of the flows that can matter. ``now`` by this process's clock."""
        engine, share, choice = self._engine, self._share, order.choice
        if order.owners and share.own((part for part, owner in enumerate(order.owners) if owner == self.name), now):
            series = engine.series
            series.keep(np.flatnonzero(share.has(series.rows.key[: series.rows.count])))
        if (choice.lists, choice.paused) != (engine.pins.lists, engine.pins.paused):
            engine.pins = Pins(engine.directory, choice.lists, choice.paused)
        engine.series.half_life_s, engine.retry_after_s, engine.kinds = (
            choice.half_life_s,
            choice.retry_after_s,
            choice.kinds,
        )
        engine.places = places_of(order.places, engine.directory, share.has)
        for flows in (engine.places.rows.flow[: engine.places.rows.count], engine.pins.always_flows):
            engine.series.rows_of(flows[share.has(flows)], now)
        engine.series.round(now)
        return Part(
            self.name,
            order.number,
            now,
            engine.series.began_at,
            now - share.since,
            rows_to_columns(engine.series, self._chosen(order), engine.series.fresh),
        )

    def _chosen(self, order: Order) -> Indices:
        """What can matter, what the one that decides lacks or is asked about, and the busiest, for people to see."""
        candidates, choice = self._engine.candidates(order.now), order.choice
        chosen = matters(choice.strategy, candidates, choice.entries, choice.settings)
        busiest = np.arange(len(candidates))
        if len(busiest) > SHOWN:
            busiest = np.argpartition(-candidates.bits_s, SHOWN)[:SHOWN]
        chosen[busiest[candidates.bits_s[busiest] > 0]] = True
        asked, _ = flows_at(order.asked, self._engine.directory)
        places = self._engine.places.rows
        unknown = places.flow[: places.count][places.rounds[: places.count] == UNKNOWN]
        rows = self._engine.series.find(np.append(asked, unknown))
        chosen[rows[rows >= 0]] = True
        return np.flatnonzero(chosen)
