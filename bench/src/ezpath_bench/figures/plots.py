"""Plots, as SVG files: bars of medians with their spread, values over time, and curves with their fitted growth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ezpath_bench.figures.experiment import Experiment
from ezpath_bench.figures.growth import Curve, curves_of
from ezpath_bench.figures.results import CLASSES, Case, Outcome
from ezpath_bench.rounds import Spread

matplotlib.rcParams["svg.hashsalt"] = "ezpath"
_WIDTH_IN, _HEIGHT_IN = 7.0, 3.2


def draw(out: Path, experiment: Experiment, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(file, caption) of each plot of an experiment."""
    metrics = outcome.metrics()
    for metric in metrics[:2]:
        yield _save(out, f"{experiment.name}-{len(metric)}-{metrics.index(metric)}", _bars(outcome, metric), metric)
    for unit in dict.fromkeys(metric.removesuffix(", softirq") for metric in metrics if metric.endswith(", softirq")):
        yield _save(out, f"{experiment.name}-classes", _classes(outcome, unit), f"{unit}, by class, medians")
    if outcome.traces:
        yield _save(out, f"{experiment.name}-time", _traces(outcome), "over time")
    found = list(curves_of(outcome.curves))
    for number, against in enumerate(dict.fromkeys(curve.against for curve in found)):
        same = [curve for curve in found if curve.against == against]
        caption = f"against {against}, with the fitted growth"
        yield _save(out, f"{experiment.name}-growth-{number}", _growth(same), caption)


def growth_remarks(outcome: Outcome) -> list[str]:
    """What was fitted, in words."""
    return [str(curve) for curve in curves_of(outcome.curves)]


def _save(out: Path, name: str, figure: Figure, caption: str) -> tuple[str, str]:
    figure.savefig(out / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    return f"{name}.svg", caption


def _bars(outcome: Outcome, metric: str) -> Figure:
    """A group for each case, a bar for each mode; whiskers from the least to the greatest round."""
    figure = Figure((_WIDTH_IN, _HEIGHT_IN))
    axes = figure.subplots()
    cases, modes = outcome.cases(), outcome.modes()
    width = 0.8 / max(1, len(modes))
    for number, mode in enumerate(modes):
        spreads = [_spread(outcome, case, mode, metric) for case in cases]
        places = [group + (number - (len(modes) - 1) / 2) * width for group in range(len(cases))]
        shown = [(place, spread) for place, spread in zip(places, spreads, strict=True) if spread is not None]
        if not shown:
            continue
        medians = [spread.median for _, spread in shown]
        whiskers = [[s.median - s.least for _, s in shown], [s.greatest - s.median for _, s in shown]]
        axes.bar([place for place, _ in shown], medians, width, yerr=whiskers, capsize=2, label=mode)
    axes.set_xticks(range(len(cases)), [_tick(case) for case in cases])
    axes.set_ylabel(metric)
    axes.legend(fontsize="small", ncols=3)
    return figure


def _classes(outcome: Outcome, unit: str) -> Figure:
    """A bar for each case and mode, of classes on each other."""
    figure = Figure((_WIDTH_IN, _HEIGHT_IN))
    axes = figure.subplots()
    bars = [(case, mode) for case in outcome.cases() for mode in outcome.modes()]
    below = np.zeros(len(bars))
    for name in CLASSES:
        spreads = [_spread(outcome, case, mode, f"{unit}, {name}") for case, mode in bars]
        heights = np.array([spread.median if spread else 0.0 for spread in spreads])
        axes.bar(range(len(bars)), heights, 0.7, bottom=below, label=name)
        below += heights
    ticks = [f"{mode}\n{_tick(case)}" for case, mode in bars]
    axes.set_xticks(range(len(bars)), ticks, fontsize="x-small", rotation=90 if len(bars) > 8 else 0)
    axes.set_ylabel(unit)
    axes.legend(fontsize="small", ncols=3)
    return figure


def _tick(case: Case) -> str:
    return " ".join(
        [*([f"{case.octets} B"] if case.octets else []), *(["no segmentation"] if case.segmentation == "off" else [])]
    )


def _spread(outcome: Outcome, case: Case, mode: str, metric: str) -> Spread | None:
    series = outcome.series(case, mode, metric)
    return Spread.of(series) if series else None


def _traces(outcome: Outcome) -> Figure:
    figure = Figure((_WIDTH_IN, _HEIGHT_IN * len(outcome.traces)))
    for axes, trace in zip(np.atleast_1d(figure.subplots(len(outcome.traces))), outcome.traces, strict=True):
        axes.plot(trace.seconds, trace.values)
        for number, (when, what) in enumerate(trace.marks):
            axes.axvline(when, color="grey", linestyle=":")
            axes.annotate(
                what, (when, 0.95 - 0.07 * (number % 4)), xycoords=("data", "axes fraction"), fontsize="small"
            )
        axes.set_title(trace.label, fontsize="medium")
        axes.set_ylabel("Gbit/s")
        axes.set_xlabel("seconds")
        axes.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def _growth(curves: Sequence[Curve]) -> Figure:
    figure = Figure((_WIDTH_IN, _HEIGHT_IN))
    axes = figure.subplots()
    for curve in curves:
        points = axes.plot(curve.sizes, curve.values, "o", label=f"{curve.name}: size^{curve.power:.2f}")
        line, colour = np.geomspace(min(curve.sizes), max(curve.sizes), 50), points[0].get_color()
        axes.plot(line, [curve.at(size) for size in line], color=colour, linewidth=1)
        if curve.limits:
            by_size = sorted(zip(curve.sizes, curve.limits, strict=True))
            axes.plot(*zip(*by_size, strict=True), ":", color=colour, label=f"limit: {curve.limit}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(curves[0].against)
    axes.legend(fontsize="small")
    return figure
