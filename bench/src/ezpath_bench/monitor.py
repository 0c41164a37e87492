"""``ezpath-bench monitor``: does the flow monitor find the heavy flows, and how many of their bytes?

Against exact counts, over heavy-tailed traces, beside HashPipe and plain hash tables of the same memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from ezpath_bench import report
from ezpath_bench.monitor_models import EZPATH_BITS
from ezpath_bench.monitor_score import RULES, TOP, Candidate, Error, candidates, error
from ezpath_bench.monitor_trace import Trace, hashes, keys, seconds

CELLS = 1 << 16
MORE = 10_000
CURVE = tuple(1 << bits for bits in range(12, 19))
SKEWS = (1.0, 1.1, 1.2, 1.3, 1.4)
FLOWS = (100_000, 1_000_000)
ON_CURVE = ((1_000_000, 1.0), (1_000_000, 1.2))
"""Traces on which every memory size is tried: the flattest, and one from the middle."""

LEAST_RECALL, MOST_ERROR = 0.99, 0.02
"""To reach with CELLS cells on every trace; both byte errors have to."""


@dataclass(frozen=True, slots=True)
class Result:
    """One monitor on one trace."""

    monitor: str
    cells: int
    """Of EZPath's monitor with the same memory."""
    kib: float
    whole: Error
    interval_recall_mean: float
    interval_recall_worst: float
    unmonitored: float
    """Part of the bytes; EZPath only."""
    more_recall: float
    """Of the MORE heaviest, for which there is no target."""

    @property
    def met(self) -> bool:
        return self.whole.recall >= LEAST_RECALL and max(self.whole.total, self.whole.mean) <= MOST_ERROR


def run(trace: Trace, sizes: Sequence[int]) -> list[Result]:
    """All monitors of all ``sizes`` over the same packets."""
    crcs = hashes(*keys(trace.ever))
    running = [(cells, one) for cells in sizes for one in candidates(cells, trace.ever)]
    truth = np.zeros(trace.ever, np.int64)
    for second in seconds(trace):
        sent = np.bincount(second.flows, second.octets, trace.ever).astype(np.int64)
        truth += sent
        for _, candidate in running:
            candidate.take(crcs, second, sent)
    return [_result(cells, candidate, truth) for cells, candidate in running]


def _result(cells: int, candidate: Candidate, truth: Any) -> Result:
    mean, worst = candidate.interval_recall()
    lost = candidate.unmonitored / int(truth.sum())
    total = candidate.reader.total
    whole, more = error(truth, total), error(truth, total, MORE)
    return Result(candidate.name, cells, candidate.kib, whole, mean, worst, lost, more.recall)


def traces(seed: int, churn: float, *, quick: bool) -> Iterable[Trace]:
    """One for each number of flows and skew."""
    full = Trace(0, 0.0, seconds=20, packets_s=1_000_000, churn=churn, seed=seed)
    shape = replace(full, seconds=5, packets_s=400_000) if quick else full
    for flows in FLOWS:
        for skew in SKEWS:
            yield replace(shape, flows=flows, skew=skew)


@click.command(epilog="Example: ezpath-bench monitor --seed 7 --out results")
@click.option("--seed", default=1, show_default=True, help="Of the traces: the same gives the same packets.")
@click.option(
    "--churn",
    default=0.02,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Part of the flows, heavy ones too, that end each second and are replaced.",
)
@click.option("--quick", is_flag=True, help="Shorter traces and no curve: under a minute.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to save monitor.json in.")
def command(seed: int, churn: float, quick: bool, out: Path | None) -> None:
    """Recall and byte error of the flow monitor on heavy-tailed traces. Exit status 1 where a target is missed."""
    results: list[tuple[Trace, Result]] = []
    planned = list(traces(seed, churn, quick=quick))
    for number, trace in enumerate(planned, 1):
        on_curve = not quick and (trace.flows, trace.skew) in ON_CURVE
        began = time.monotonic()
        results += [(trace, result) for result in run(trace, CURVE if on_curve else (CELLS,))]
        click.echo(
            f"{number}/{len(planned)}: {trace.flows:,} flows, skew {trace.skew}, {trace.seconds} s of "
            f"{trace.packets_s:,} packets/s; {time.monotonic() - began:.1f} s",
            err=True,
        )
    ours = [(trace, one) for trace, one in results if one.monitor == "EZPath" and one.cells == CELLS]
    _show_verdicts(ours)
    _show_others([(trace, one) for trace, one in results if one.cells == CELLS])
    if not quick:
        _show_curve(results)
    report.save(out, "monitor", _document(results))
    missed = sum(not one.met for _, one in ours)
    click.echo(f"Targets {'met on every trace' if not missed else f'missed on {missed} of {len(ours)} traces'}.")
    if missed:
        raise SystemExit(1)


