"""``ezpath-bench figures``: experiments in, a report out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from ezpath.inventory.problems import InventoryError
from ezpath.telemetry import configure_logging
from ezpath_lab.shell import LabError
from rich.console import Console

from ezpath_bench.figures import page, runner
from ezpath_bench.figures.cells.machines import Machines, machines_of
from ezpath_bench.figures.experiment import Experiment, Hosts, parse
from ezpath_bench.figures.guests import tree
from ezpath_bench.figures.judge import judgements
from ezpath_bench.figures.results import Outcome

SHIPPED = Path(__file__).with_name("experiments")

_EPILOG = """\b
Examples:
  ezpath-bench figures                           all experiments, 5 rounds; report in bench/report
  ezpath-bench figures --quick                   under 5 minutes
  ezpath-bench figures --only bulk,round-trip
  ezpath-bench figures --resume                  go on after a run that was cut off
  ezpath-bench figures my-experiment.yaml
"""


@click.command("figures", epilog=_EPILOG)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--only", default="", help="Some of the experiments, by name, with commas between.")
@click.option("--quick", is_flag=True, help="Few short rounds; what takes long is left out.")
@click.option("--resume", is_flag=True, help="Leave out what the report in --out has already.")
@click.option(
    "--hosts",
    default="",
    metavar="KIND",
    help="In place of guests: `namespaces`, or a file that names two machines (see bench/README.md).",
)
@click.option("--check", is_flag=True, help="Read the experiment files and say what is wrong with them; run nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("bench/report"), show_default=True
)
def command(
    files: tuple[Path, ...],
    only: str,
    quick: bool,
    resume: bool,
    hosts: str,
    check: bool,
    p4_dir: Path,
    out: Path,
) -> None:
    """Measure every figure side by side, and write a report: HTML, Markdown, JSON.

    FILES are experiments of your own; without any, those that EZPath ships. Needs root. With --only or --resume, what
    a report has of other experiments stays in it.
    Exit status: 0 every expectation reached, 1 one missed or not measured, 2 a file is wrong.
    """
    configure_logging("warning")
    experiments = _chosen(_loaded(files or sorted(SHIPPED.glob("*.yaml"))), only)
    machines = _machines(Path(hosts)) if hosts not in ("", "guests", "namespaces") else None
    if check:
        click.echo(f"{len(experiments)} experiment(s), no problem found")
        return
    kind: Hosts = "machines" if machines else "namespaces" if hosts == "namespaces" else "guests"
    experiments = [each.at_pace(quick).on(kind) for each in experiments]
    report = {pair[0].name: pair for pair in page.kept(out)} if only or resume else {}
    wanted = [each for each in experiments if not (resume and _has(report, each))]
    for outcome in runner.carry_out(wanted, p4_dir, _say, machines):
        experiment = next(each for each in wanted if each.name == outcome.name)
        report[outcome.name] = (experiment, outcome)
        # after each: what was measured is kept whatever becomes of the rest
        page.write(out, [report[name] for name in sorted(report)], _versions())
    missed = [_told(*report[each.name]) for each in experiments if each.name in report]
    click.echo(f"report: {out / 'index.html'}, {out / 'report.md'}, {out / 'results.json'}")
    if any(missed):
        raise SystemExit(1)


def _has(report: Mapping[str, page.Measured], experiment: Experiment) -> bool:
    known = report.get(experiment.name)
    return known is not None and known[0] == experiment and not known[1].failed


def _loaded(files: list[Path] | tuple[Path, ...]) -> list[Experiment]:
    found, wrong = [], []
    for file in files:
        try:
            found.append(parse(file.read_text(encoding="utf-8"), str(file)))
        except InventoryError as error:
            wrong.append(str(error))
        except (OSError, UnicodeDecodeError) as error:
            wrong.append(f"{file}:0: file: cannot be read: {error}. Give the path of a readable file of UTF-8 text")
    if wrong:
        click.echo("\n".join(wrong), err=True)
        raise SystemExit(2)
    return found


def _machines(file: Path) -> Machines:
    try:
        return machines_of(file.read_text(encoding="utf-8"), str(file))
    except InventoryError as error:
        click.echo(str(error), err=True)
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"--hosts: {file} cannot be read: {error}. Give guests, namespaces, or a file of machines", err=True)
    raise SystemExit(2)


def _chosen(experiments: list[Experiment], only: str) -> list[Experiment]:
    wanted = only.split(",") if only else [each.name for each in experiments]
    unknown = sorted(set(wanted) - {each.name for each in experiments})
    if unknown:
        names = ", ".join(each.name for each in experiments)
        raise click.BadParameter(f"no experiment is called {', '.join(unknown)}; there are {names}")
    return [each for each in experiments if each.name in wanted]


def _told(experiment: Experiment, outcome: Outcome) -> bool:
    """Print the verdicts; True where one is missed."""
    click.echo(f"{experiment.name}: {experiment.title}")
    for line in outcome.remarks:
        click.echo(f"  {line}")
    if outcome.failed:
        click.echo(f"  failed: {outcome.failed}")
        return True
    judged = list(judgements(experiment, outcome))
    for each in judged:
        click.echo(f"  {each}")
    return any(not each.reached for each in judged)


def _versions() -> dict[str, str]:
    """Of the guests' packages."""
    if not tree.is_made():
        return {}
    try:
        lines = tree.versions(tree.place()).splitlines()
    except LabError:
        return {}
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False)
