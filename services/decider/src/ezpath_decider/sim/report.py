"""What a simulation shows: a table, a verdict on `value`, plots and numbers."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ezpath_decider.sim.run import IDEAL, ORACLE, Simulation
from ezpath_decider.sim.tally import Summary, Tally

LEAST_OF_ORACLE = 0.95
MOST_OF_TOPK = 1 / 5
"""To reach by `value`: part of the oracle's packets, with so many of `topk`'s switch-overs."""


@dataclass(frozen=True, slots=True)
class Result:
    """All numbers of a simulation."""

    racks: int
    hosts: int
    containers: int
    flows: int
    """Seen at any time."""
    started_anew: int
    entries: int
    """Of the budget, on all ToRs together …"""
    entries_of_all: int
    """… of so many that all flows there could be would need."""
    seconds: float
    warm_up_s: float
    took_s: float
    memory_mib: int
    policies: tuple[Summary, ...]
    of_oracle: float | None
    """`value`'s packets, as part of the best oracle's."""
    of_topk: float | None
    """`value`'s switch-overs, as part of `topk`'s."""

    @property
    def met(self) -> bool:
        """`value` reaches both targets, where there is something to compare with."""
        return (self.of_oracle is None or self.of_oracle >= LEAST_OF_ORACLE) and (
            self.of_topk is None or self.of_topk <= MOST_OF_TOPK
        )


def result(simulation: Simulation, took_s: float) -> Result:
    """What came out."""
    plan, directory = simulation.plan, simulation.directory
    policies = tuple(tally.summary(plan.warm_up_s) for tally in simulation.tallies)
    by_name = {each.policy: each for each in policies}
    value, topk, best = by_name.get("value"), by_name.get("topk"), best_oracle(policies)
    return Result(
        racks=len(directory.racks),
        hosts=len(directory.hosts),
        containers=simulation.containers,
        flows=simulation.series.rows.count,
        started_anew=simulation.started_anew,
        entries=int(simulation.budget.sum()),
        entries_of_all=int(simulation.entries.sum()),
        seconds=plan.seconds,
        warm_up_s=plan.warm_up_s,
        took_s=took_s,
        memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        policies=policies,
        of_oracle=value.packets / best.packets if value and best and best.packets else None,
        of_topk=value.moves_s / topk.moves_s if value and topk and topk.moves_s else None,
    )


def best_oracle(policies: Sequence[Summary]) -> Summary | None:
    """The oracle: the one of those that look ahead which carried the most packets."""
    oracles = [each for each in policies if each.policy.startswith(ORACLE)]
    return max(oracles, key=lambda each: each.packets, default=None)


def show(result: Result) -> None:
    """The table and the verdict, on standard output."""
    best = best_oracle(result.policies)
    topk = next((each for each in result.policies if each.policy == "topk"), None)
    table = Table(
        title=f"{result.containers:,} containers on {result.hosts:,} hosts in {result.racks:,} racks, "
        f"{result.flows:,} flows seen; budget {result.entries:,} of {result.entries_of_all:,} entries",
        title_justify="left",
    )
    for number, name in enumerate(
        ("policy", "packets", "of oracle", "bytes", "moves/s", "of topk", "table use", "refused", "decides in")
    ):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    for each in sorted(result.policies, key=lambda each: -each.packets):
        table.add_row(
            each.policy,
            f"{each.packets:.2%}",
            f"{each.packets / best.packets:.1%}" if best and best.packets else "",
            f"{each.octets:.2%}",
            *(_cost(each, topk) if each.policy != IDEAL else ()),
        )
    Console(width=None if Console().is_terminal else 140).print(table)
    click.echo(
        "packets, bytes: part of all between hosts that the switches carried. moves: flows switched over, there and "
        f"back. Counted from {result.warm_up_s:g} to {result.seconds:g} s.\n"
        f"Took {result.took_s:.1f} s and {result.memory_mib:,} MiB."
    )
    if result.of_oracle is not None and best is not None:
        click.echo(f"value: {result.of_oracle:.1%} of {best.policy}'s packets (to reach: {LEAST_OF_ORACLE:.0%})")
    if result.of_topk is not None:
        click.echo(f"value: {result.of_topk:.3f} of topk's switch-overs (at most {MOST_OF_TOPK:.1f})")
    if result.of_oracle is not None or result.of_topk is not None:
        click.echo("Targets met." if result.met else "Targets missed.")


def _cost(each: Summary, topk: Summary | None) -> tuple[str, ...]:
    return (
        f"{each.moves_s:.2f}",
        f"{each.moves_s / topk.moves_s:.2f}" if topk and topk.moves_s else "",
        f"{each.table_use:.1%}",
        str(each.refusals),
        f"{each.decide_ms:.1f} ms",
    )


def check_plots() -> None:
    """Before hours are spent: is there what plots with? Raises :class:`click.UsageError`."""
    if find_spec("matplotlib") is None:
        raise click.UsageError("--out draws with matplotlib, and there is none: pip install matplotlib")


def save(result: Result, tallies: Sequence[Tally], out: Path) -> Iterator[Path]:
    """Plots as PNG and SVG, and all numbers, into the folder ``out``."""
    from ezpath_decider.sim.plots import draw

    out.mkdir(parents=True, exist_ok=True)
    numbers = out / "sim.json"
    rounds = {tally.policy: asdict(tally) for tally in tallies}
    numbers.write_text(json.dumps({**asdict(result), "rounds": rounds}) + "\n", encoding="utf-8")
    yield numbers
    for kind in ("png", "svg"):
        file = out / f"sim.{kind}"
        draw(result, tallies, file)
        yield file
