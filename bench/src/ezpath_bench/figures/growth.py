"""Curves in other benchmarks' results, and how they grow: a power law fitted by least squares in logarithms. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ezpath_collector.cells import CELL_BYTES


@dataclass(frozen=True, slots=True)
class Curve:
    """Values against sizes, and value ≈ exp(offset) · size^power."""

    name: str
    against: str
    sizes: Sequence[float]
    values: Sequence[float]
    power: float
    offset: float
    limit: str = ""
    """What no program on this machine can pass, in words; "" where nothing physical bounds it, …"""
    limits: Sequence[float] = ()
    """… and its value at each size."""

    @classmethod
    def fitted(
        cls,
        name: str,
        against: str,
        points: Sequence[tuple[float, float]],
        limit: str = "",
        limits: Sequence[float] = (),
    ) -> Curve:
        """Raises ValueError for fewer than two sizes, or for what has no logarithm."""
        sizes, values = [size for size, _ in points], [value for _, value in points]
        if len(set(sizes)) < 2 or min(*sizes, *values) <= 0:
            raise ValueError(f"{name}: no growth can be fitted to {points}")
        power, offset = np.polyfit(np.log(sizes), np.log(values), 1)
        return cls(name, against, sizes, values, float(power), float(offset), limit, limits)

    def __str__(self) -> str:
        at = max(self.sizes)
        said = f"{self.name}: grows as {self.against}^{self.power:.2f}; {self.at(at):.3g} at {at:,.0f}"
        if self.limits:
            bound = dict(zip(self.sizes, self.limits, strict=True))[at]
            said += f", where {bound:.3g} is the limit ({self.limit})"
        return said

    def at(self, size: float) -> float:
        """What was fitted."""
        return float(math.exp(self.offset) * size**self.power)


def curves_of(results: Mapping[str, Any]) -> Iterator[Curve]:
    """What can be fitted in results of the `decider`, `collectors` and `saga` benchmarks, kept as ``runs``.

    ``limits`` beside them are what this machine can do at most (limits.py).
    """
    kept, limits = results.get("runs", ()), results.get("limits", {})
    yield from _deciding([run for each in kept for run in each.get("runs", ())], limits)
    yield from _polling([(each["cells"], case) for each in kept for case in each.get("cases", ())], limits)
    yield from _sagas([each["rate"] for each in kept if "rate" in each])


def _deciding(runs: Sequence[Mapping[str, Any]], limits: Mapping[str, float]) -> Iterator[Curve]:
    """A round looks at each flow, so its columns come out of memory once at least."""
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        found = [run for run in runs if run["strategy"] == strategy]
        points = [(run["flows"], run["round_s"]) for run in found]
        least = [run["flows"] * run["bytes_a_flow"] / limits["memory_octets_s"] for run in found if limits]
        yield from _fitted(f"{strategy}, seconds a round", "flows", points, "each flow's columns read once", least)
        memory = [(run["flows"], run["flows"] * run["bytes_a_flow"]) for run in found]
        yield from _fitted(f"{strategy}, octets of memory", "flows", memory)


def _polling(cases: Sequence[tuple[int, Mapping[str, Any]]], limits: Mapping[str, float]) -> Iterator[Curve]:
    """A second's polls against cells where the switches are as many, and against switches where their cells are."""
    alone = [(cells, case) for cells, case in cases if case["collectors"] == 1]
    copied = "each octet once through a socket"

    def least(cells: int, polls: float) -> float:
        return cells * polls * CELL_BYTES / limits["socket_octets_s"]

    for switches in sorted({case["switches"] for _, case in alone}):
        found = [(cells, case["cores"]) for cells, case in alone if case["switches"] == switches]
        bounds = [least(cells, switches) for cells, _ in found if limits]
        yield from _fitted(f"a collector's cores, {switches} switches", "cells", found, copied, bounds)
    for cells in sorted({cells for cells, _ in alone}):
        counts = [(case["switches"], case["cores"]) for each, case in alone if each == cells]
        bounds = [least(cells, count) for count, _ in counts if limits]
        yield from _fitted(f"a collector's cores, {cells:,} cells each", "switches", counts, copied, bounds)


def _sagas(rates: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """Rates against pairs where the racks are as many, and against racks where the pairs are; entries against pairs."""
    busy = "both cores with nothing else to do"
    for against, other in (("pairs", "racks"), ("racks", "pairs")):
        for same in sorted({rate[other] for rate in rates}):
            found = [rate for rate in rates if rate[other] == same]
            for way in ("offload", "revert"):
                points = [(rate[against], rate[way]) for rate in found]
                bounds = [rate["most"] for rate in found] if way == "offload" else []
                yield from _fitted(f"{way}s a second, {same:,} {other}", against, points, busy, bounds)
    for same in sorted({rate["racks"] for rate in rates}):
        found = [rate for rate in rates if rate["racks"] == same]
        points = [(rate["pairs"], rate["entries"]) for rate in found]
        room = [rate["room"] for rate in found]
        yield from _fitted(f"entries on the fullest ToR, {same} racks", "pairs", points, "its tables' size", room)


def _fitted(
    name: str, against: str, points: Sequence[tuple[float, float]], limit: str = "", limits: Sequence[float] = ()
) -> Iterator[Curve]:
    if len({size for size, _ in points}) >= 2 and all(value > 0 for _, value in points):
        yield Curve.fitted(name, against, points, limit if limits else "", limits)
