"""A simulation in four pictures: who carries how much, over time too, how restless it is, how full tables are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ezpath_decider.sim.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ezpath_decider.sim.report import Result

WINDOW = 5
"""Rounds that a curve is the mean of."""


def draw(result: Result, tallies: Sequence[Tally], file: Path) -> None:
    """Into ``file``; its ending says of which kind. The same numbers give the same file."""
    matplotlib.rcParams["svg.hashsalt"] = "ezpath"
    figure = Figure(figsize=(14, 9), layout="constrained")
    axes: Sequence[Sequence[Axes]] = figure.subplots(2, 2)
    shares, over_time, moves, use = axes[0][0], axes[0][1], axes[1][0], axes[1][1]
    ordered = sorted(result.policies, key=lambda each: each.packets)
    names = [each.policy for each in ordered]
    colours = {tally.policy: f"C{number}" for number, tally in enumerate(tallies)}
    places = np.arange(len(names))
    shares.barh(places + 0.2, [100 * each.packets for each in ordered], 0.4, label="packets")
    shares.barh(places - 0.2, [100 * each.octets for each in ordered], 0.4, label="bytes")
    shares.set_yticks(places, names)
    shares.set_xlabel("% carried by the switches")
    shares.legend()
    moves.barh(places, [each.moves_s for each in ordered], color=[colours[name] for name in names])
    moves.set_yticks(places, names)
    moves.set_xlabel("switch-overs a second")
    for tally in tallies:
        over_time.plot(tally.at, 100 * _smooth(tally.share()), label=tally.policy, color=colours[tally.policy])
        if tally.table_use:
            use.plot(tally.at, 100 * np.array(tally.table_use), label=tally.policy, color=colours[tally.policy])
    for curves, what in ((over_time, "% of packets carried by the switches"), (use, "% of the budget in use")):
        curves.set_xlabel("seconds")
        curves.set_ylabel(what)
        curves.axvspan(0, result.warm_up_s, alpha=0.1, color="grey")
        curves.set_ylim(0)
    over_time.legend(ncols=2, fontsize="small")
    figure.suptitle(
        f"{result.containers:,} containers, {result.hosts:,} hosts, {result.racks:,} racks; "
        f"budget {result.entries:,} of {result.entries_of_all:,} entries (grey: warm-up)"
    )
    metadata = {"Date": None} if file.suffix == ".svg" else {}
    figure.savefig(file, metadata=metadata)


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.ones(min(WINDOW, len(values)))
    smooth: np.ndarray = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
    return smooth
