"""``ezpath-bench dataplane``: two software ToRs in series, beside a bare veth and other ways there are."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
from ezpath_lab.shell import LabError
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.dataplane import measure, tables
from ezpath_bench.dataplane.paths import WAYS, Unavailable, Way, Workshop
from ezpath_bench.dataplane.verdicts import BASE, FRAMES, verdicts
from ezpath_bench.rounds import Spread, interleaved, ratios

RTT_OCTETS = 350
PARTS = ("tcp", "packets", "rtt", "tables")

Values = dict[str, dict[str, list[float]]]
"""Figure to way to one value a round."""

_EPILOG = """\b
Examples:
  ezpath-bench dataplane                          all ways, 5 rounds (some 10 minutes)
  ezpath-bench dataplane --quick                  1 short round, to see that it works
  ezpath-bench dataplane --ways bare,tor --out results
  ezpath-bench dataplane --parts tcp,packets --ways bare,least,tor
"""


@click.command("dataplane", epilog=_EPILOG)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Each way once a round, in turn.")
@click.option("--seconds", type=click.FloatRange(0.2), default=2.0, show_default=True, help="Length of one run.")
@click.option("--quick", is_flag=True, help="One short round and small tables: shows that it works, proves nothing.")
@click.option("--ways", default="all", help=f"Some of {', '.join(WAYS)}, with commas between; bare is always there.")
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to measure, with commas between.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(rounds: int, seconds: float, quick: bool, ways: str, parts: str, p4_dir: Path, out: Path | None) -> None:
    """Throughput, packets a second, round trips and the program's own time, as ratios measured in one run.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs root.
    """
    if quick:
        rounds, seconds = 1, 0.5
    wanted = list(WAYS) if ways == "all" else [BASE, *(way for way in ways.split(",") if way != BASE)]
    _known("way", wanted, WAYS)
    figures = parts.split(",")
    _known("part", figures, PARTS)
    try:
        with tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder, asyncio.Runner() as runner:
            workshop = Workshop(Path(folder), p4_dir, runner)
            values = _compare(workshop, wanted, figures, rounds, seconds)
            growth: tables.Growth = {}
            if "tables" in figures and "tor" in wanted:
                sizes = tables.SIZES[:3] if quick else tables.SIZES
                growth = tables.measured(workshop, sizes, rounds, seconds, _say)
    except (LabError, measure.NoFigure) as error:
        raise click.ClickException(str(error)) from error
    _show(values, growth)
    report.save(out, "dataplane", {"values": values, "program_ns": growth})
    judged = list(verdicts(values, growth))
    for verdict in judged:
        click.echo(str(verdict))
    if not all(verdict.reached for verdict in judged):
        raise SystemExit(1)


def _known(kind: str, named: Sequence[str], there_are: Collection[str]) -> None:
    unknown = sorted(set(named) - set(there_are))
    if unknown:
        raise click.BadParameter(f"no {kind} is called {', '.join(unknown)}; there are {', '.join(there_are)}")


def _compare(workshop: Workshop, wanted: Sequence[str], parts: Collection[str], rounds: int, seconds: float) -> Values:
    figures = _figures(workshop.load_program(), parts, seconds)
    if not figures:
        return {}
    with ExitStack() as stack:
        ways = {}
        for name in wanted:
            try:
                ways[name] = stack.enter_context(WAYS[name](workshop))
            except Unavailable as reason:
                _say(f"{name} is left out: {reason}")
        values: Values = {figure: {name: [] for name in ways} for figure in figures}
        for figure, run in figures.items():
            runs = {name: partial(run, way) for name, way in ways.items()}
            for number, name, value in interleaved(runs, rounds):
                values[figure][name].append(value)
                _say(f"round {number + 1}/{rounds} {figure:>9} {name:>6} {value:10.3f}")
    return values


def _figures(load: str, parts: Collection[str], seconds: float) -> dict[str, Callable[[Way], float]]:
    """What to call for each figure of these parts."""
    figures: dict[str, Callable[[Way], float]] = {}
    if "tcp" in parts:
        figures["tcp_gbps"] = partial(measure.tcp_gbps, seconds=max(1.0, seconds))
    if "packets" in parts:
        for octets in FRAMES:
            figures[f"mpps_{octets}"] = partial(measure.packets_mpps, load=load, octets=octets, seconds=seconds)
    if "rtt" in parts:
        figures["rtt_us"] = partial(measure.round_trip_us, load=load, octets=RTT_OCTETS, count=int(5000 * seconds))
    return figures


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False)


def _show(values: Values, growth: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    rows = []
    for figure, by_way in values.items():
        against = ratios(by_way, BASE)
        for way, series in by_way.items():
            rows.append([figure, way, *_cells(Spread.of(series)), *_cells(against[way])])
    heads = ["figure", "way", "median", "least", "greatest", f"of {BASE}", "least", "greatest"]
    if rows:
        report.show("Two switches in series against the ways without them", heads, rows)
    rows = [
        [kind, f"{size:,}", *_cells(Spread.of(series), digits=0)]
        for kind, by_size in growth.items()
        for size, series in by_size.items()
    ]
    if rows:
        heads = ["nanoseconds in the program", "entries", "median", "least", "greatest"]
        report.show("The software ToR's program, encapsulating, by entries in its largest table", heads, rows)


def _cells(spread: Spread, digits: int = 3) -> list[str]:
    return [f"{value:.{digits}f}" for value in (spread.median, spread.least, spread.greatest)]
