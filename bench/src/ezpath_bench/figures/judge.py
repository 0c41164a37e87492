"""What an experiment's figures say about what is expected of them: a pure function of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ezpath_bench.figures.experiment import Expectation, Experiment
from ezpath_bench.figures.results import Case, Outcome
from ezpath_bench.rounds import Spread


@dataclass(frozen=True, slots=True)
class Judgement:
    """One expectation, and what came of it."""

    what: str
    found: float | None
    """None: not measured."""
    spread: str
    bound: str
    reached: bool
    paper: str

    @property
    def word(self) -> str:
        return "not measured" if self.found is None else "reached" if self.reached else "MISSED"

    def __str__(self) -> str:
        found = "nothing" if self.found is None else f"{self.found:.3g}"
        paper = f"; the paper: {self.paper}" if self.paper else ""
        return f"{self.word:8} {self.what}: {found} ({self.spread}; target {self.bound}{paper})"


def judgements(experiment: Experiment, outcome: Outcome) -> Iterator[Judgement]:
    """In the file's order; one for each message size where an expectation names none."""
    for expected in experiment.expect:
        for case in outcome.cases() or [Case(expected.segmentation)]:
            if case.segmentation == expected.segmentation and expected.octets in (None, case.octets):
                yield _judged(expected, outcome, case)


def _judged(expected: Expectation, outcome: Outcome, case: Case) -> Judgement:
    if expected.of is None:
        series = outcome.series(case, expected.mode, expected.metric)
        spread = Spread.of(series) if series else None
        what = f"{expected.metric}, {expected.mode}"
    else:
        spread = outcome.ratios(case, expected.metric, expected.mode, expected.of)
        what = f"{expected.metric}, {expected.mode} of {expected.of}"
    if case.octets:
        what += f", {case.octets} B"
    if case.segmentation == "off":
        what += ", segmentation off"
    bound = f"at least {expected.at_least:g}" if expected.at_least is not None else f"at most {expected.at_most:g}"
    if spread is None:
        return Judgement(what, None, "no rounds", bound, False, expected.paper)
    found = spread.median
    if expected.every_round:
        found, what = (spread.least if expected.at_least is not None else spread.greatest), f"{what}, in every round"
    reached = found >= expected.at_least if expected.at_least is not None else found <= (expected.at_most or 0.0)
    said = f"{spread.least:.3g} to {spread.greatest:.3g} in {spread.rounds} rounds"
    return Judgement(what, found, said, bound, reached, expected.paper)