def _show_verdicts(ours: Sequence[tuple[Trace, Result]]) -> None:
    kib = CELLS * EZPATH_BITS // 8 // 1024
    report.show(
        f"EZPath's monitor, {CELLS:,} cells of {EZPATH_BITS} bits: {kib:,} KiB of SRAM",
        (
            "trace",
            "recall",
            "byte error",
            "mean error",
            "each second",
            "worst",
            f"top {MORE:,}",
            "uncounted",
            "verdict",
        ),
        [
            (
                *(_name(trace), _percent(one.whole.recall), _percent(one.whole.total), _percent(one.whole.mean)),
                *(_percent(one.interval_recall_mean), _percent(one.interval_recall_worst), _percent(one.more_recall)),
                _percent(one.unmonitored),
                "met" if one.met else "MISSED",
            )
            for trace, one in ours
        ],
    )
    click.echo(
        f"Of the {TOP:,} heaviest flows by bytes, over the whole trace: recall (to reach: {LEAST_RECALL:.0%}); byte "
        "error, the sum of all errors over the sum of bytes; mean error, of each flow's own "
        f"(at most {MOST_ERROR:.0%} each).\n"
        f"each second, worst: recall of the {TOP:,} heaviest of each second alone, on average and at worst. "
        f"top {MORE:,}: recall of that many; there is no target for it. uncounted: part of all bytes.\n"
    )


def _show_others(results: Sequence[tuple[Trace, Result]]) -> None:
    names = list(dict.fromkeys(one.monitor for _, one in results))
    by_trace: dict[Trace, list[Result]] = {}
    for trace, one in results:
        by_trace.setdefault(trace, []).append(one)
    report.show(
        "Recall / byte error of monitors with the same memory",
        ("trace", *names),
        [(_name(trace), *map(_recall_and_error, ones)) for trace, ones in by_trace.items()],
    )
    for name in names:
        click.echo(f"{name}: {RULES[name]}.")


def _show_curve(results: Sequence[tuple[Trace, Result]]) -> None:
    for flows, skew in ON_CURVE:
        ones = [one for trace, one in results if (trace.flows, trace.skew) == (flows, skew)]
        names = list(dict.fromkeys(one.monitor for one in ones))
        report.show(
            f"Recall / byte error by memory: {flows:,} flows, skew {skew}",
            ("cells of EZPath's", "KiB", *names),
            [
                (
                    f"{cells:,}",
                    f"{cells * EZPATH_BITS / 8192:,.0f}",
                    *(_recall_and_error(one) for one in ones if one.cells == cells),
                )
                for cells in CURVE
            ],
        )


def _name(trace: Trace) -> str:
    return f"{trace.flows // 1000:,} k flows, skew {trace.skew}"


def _percent(part: float) -> str:
    return f"{part:.2%}"


def _recall_and_error(one: Result) -> str:
    return f"{one.whole.recall:.1%} / {one.whole.total:.2%}"


def _document(results: Sequence[tuple[Trace, Result]]) -> dict[str, Any]:
    return {
        "targets": {"recall": LEAST_RECALL, "byte error": MOST_ERROR, "top": TOP, "cells": CELLS},
        "runs": [{"trace": asdict(trace), **asdict(one)} for trace, one in results],
    }
