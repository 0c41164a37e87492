"""The report: HTML and Markdown from one set of values, with plots, and the raw results as JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from ezpath_bench.figures import plots
from ezpath_bench.figures.experiment import HOSTS, MODES, Experiment
from ezpath_bench.figures.judge import Judgement, judgements
from ezpath_bench.figures.results import Case, Outcome, rows
from ezpath_bench.report import machine
from ezpath_bench.rounds import Spread

CASES = (
    "Traffic is shown twice: with the offloads as the hosts' card has them, which segments plain and tagged TCP, not "
    "VXLAN, and with segmentation off in every mode, which is what each packet costs. If your card segments VXLAN "
    "(`tx-udp_tnl-segmentation: on` in `ethtool -k`), the overlay's disadvantage on your hosts lies nearer to the "
    "second case; if not, nearer to the first."
)
"""Whom which figures concern."""


@dataclass(frozen=True, slots=True)
class Row:
    metric: str
    case: str
    mode: str
    median: str
    least: str
    greatest: str
    rounds: int


@dataclass(frozen=True, slots=True)
class Section:
    """One experiment in the report."""

    experiment: Experiment
    hosts: str
    measured: str
    failed: str
    remarks: Sequence[str]
    judged: Sequence[Judgement]
    rows: Sequence[Row]
    plots: Sequence[tuple[str, str]]
    """File and caption of each."""


Measured = tuple[Experiment, Outcome]


def kept(out: Path) -> list[Measured]:
    """What a report in ``out`` has of this machine, each experiment as it was when it was measured; else nothing."""
    try:
        document = json.loads((out / "results.json").read_text(encoding="utf-8"))
        if document["machine"] != machine():
            return []
        return [
            (Experiment.model_validate(each["definition"]), Outcome.from_json(each["outcome"]))
            for each in document["experiments"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write(out: Path, pairs: Sequence[Measured], versions: Mapping[str, str]) -> None:
    """Everything into ``out``: index.html, report.md, results.json and plots."""
    out.mkdir(parents=True, exist_ok=True)
    sections = [_section(out, experiment, outcome) for experiment, outcome in pairs]
    results = {
        "machine": machine(),
        "versions": dict(versions),
        "experiments": [
            {"definition": experiment.model_dump(mode="json"), "outcome": outcome.to_json()}
            for experiment, outcome in pairs
        ],
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    kinds = PackageLoader("ezpath_bench.figures")
    for name, file in (("report.html.j2", "index.html"), ("report.md.j2", "report.md")):
        environment = Environment(
            loader=kinds,
            autoescape=name.endswith(".html.j2"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        text = environment.get_template(name).render(
            sections=sections, machine=machine(), versions=versions, modes=MODES, cases=CASES
        )
        (out / file).write_text(text, encoding="utf-8")


def _section(out: Path, experiment: Experiment, outcome: Outcome) -> Section:
    drawn = list(plots.draw(out, experiment, outcome))
    table = [_row(case, metric, mode, spread) for case, metric, mode, spread in rows(outcome)]
    judged = list(judgements(experiment, outcome)) if not outcome.failed else []
    remarks = [*outcome.remarks, *plots.growth_remarks(outcome)]
    return Section(experiment, HOSTS[experiment.hosts], outcome.measured, outcome.failed, remarks, judged, table, drawn)


def _row(case: Case, metric: str, mode: str, spread: Spread) -> Row:
    median, least, greatest = (f"{value:.4g}" for value in (spread.median, spread.least, spread.greatest))
    return Row(metric, case_name(case), mode, median, least, greatest, spread.rounds)


def case_name(case: Case) -> str:
    parts = [f"{case.octets} B"] if case.octets else []
    parts.append("offloads as the NIC has them" if case.segmentation == "nic" else "segmentation off")
    return ", ".join(parts)
