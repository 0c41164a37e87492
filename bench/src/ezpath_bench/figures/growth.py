"""Curves in other benchmarks' results, and how they grow: a power law fitted by least squares in logarithms. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Curve:
    """Values against sizes, and value ≈ exp(offset) · size^power."""

    name: str
    against: str
    sizes: Sequence[float]
    values: Sequence[float]
    power: float
    offset: float

    @classmethod
    def fitted(cls, name: str, against: str, points: Sequence[tuple[float, float]]) -> Curve:
        """Raises ValueError for fewer than two sizes, or for what has no logarithm."""
        sizes, values = [size for size, _ in points], [value for _, value in points]
        if len(set(sizes)) < 2 or min(*sizes, *values) <= 0:
            raise ValueError(f"{name}: no growth can be fitted to {points}")
        power, offset = np.polyfit(np.log(sizes), np.log(values), 1)
        return cls(name, against, sizes, values, float(power), float(offset))

    def __str__(self) -> str:
        at = max(self.sizes)
        value = math.exp(self.offset) * at**self.power
        return f"{self.name}: grows as {self.against}^{self.power:.2f}; {value:.3g} at {at:,.0f}"


def curves_of(results: Mapping[str, Any]) -> Iterator[Curve]:
    """What can be fitted in results of the `decider`, `collectors` and `saga` benchmarks, kept as ``runs``."""
    kept = results.get("runs", ())
    deciding = [run for each in kept for run in each.get("runs", ())]
    for strategy in dict.fromkeys(run["strategy"] for run in deciding):
        points = [(run["flows"], run["round_s"]) for run in deciding if run["strategy"] == strategy]
        yield from _fitted(f"{strategy}, seconds a round", "flows", points)
    polling = [(each["cells"], case) for each in kept for case in each.get("cases", ()) if case["collectors"] == 1]
    yield from _fitted(
        "collector, cores", "cells", [(cells * case["switches"], case["cores"]) for cells, case in polling]
    )
    rates = [each["rate"] for each in kept if "rate" in each]
    for way in ("offload", "revert"):
        yield from _fitted(f"{way}s a second", "pairs", [(rate["pairs"], rate[way]) for rate in rates])


def _fitted(name: str, against: str, points: Sequence[tuple[float, float]]) -> Iterator[Curve]:
    if len({size for size, _ in points}) >= 2 and all(value > 0 for _, value in points):
        yield Curve.fitted(name, against, points)
