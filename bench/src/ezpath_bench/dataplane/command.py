"""``ezpath-bench dataplane``: two software ToRs in series, beside a bare veth and other ways there are."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
from ezpath_lab.shell import LabError
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.dataplane import measure, tables
from ezpath_bench.dataplane.paths import WAYS, Unavailable, Way, Workshop
from ezpath_bench.rounds import Spread, interleaved, ratios

FRAMES = (64, 350, 1440)
RTT_OCTETS = 350
BASE = "bare"
TCP_OF_BARE = 0.95
MPPS = 0.9
FLAT = 1.10
TIMES_BMV2 = 20.0

Values = dict[str, dict[str, list[float]]]
"""Figure to way to one value a round."""

_EPILOG = """\b
Examples:
  ezpath-bench dataplane                          all ways, 5 rounds (about 8 minutes)
  ezpath-bench dataplane --quick                  1 short round, to see that it works
  ezpath-bench dataplane --ways bare,tor --out results
"""


@click.command("dataplane", epilog=_EPILOG)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Each way once a round, in turn.")
@click.option("--seconds", type=click.FloatRange(0.2), default=2.0, show_default=True, help="Length of one run.")
@click.option("--quick", is_flag=True, help="One short round and small tables: shows that it works, proves nothing.")
@click.option("--ways", default="all", help=f"Some of {', '.join(WAYS)}, with commas between; bare is always there.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(rounds: int, seconds: float, quick: bool, ways: str, p4_dir: Path, out: Path | None) -> None:
    """Throughput, packets a second, round trips and the program's own time, as ratios measured in one run.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs root.
    """
    if quick:
        rounds, seconds = 1, 0.5
    wanted = list(WAYS) if ways == "all" else [BASE, *(way for way in ways.split(",") if way != BASE)]
    unknown = sorted(set(wanted) - set(WAYS))
    if unknown:
        raise click.BadParameter(f"no way is called {', '.join(unknown)}; there are {', '.join(WAYS)}")
    try:
        with tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder, asyncio.Runner() as runner:
            workshop = Workshop(Path(folder), p4_dir, runner)
            values = _compare(workshop, wanted, rounds, seconds)
            sizes = tables.SIZES[:3] if quick else tables.SIZES
            growth = tables.measured(workshop, sizes, rounds, seconds, _say) if "tor" in values["tcp_gbps"] else {}
    except (LabError, measure.NoFigure) as error:
        raise click.ClickException(str(error)) from error
    _show(values, growth)
    report.save(out, "dataplane", {"values": values, "program_ns": growth})
    if not _verdicts(values, growth):
        raise SystemExit(1)


def _compare(workshop: Workshop, wanted: Sequence[str], rounds: int, seconds: float) -> Values:
    load = workshop.load_program()
    with ExitStack() as stack:
        ways = {}
        for name in wanted:
            try:
                ways[name] = stack.enter_context(WAYS[name](workshop))
            except Unavailable as reason:
                _say(f"{name} is left out: {reason}")
        figures: dict[str, Callable[[Way], float]] = {
            "tcp_gbps": partial(measure.tcp_gbps, seconds=max(1.0, seconds)),
            **{
                f"mpps_{octets}": partial(measure.packets_mpps, load=load, octets=octets, seconds=seconds)
                for octets in FRAMES
            },
            "rtt_us": partial(measure.round_trip_us, load=load, octets=RTT_OCTETS, count=int(5000 * seconds)),
        }
        values: Values = {figure: {name: [] for name in ways} for figure in figures}
        for figure, run in figures.items():
            runs = {name: partial(run, way) for name, way in ways.items()}
            for number, name, value in interleaved(runs, rounds):
                values[figure][name].append(value)
                _say(f"round {number + 1}/{rounds} {figure:>9} {name:>6} {value:10.3f}")
    return values


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False)


def _show(values: Values, growth: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    rows = []
    for figure, by_way in values.items():
        against = ratios(by_way, BASE)
        for way, series in by_way.items():
            rows.append([figure, way, *_cells(Spread.of(series)), *_cells(against[way])])
    heads = ["figure", "way", "median", "least", "greatest", f"of {BASE}", "least", "greatest"]
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


def _with_bounds(of_way: Mapping[str, float]) -> str:
    """The ToRs' figure, and what no program can pass on this machine: the veth, and a tunnel made by hand."""
    bounds = [f"{name} {of_way[way]:.2f}" for way, name in ((BASE, "bare veth"), ("least", "by hand")) if way in of_way]
    return f"{of_way['tor']:.2f} ({', '.join(bounds)})"


def _verdicts(values: Values, growth: Mapping[str, Mapping[int, Sequence[float]]]) -> bool:
    """Whether every target that could be judged is reached; prints each."""
    if "tor" not in values["tcp_gbps"]:
        return True
    median = {
        figure: {way: Spread.of(series).median for way, series in ways.items()} for figure, ways in values.items()
    }
    tcp = {way: spread.median for way, spread in ratios(values["tcp_gbps"], BASE).items()}
    mpps = median["mpps_64"]
    judged = [
        (f"TCP through two ToRs, of a bare veth: {_with_bounds(tcp)}", tcp["tor"] >= TCP_OF_BARE, f"{TCP_OF_BARE}"),
        (f"million packets a second, one core, 64 B: {_with_bounds(mpps)}", mpps["tor"] >= MPPS, f"{MPPS}"),
    ]
    if "bmv2" in values["tcp_gbps"]:
        times = min(median[f"mpps_{octets}"]["tor"] / median[f"mpps_{octets}"]["bmv2"] for octets in FRAMES)
        judged.append((f"packets a second, times BMv2's: {times:.0f}", times >= TIMES_BMV2, f"{TIMES_BMV2:.0f}"))
    one = growth.get("one destination", {})
    if {10, 100_000} <= set(one):
        ratio = Spread.of(one[100_000]).median / Spread.of(one[10]).median
        judged.append((f"100,000 entries against 10: {ratio:.2f}", ratio <= FLAT, f"at most {FLAT}"))
    for what, reached, target in judged:
        click.echo(f"{'reached' if reached else 'MISSED '}  {what} (target {target})")
    return all(reached for _, reached, _ in judged)
