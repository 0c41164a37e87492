"""What was measured: one value of one metric, of one mode in one round; and the whole of a run, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ezpath_bench.rounds import Spread

CLASSES = ("user", "system", "softirq")
"""Of CPU time. Where a metric is told by class, each is called ``<metric>, <class>``."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is the same in all rounds of a comparison: modes in one case may be compared, others may not."""

    segmentation: str = "nic"
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    case: Case
    mode: str
    number: int
    """Of the round."""
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """A value over time, with what happened meanwhile."""

    label: str
    seconds: Sequence[float]
    values: Sequence[float]
    marks: Sequence[tuple[float, str]] = ()


@dataclass(slots=True)
class Outcome:
    """One experiment, carried out."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)
    """Another benchmark's results, as it keeps them."""
    remarks: list[str] = field(default_factory=list)
    failed: str = ""
    """Why there are no figures."""
    measured: str = ""
    """When, in words."""

    def cases(self) -> list[Case]:
        return list(dict.fromkeys(sample.case for sample in self.samples))

    def metrics(self) -> list[str]:
        return list(dict.fromkeys(metric for sample in self.samples for metric in sample.values))

    def modes(self) -> list[str]:
        return list(dict.fromkeys(sample.mode for sample in self.samples))

    def series(self, case: Case, mode: str, metric: str) -> list[float]:
        """One value a round, in their order."""
        found = [s for s in self.samples if s.case == case and s.mode == mode and metric in s.values]
        return [sample.values[metric] for sample in sorted(found, key=lambda sample: sample.number)]

    def ratios(self, case: Case, metric: str, mode: str, of: str) -> Spread | None:
        """Round by round, of what was measured in the same rounds; None where nothing was."""
        one, other = self.series(case, mode, metric), self.series(case, of, metric)
        pairs = [(a, b) for a, b in zip(one, other, strict=False) if b]
        return Spread.of([a / b for a, b in pairs]) if pairs else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Outcome:
        """What :meth:`to_json` gave. Raises KeyError or TypeError for anything else."""
        samples = [Sample(**{**each, "case": Case(**each["case"])}) for each in kept["samples"]]
        traces = [
            Trace(**{**each, "marks": [(float(when), str(what)) for when, what in each["marks"]]})
            for each in kept["traces"]
        ]
        return cls(**{**kept, "samples": samples, "traces": traces})


def rows(outcome: Outcome) -> Iterator[tuple[Case, str, str, Spread]]:
    """(case, metric, mode, spread), in the order of a table."""
    for metric in outcome.metrics():
        for case in outcome.cases():
            for mode in outcome.modes():
                series = outcome.series(case, mode, metric)
                if series:
                    yield case, metric, mode, Spread.of(series)
