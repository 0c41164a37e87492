"""The flows as the page shows them: where each is carried, its rate so far, and when what was decided. Pure.

A snapshot tells of all flows once a round. What sagas say in between is newer, so it counts until the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

from ezpath.catalogue import Event
from ezpath.cli.timeline import AT_REST
from ezpath.console.tunnels import Where, legs, places
from ezpath.events import (
    FlowLine,
    FlowsSnapshot,
    OffloadRequested,
    PhaseName,
    RevertRequested,
    SagaOutcome,
    SagaStep,
)
from ezpath.inventory import Inventory
from ezpath.names import PairId, Tenant

MOST_FLOWS = 100
"""Shown, the busiest first: more than anybody reads."""
HORIZON_S = 600.0
"""How far back plots go."""
STEP_S = 1.0
"""Between two points of a plot, at least."""
MOST_POINTS = int(HORIZON_S / STEP_S)
MOST_MARKS = 24
_WHERE: tuple[Where, ...] = get_args(Where)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a flow: something was decided, or came of it."""

    at: float
    what: str
    """``offload`` and ``revert`` were decided; ``active``, ``reverted`` and ``rolled-back`` came of it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Point:
    """A flow in one snapshot."""

    number: int
    """Of the snapshot."""
    at: float
    rate_bps: int
    carried: int
    """Index into the names of :data:`Where`."""


@dataclass(slots=True)
class Past:
    """One flow's."""

    points: deque[Point] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))

    def add(self, point: Point) -> None:
        while self.points and self.points[0].at < point.at - HORIZON_S:
            self.points.popleft()
        before = self.points[-1] if self.points else None
        if before is None or point.at - before.at >= STEP_S * 0.9 or point.carried != before.carried:
            self.points.append(point)

    def ended(self, now: float) -> bool:
        """Whether nothing of it is left to be shown."""
        newest = max(self.points[-1].at if self.points else 0.0, self.marks[-1].at if self.marks else 0.0)
        return newest < now - HORIZON_S


@dataclass(frozen=True, slots=True)
class _Word:
    """What a saga said last of where its pair is."""

    at: float
    where: Where
    phase: PhaseName
    tenant: Tenant


class Flows:
    """Changes with each event."""

    def __init__(self, network: Inventory) -> None:
        self.network = network
        self._snapshot = FlowsSnapshot(0.0)
        self.newest = 0
        """The number of the last snapshot."""
        self._words: dict[PairId, _Word] = {}
        self._past: dict[PairId, Past] = {}

    def hear(self, event: Event) -> frozenset[str]:
        """The parts of the page that change: ``flows``, ``marks``."""
        match event:
            case FlowsSnapshot():
                self._take(event)
                return frozenset({"flows"})
            case OffloadRequested() | RevertRequested():
                what = "offload" if isinstance(event, OffloadRequested) else "revert"
                self._mark(event.pair, Mark(event.at, what, event.reason))
                return frozenset({"marks"})
            case SagaStep() if event.phase not in AT_REST:
                self._say(event.pair, _Word(event.at, "moving", event.phase, event.tenant))
                return frozenset({"flows"})
            case SagaOutcome():
                where: Where = "switch" if event.outcome == "active" else "overlay"
                self._say(event.pair, _Word(event.at, where, event.outcome, event.tenant))
                self._mark(event.pair, Mark(event.at, event.outcome, event.reason))
                return frozenset({"flows", "marks"})
        return frozenset()

    def lines(self) -> list[FlowLine]:
        """All flows as they are now, the busiest first."""
        known = {line.pair: line for line in self._snapshot.flows}
        for pair, word in self._words.items():
            line = known.get(pair) or _silent(pair, word)
            phase = None if word.phase in ("reverted", "rolled-back") else word.phase
            known[pair] = replace(line, where=word.where, phase=phase)
        return sorted(known.values(), key=lambda line: (-line.rate_bps, line.pair))

    def document(self) -> Mapping[str, Any]:
        lines = self.lines()
        sums = dict.fromkeys(_WHERE, 0.0) | {"total": sum(line.rate_bps for line in lines)}
        counts = dict.fromkeys(_WHERE, 0)
        for line in lines:
            sums[line.where] += line.rate_bps
            counts[line.where] += 1
        shown = [self._row(line) for line in lines[:MOST_FLOWS]]
        left_out = len(lines) - len(shown)
        return {"at": self._snapshot.at, "flows": shown, "rates": sums, "counts": counts, "left_out": left_out}

    def points(self, seen: Mapping[str, int]) -> Mapping[str, list[Point]]:
        """Of each flow that :meth:`document` shows, the points behind the number ``seen`` of it."""
        shown = [line.pair for line in self.lines()[:MOST_FLOWS]]
        return {
            pair: [point for point in past.points if point.number > seen.get(pair, 0)]
            for pair in shown
            if (past := self._past.get(pair)) is not None
        }

    def marks(self) -> Mapping[str, Any]:
        return {pair: [asdict(mark) for mark in past.marks] for pair, past in self._past.items() if past.marks}

    def _row(self, line: FlowLine) -> Mapping[str, Any]:
        found = places(self.network, line.pair)
        return {
            **asdict(line),
            "places": [asdict(place) for place in found] if found else [],
            "legs": [asdict(leg) for leg in legs(*found, line.where, line.phase)] if found else [],
        }

    def _take(self, snapshot: FlowsSnapshot) -> None:
        self._snapshot = snapshot
        self.newest += 1
        self._words = {pair: word for pair, word in self._words.items() if word.at > snapshot.at}
        for line in self.lines()[:MOST_FLOWS]:
            point = Point(self.newest, snapshot.at, int(line.rate_bps), _WHERE.index(line.where))
            self._of(line.pair).add(point)
        self._past = {pair: past for pair, past in self._past.items() if not past.ended(snapshot.at)}

    def _say(self, pair: PairId, word: _Word) -> None:
        said = self._words.get(pair)
        if word.at > self._snapshot.at and (said is None or word.at >= said.at):
            self._words[pair] = word

    def _mark(self, pair: PairId, mark: Mark) -> None:
        past = self._of(pair)
        if mark not in past.marks:  # what was published twice, after a crash, was decided once
            past.marks.append(mark)

    def _of(self, pair: PairId) -> Past:
        return self._past.setdefault(pair, Past())


def _silent(pair: PairId, word: _Word) -> FlowLine:
    """A pair that no snapshot has told of yet."""
    _, a, b = pair.split(".")
    return FlowLine(pair, word.tenant, a, b, 0.0, 0.0, word.where, word.phase)
