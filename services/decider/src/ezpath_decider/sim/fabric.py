"""The simulated switches: moves take their time, tables hold what they hold, and a full one refuses.

Pure. It plays what sagas and writers do, for many flows at once: entries are taken when a move begins and free again
when the flow is back and drained. It counts entries itself, not with the decider's accounts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ezpath_decider.book import NONE, TABLES, Numbers
from ezpath_decider.budgets import I64
from ezpath_decider.columns import U64, Mask
from ezpath_decider.engine import Engine, Round
from ezpath_decider.places import ARRIVING, LEAVING, ON_SWITCH, OVERLAY


@dataclass(frozen=True, slots=True)
class Delays:
    """Of a move, in seconds."""

    offload_s: float = 0.5
    """From the decision to the first tagged frame."""
    revert_s: float = 2.5
    """From the decision until the entries are free; frames take the overlay at once."""


@dataclass(slots=True, eq=False)
class Fabric:
    """Carries out one engine's moves."""

    engine: Engine
    delays: Delays
    sizes: I64 | None = None
    """Entries that each switch's tables have room for; without end where it is not given."""
    moves: int = 0
    """Switch-overs so far, there and back."""
    refusals: int = 0
    _users: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """Flows that hold each entry."""
    _used: I64 = field(init=False)
    _coming: deque[tuple[float, U64]] = field(default_factory=deque)
    _going: deque[tuple[float, U64]] = field(default_factory=deque)
    _refused: list[U64] = field(default_factory=list)
    _full: set[tuple[int, int]] = field(default_factory=set)
    """Switch and table of those that refused."""

    def __post_init__(self) -> None:
        self._used = np.zeros((len(self.engine.directory.switches), len(TABLES)), np.int64)

    @property
    def used(self) -> I64:
        """Entries of the tables in use, by switch and table."""
        return self._used

    def begin(self, decided: Round, now: float) -> None:
        """Begin what was decided: those that leave first, so that nobody is let in on what is still held."""
        flows = decided.candidates.flow
        offload, revert = flows[decided.moves.offload], flows[decided.moves.revert]
        places, series = self.engine.places, self.engine.series
        places.enter(revert, LEAVING, now, series)
        places.enter(offload, ARRIVING, now, series)
        self._going.append((now + self.delays.revert_s, revert))
        accepted = self._claim(offload)
        self._coming.append((now + self.delays.offload_s, offload[accepted]))
        self._refused.append(offload[~accepted])
        self.moves += len(offload) + len(revert)
        self.refusals += int(np.count_nonzero(~accepted))

    def settle(self, until: float) -> list[tuple[float, U64]]:
        """Finish what is due. Returns the flows that arrived, with the time."""
        places, series, arrived = self.engine.places, self.engine.series, []
        while self._going and self._going[0][0] <= until:
            at, flows = self._going.popleft()
            places.enter(flows, OVERLAY, at, series)
            self._release(flows)
        while self._coming and self._coming[0][0] <= until:
            at, flows = self._coming.popleft()
            places.enter(flows, ON_SWITCH, at, series)
            arrived.append((at, flows))
        self._roll_back(until)
        return arrived

    def report(self, others: I64 | int = 0) -> None:
        """Tell the decider how full the tables are, as their writers do."""
        if self.sizes is None:
            return
        directory, held = self.engine.directory, self.engine.entries_held()
        used = self._used + others
        for switch, name in enumerate(directory.switches):
            for table, title in enumerate(TABLES):
                self.engine.allowance.report(
                    name, title, int(self.sizes[switch, table]), int(used[switch, table]), int(held[switch, table])
                )

    def _claim(self, flows: U64) -> Mask:
        """Take the entries of each flow, in their order; who finds a table full takes none."""
        needed = self.engine.book.entries(flows)
        self._learn()
        if self.sizes is None:
            self._hold(needed)
            return np.ones(len(flows), np.bool_)
        accepted = np.zeros(len(flows), np.bool_)
        for number, entries in enumerate(needed):
            if self._fits(entries, self.sizes):
                self._hold(entries)
                accepted[number] = True
        return accepted

    def _fits(self, entries: Numbers, sizes: I64) -> bool:
        new = entries[(entries != NONE) & (self._users[entries] == 0)]
        more = np.zeros_like(self._used)
        np.add.at(more, (self.engine.book.switch[new], self.engine.book.table[new]), 1)
        full = np.argwhere((self._used + more > sizes) & (more > 0))
        self._full |= {(int(switch), int(table)) for switch, table in full}
        return not len(full)

    def _hold(self, entries: Numbers) -> None:
        self._count(entries, 1)

    def _release(self, flows: U64) -> None:
        self._count(self.engine.book.entries(flows), -1)

    def _count(self, entries: Numbers, change: int) -> None:
        entries = entries[entries != NONE]
        touched = np.unique(entries)
        before = self._users[touched] > 0
        np.add.at(self._users, entries, change)
        after = self._users[touched] > 0
        book, turned = self.engine.book, touched[before != after]
        np.add.at(self._used, (book.switch[turned], book.table[turned]), change)

    def _learn(self) -> None:
        more = len(self.engine.book) - len(self._users)
        if more:
            self._users = np.concatenate([self._users, np.zeros(more, np.int64)])

    def _roll_back(self, now: float) -> None:
        """As sagas do whose switch said RESOURCE_EXHAUSTED."""
        engine = self.engine
        for flows in self._refused:
            engine.places.enter(flows, OVERLAY, now, engine.series, failed=True)
        if self._full:
            held = engine.entries_held()
            for switch, table in sorted(self._full):
                name = engine.directory.switches[switch]
                engine.allowance.refused(f"switch:{name}: RESOURCE_EXHAUSTED: table {TABLES[table]} is full", held, now)
        self._refused.clear()
        self._full.clear()
