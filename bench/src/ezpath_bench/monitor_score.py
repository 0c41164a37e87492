"""What a reader learns from a monitor that it polls, against the truth: recall of the heaviest flows, byte error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from ezpath_bench import monitor_models as models
from ezpath_bench.monitor_trace import Integers, Second

TOP = 1000
"""How many of the heaviest flows have to be found."""

RULES = {
    "EZPath": f"{models.EZPATH_BITS} bits a cell, {models.STAGES} stages; the weakest of a flow's cells, "
    "by bytes of late, goes when newcomers have worn it down (p4/ezpath/monitor.p4)",
    "HashPipe": f"{models.HASHPIPE_BITS} bits a cell, {models.HASHPIPE_STAGES} stages, by bytes (SOSR 2017); runs on, "
    "and is read like EZPath's",
    "HashPipe, cleared": "the same, emptied at each poll: a window of a second, as in its paper, and one reader only",
    "single, patient": f"{models.SINGLE_BITS} bits a cell, one stage; another flow's packet takes a cell whose holder "
    "was silent for a whole epoch (1.05 s), else it is not counted",
    "single, replacing": "the same, but another flow's packet always takes the cell",
}
"""Each monitor's memory and replacement rule, for people."""

NOTHING = np.zeros(0, np.int64)
Feed = Callable[[Integers, Integers, Second], object]
"""Packets of a second into cells; the second argument holds the flows' hashes."""


@dataclass(frozen=True, slots=True)
class Error:
    """Of the estimates for the truly heaviest flows."""

    recall: float
    """Part of the heaviest that are among the heaviest estimates."""
    total: float
    """Sum of the absolute errors over the sum of the true bytes."""
    mean: float
    """Mean of each flow's absolute error over its true bytes."""


def error(truth: Integers, estimate: Integers, top: int = TOP) -> Error:
    """Both indexed by flow."""
    heaviest = heaviest_of(truth, top)
    true, guessed = truth[heaviest], estimate[heaviest]
    off = np.abs(guessed - true)
    found = np.isin(heaviest, heaviest_of(estimate, top)).mean()
    return Error(float(found), float(off.sum() / true.sum()), float((off / true).mean()))


def heaviest_of(octets: Integers, top: int) -> Integers:
    """The ``top`` flows with the most bytes, none without any. In no order."""
    some = np.flatnonzero(octets)
    if len(some) <= top:
        return some
    return some[np.argpartition(octets[some], len(some) - top)[-top:]]


@dataclass(slots=True)
class Reader:
    """Polls one monitor, as the collector and the decider do: differences by key, from zero where a counter shrank."""

    total: Integers
    """Bytes of each flow, over all polls."""
    errors: list[Error] = field(default_factory=list)
    """One a poll: of that interval alone."""
    _keys: Integers = field(default_factory=lambda: NOTHING)
    _octets: Integers = field(default_factory=lambda: NOTHING)

    def read(self, keys: Integers, octets: Integers, truth: Integers) -> None:
        """``keys`` (each once) with their counters; ``truth``: what each flow really sent since the last poll."""
        before = np.zeros_like(self.total)
        before[self._keys] = self._octets
        grown = np.where(octets >= before[keys], octets - before[keys], octets)
        before[self._keys] = 0
        before[keys] = grown
        self.total += before
        self.errors.append(error(truth, before))
        self._keys, self._octets = keys, octets

    def forget(self) -> None:
        """The monitor was cleared."""
        self._keys = self._octets = NOTHING


@dataclass(slots=True)
class Candidate:
    """One monitor with its reader."""

    name: str
    cells: Integers
    bits: int
    """Of a cell in hardware."""
    feed: Feed
    reader: Reader
    cleared: bool = False
    """Emptied at each poll: then it can have one reader only."""
    unmonitored: int = 0
    """Bytes; EZPath's own says so."""

    @property
    def kib(self) -> float:
        stages, per_stage = int(self.cells.shape[0]), int(self.cells.shape[1])
        return stages * per_stage * self.bits / 8 / 1024

    def take(self, hashes: Integers, second: Second, truth: Integers) -> None:
        """A second's packets, then a poll."""
        lost = self.feed(self.cells, hashes, second)
        if isinstance(lost, tuple):
            self.unmonitored += lost[1]
        self.reader.read(*held(self.cells), truth)
        if self.cleared:
            self.cells[:] = 0
            self.reader.forget()

    def interval_recall(self) -> tuple[float, float]:
        """Mean and worst over the polls."""
        recalls = [one.recall for one in self.reader.errors]
        return fmean(recalls), min(recalls)


def held(cells: Integers) -> tuple[Integers, Integers]:
    """Flows in the cells, each once, and their bytes; equal keys (HashPipe has some) added up."""
    rows = cells.reshape(-1, cells.shape[2])
    rows = rows[rows[:, models.KEY] > 0]
    keys, where = np.unique(rows[:, models.KEY] - 1, return_inverse=True)
    octets = np.zeros(len(keys), np.int64)
    np.add.at(octets, where, rows[:, models.OCTETS])
    return keys, octets


def candidates(cells: int, flows: int) -> list[Candidate]:
    """All monitors, with the memory of ``cells`` of EZPath's, a power of two from 1024 on."""

    def make(name: str, stages: int, columns: int, bits: int, feed: Feed, *, cleared: bool = False) -> Candidate:
        per_stage = cells * models.EZPATH_BITS // bits // stages
        table = np.zeros((stages, per_stage, columns), np.int64)
        return Candidate(name, table, bits, feed, Reader(np.zeros(flows, np.int64)), cleared)

    def single(patience: int) -> Feed:
        return lambda table, crcs, second: models.single(
            table, crcs, second.flows, second.octets, second.times_us, patience
        )

    def hashpipe(table: Integers, crcs: Integers, second: Second) -> None:
        models.hashpipe(table, crcs, second.flows, second.octets)

    def ezpath(table: Integers, crcs: Integers, second: Second) -> tuple[int, int]:
        return models.ezpath(table, crcs, second.flows, second.octets, second.times_us)

    return [
        make("EZPath", models.STAGES, 5, models.EZPATH_BITS, ezpath),
        make("HashPipe", models.HASHPIPE_STAGES, 3, models.HASHPIPE_BITS, hashpipe),
        make("HashPipe, cleared", models.HASHPIPE_STAGES, 3, models.HASHPIPE_BITS, hashpipe, cleared=True),
        make("single, patient", 1, 4, models.SINGLE_BITS, single(1)),
        make("single, replacing", 1, 4, models.SINGLE_BITS, single(-1)),
    ]
