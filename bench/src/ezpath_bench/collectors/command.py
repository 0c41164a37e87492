"""``ezpath-bench collectors``: what polling a switch costs a collector, and that it costs the same with many of them.

Everything is real but the switches, which answer with bytes made beforehand (:mod:`ezpath_bench.collectors.switch`):
nats-server, and the collectors as processes, which share the switches by their leases.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from ezpath.bus import BusError
from ezpath.telemetry import configure_logging
from ezpath_lab.shell import LabError
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.collectors.cost import Cost, once_a_second, verdicts
from ezpath_bench.collectors.rig import NotPolled, Rig

_SECONDS = 10.0
_ROUND_AND_MORE = 1.25

_EPILOG = """\b
Examples:
  ezpath-bench collectors                               1 collector with 5, 10 and 20 switches, 2 with 20 (a minute)
  ezpath-bench collectors --switches 125 --switches 250 --switches 500 --collectors 8 --collectors 4 --interval 25
                                                        curves over both, as far as few cores go (make bench-scale)
  ezpath-bench collectors --quick                       few cells, to see that it works
"""


@click.command("collectors", epilog=_EPILOG)
@click.option("--switches", type=click.IntRange(1), multiple=True, help="How many; repeatable. [default: 5 10 20]")
@click.option(
    "--collectors",
    type=click.IntRange(1),
    multiple=True,
    help="How many; repeatable: the first with all numbers of switches, the others with the most. [default: 1 2]",
)
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between polls.")
@click.option("--cells", type=click.IntRange(64), default=65536, show_default=True, help="Of each switch.")
@click.option("--used", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Part of them in use.")
@click.option(
    "--seconds", type=click.FloatRange(1), help="Measured, for each case. [default: 10, or 1.25 intervals if longer]"
)
@click.option("--quick", is_flag=True, help="256 cells, 2 seconds: shows that it works, proves nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(
    switches: tuple[int, ...],
    collectors: tuple[int, ...],
    interval: float,
    cells: int,
    used: float,
    seconds: float | None,
    quick: bool,
    p4_dir: Path,
    out: Path | None,
) -> None:
    """Processor time that polling a switch takes, as the number of switches and of collectors grows.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs no root.
    """
    configure_logging("warning")
    cases = _cases(switches or (5, 10, 20), collectors or (1, 2))
    measured_s = seconds or max(_SECONDS, _ROUND_AND_MORE * interval)
    if quick:
        cells, measured_s, cases = 256, 2.0, [(2, 1), (4, 1), (4, 2)]
    costs: list[Cost] = []
    try:
        with tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder, ExitStack() as stack:
            rig = Rig(Path(folder), stack, p4_dir, cells, used, interval)
            for switch_count, collector_count in cases:
                costs.append(asyncio.run(rig.measured(switch_count, collector_count, measured_s)))
    except (LabError, NotPolled, BusError) as error:
        raise click.ClickException(str(error)) from error
    _show(costs, cells, used)
    results = {"cells": cells, "used": used, "interval_s": interval, "cases": [asdict(cost) for cost in costs]}
    report.save(out, "collectors", results)
    console, reached = Console(), list(verdicts(costs))
    for good, words in reached:
        console.print(f"[{'green' if good else 'red'}]{'reached' if good else 'MISSED '}[/]  {words}")
    console.print(once_a_second(costs, os.cpu_count() or 1))
    if not all(good for good, _ in reached) and not quick:
        raise SystemExit(1)


def _cases(switches: Sequence[int], collectors: Sequence[int]) -> list[tuple[int, int]]:
    """Two curves that meet: over the switches with the first number of collectors, over collectors with the most."""
    counts, first = sorted(set(switches)), collectors[0]
    return list(dict.fromkeys([*((count, first) for count in counts), *((counts[-1], n) for n in collectors)]))


def _show(costs: Sequence[Cost], cells: int, used: float) -> None:
    columns = (
        *("switches", "collectors, and what each has", "polls", "ms of a core a poll", "share a switch"),
        *("all collectors", "switches", "NATS"),
    )
    rows = [
        (
            str(cost.switches),
            f"{cost.collectors} ({_parts(cost.polled_by)})",
            str(cost.polls),
            f"{cost.ms_a_poll:.1f}",
            f"{cost.share:.1%}",
            f"{cost.cores:.2f} cores",
            f"{cost.switch_cores:.2f} cores",
            f"{cost.nats_cores:.2f} cores",
        )
        for cost in costs
    ]
    report.show(f"Polling switches of {cells:,} cells, {used:.0%} of them in use", columns, rows)


def _parts(polled_by: Sequence[int]) -> str:
    return str(polled_by[0]) if len(set(polled_by)) == 1 else f"{polled_by[-1]} to {polled_by[0]}"
