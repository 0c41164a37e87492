"""One round of deciding, from series, places, budgets and a strategy to moves with their reasons.

Pure: the simulator, the benchmark and the service run this very code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from ezpath.names import PairId, Tenant
from ezpath.samples import FlowSample

from ezpath_decider.allowance import Allowance
from ezpath_decider.book import NONE, TABLES, Book
from ezpath_decider.budgets import I64, Budgets, Room
from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import I32, Mask
from ezpath_decider.directory import Directory
from ezpath_decider.moves import Moves, plan
from ezpath_decider.pins import Paused, Pins
from ezpath_decider.places import Places
from ezpath_decider.reasons import words
from ezpath_decider.series import Series
from ezpath_decider.strategy import Selection, Strategy, StrategyError, preference

FORGET_AFTER_S = 60.0
PLACES_KEPT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Decision:
    """``pair`` should go where ``what`` says, because of ``reason``."""

    pair: PairId
    tenant: Tenant
    what: Literal["offload", "revert"]
    reason: str
    rate_bps: float


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What was decided, and all that it was decided from."""

    candidates: Candidates
    budgets: Budgets
    selection: Selection
    moves: Moves
    fault: str = ""
    """What was wrong with the strategy; then everything stays where it is."""

    def decisions(self) -> Iterator[Decision]:
        """The moves, offloads first, in words."""
        for row in self.moves.offload:
            yield self._decision(int(row), "offload")
        for row in self.moves.revert:
            yield self._decision(int(row), "revert")

    def _decision(self, row: int, what: Literal["offload", "revert"]) -> Decision:
        candidates = self.candidates
        pair = candidates.directory.pair_name(candidates.flow[row])
        tenant = Tenant(pair.partition(".")[0])
        return Decision(pair, tenant, what, words(self.selection, candidates, row), float(candidates.bits_s[row]))


@dataclass(slots=True)
class Engine:
    """State between rounds, and the rounds."""

    directory: Directory
    strategy: Strategy
    allowance: Allowance
    pins: Pins
    half_life_s: float = 30.0
    retry_after_s: float = 30.0
    moves_per_round: int = 500
    kinds: Mapping[str, float] = field(default_factory=dict)
    """How much flows of an application's kind count."""
    series: Series = field(init=False)
    places: Places = field(default_factory=Places)
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        self.series = Series(self.directory, self.half_life_s)
        self.book = Book(self.directory)

    def sample(self, sample: FlowSample, now: float) -> bool:
        """What a switch counted. False where the sample does not count."""
        return self.series.add(sample, now)

    def round(self, now: float) -> Round:
        """Note what flows do now, and decide."""
        self.series.rows_of(self.pins.always_flows, now)
        self.series.round(now)
        return self.decide(now)

    def decide(self, now: float) -> Round:
        """Decide. The moves are asked for by the caller, who then says through ``places`` what became of them."""
        candidates = self.candidates(now)
        budgets = self.allowance.budgets(now)
        settled = self.allowance.settled(budgets)
        fault = ""
        try:
            selection = hold_to(candidates, settled, self.strategy(candidates, settled, candidates.current))
        except Exception as error:  # noqa: BLE001 - whatever an operator's strategy raises
            fault = f"{type(error).__name__}: {error}"
            selection = _as_it_is(candidates)
        return Round(candidates, budgets, selection, plan(candidates, selection, budgets, self.moves_per_round), fault)

    def adopt(self, directory: Directory, numbers: I32) -> None:
        """Endpoints came, went or moved; see :func:`~ezpath_decider.directory.succeed`. Histories of others go on."""
        self.directory = directory
        self.series.adopt(directory, numbers)
        self.places.adopt(numbers)
        self.book = Book(self.directory)
        self.allowance.directory = self.directory
        self.pins = replace(self.pins, directory=self.directory)

    def trial(self) -> None:
        """Let the strategy decide once. Raises :class:`StrategyError` where it cannot."""
        if fault := self.round(0.0).fault:
            raise StrategyError(f"the strategy fails with {fault}. Correct it, or its settings")

    def candidates(self, now: float) -> Candidates:
        """The table as it stands."""
        self.series.rows_of(self.places.moved(), now)
        rules = self.pins.rules(self.series.rows.key[: self.series.rows.count])
        return Candidates(self.series, self.places, self.book, rules, now, self.retry_after_s, self.kinds)

    def forget(self, now: float) -> None:
        """Let go of flows that have been silent for long. Between rounds."""
        if self.series.gathered is None:
            moved = np.zeros(self.series.rows.count, np.bool_)
            moved[self.series.rows_of(self.places.moved(), now)] = True
            self.series.forget(moved, now, FORGET_AFTER_S)
        self.places.forget(now, PLACES_KEPT_S)

    def under(self, paused: Paused) -> tuple[int, int]:
        """How many flows such a pause holds where they are, and how many of them are not in the overlay."""
        series, pins = self.series, Pins(self.directory, paused=paused)
        held = pins.rules(series.rows.key[: series.rows.count]).held
        return int(np.count_nonzero(held)), int(np.count_nonzero(pins.rules(self.places.moved()).held))

    def entries_held(self) -> I64:
        """Entries of all flows that are not in the overlay, by switch and table."""
        book, shape = self.book, (len(self.directory.switches), len(TABLES))
        entries = np.unique(book.entries(self.places.moved()))
        entries = entries[entries != NONE]
        pool = book.switch[entries] * len(TABLES) + book.table[entries]
        return np.bincount(pool, minlength=shape[0] * shape[1]).reshape(shape)


def hold_to(candidates: Candidates, budgets: Budgets, selection: Selection) -> Selection:
    """``selection`` as it may be carried out: a strategy that chose more than it may is held to it."""
    chosen = selection.chosen & candidates.may | candidates.must
    if not (chosen != selection.chosen).any() and Room(candidates.book, budgets).hold(candidates.flow[chosen]):
        return selection
    order = preference(candidates, selection.score, np.flatnonzero(chosen & ~candidates.must))
    room = Room(candidates.book, budgets)
    room.hold(candidates.flow[candidates.must])
    fits, _ = room.fit(candidates.flow[order])
    if fits.all() and not (chosen != selection.chosen).any():
        return selection
    within: Mask = chosen.copy()
    within[order[~fits]] = False
    against = "the strategy chose it against the lists, the budgets or a pause"
    return replace(selection, chosen=within).because(within != selection.chosen, against)


def _as_it_is(candidates: Candidates) -> Selection:
    count = len(candidates)
    why, score = np.zeros(count, np.uint8), np.zeros(count, np.float32)
    return Selection(candidates.current, why, ("the strategy failed: everything stays where it is",), score)
