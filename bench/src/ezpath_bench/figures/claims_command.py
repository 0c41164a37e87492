"""``ezpath-bench claims``: measures what README and docs claim, and fails where a claim is not borne out."""

from __future__ import annotations

from pathlib import Path

import click
from ezpath.telemetry import configure_logging
from rich.console import Console

from ezpath_bench.figures import runner
from ezpath_bench.figures.claims import Claim, MalformedClaim, broken, claims_of
from ezpath_bench.figures.command import SHIPPED
from ezpath_bench.figures.experiment import Experiment, parse

_EPILOG = """\b
Examples:
  ezpath-bench claims                 README.md, docs, bench, services, tor, lab: under a minute
  ezpath-bench claims --list          what is claimed, and by which experiment; runs nothing
  ezpath-bench claims docs/MINE.md
"""


@click.command("claims", epilog=_EPILOG)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--list", "only_list", is_flag=True, help="Say what is claimed; run nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
def command(files: tuple[Path, ...], only_list: bool, p4_dir: Path) -> None:
    """Measure again what Markdown FILES claim, with few short rounds, only in the modes that claims name.

    A claim is a number with a mark behind it: see bench/README.md. Needs root.
    Exit status: 0 every claim holds, 1 one does not, 2 a mark is wrong.
    """
    configure_logging("warning")
    try:
        claims = [claim for file in files or _documents() for claim in claims_of(file.read_text("utf-8"), str(file))]
    except MalformedClaim as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None
    for claim in claims:
        bound = f"at {claim.bound} {claim.number:g}"
        click.echo(f"{claim.where}: {claim.experiment}: {claim.metric}, {claim.mode} of {claim.of}, {bound}")
    if only_list:
        return
    console = Console(stderr=True)
    measured = runner.carry_out(_needed(claims), p4_dir, lambda line: console.print(line, highlight=False))
    wrong = list(broken(claims, {outcome.name: outcome for outcome in measured}))
    for line in wrong:
        click.echo(line, err=True)
    click.echo(f"{len(claims) - len(wrong)} of {len(claims)} claims hold")
    if wrong:
        raise SystemExit(1)


def _documents() -> list[Path]:
    """All Markdown that people read."""
    found = [
        Path("README.md"),
        *Path("docs").rglob("*.md"),
        *Path().glob("*/README.md"),
        *Path("services").rglob("*.md"),
    ]
    return sorted(set(found))


def _needed(claims: list[Claim]) -> list[Experiment]:
    """The experiments that are claimed from, cut down to what claims name."""
    needed = []
    for name in sorted({claim.experiment for claim in claims}):
        file = SHIPPED / f"{name}.yaml"
        if not file.exists():
            continue  # said as a claim that has no figures
        experiment = parse(file.read_text("utf-8"), str(file)).at_pace(quick=True)
        named = {mode for claim in claims if claim.experiment == name for mode in (claim.mode, claim.of)}
        modes = tuple(mode for mode in experiment.modes if mode in named)
        needed.append(
            experiment.model_copy(update={"modes": modes, "segmentation": experiment.segmentation[:1], "expect": ()})
        )
    return needed
