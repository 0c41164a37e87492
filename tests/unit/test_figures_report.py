"""What the figures' report says of what was measured: ratios of the same rounds, verdicts, growth, and the pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ezpath_bench.figures import page
from ezpath_bench.figures.experiment import Experiment, parse
from ezpath_bench.figures.growth import Curve
from ezpath_bench.figures.judge import judgements
from ezpath_bench.figures.results import Case, Outcome, Sample, Trace

NIC, OFF = Case("nic"), Case("off")


def experiment(bound: str) -> Experiment:
    text = f"""
name: bulk
title: Bulk TCP
hosts: guests
workload: {{kind: stream}}
modes: [overlay, ezpath]
expect:
  - {{metric: Gbit/s, mode: ezpath, of: overlay, {bound}, paper: "1.8"}}
notes: ["<of ours>"]
"""
    return parse(text, "bulk.yaml")


def outcome(overlay: list[float], ezpath: list[float], case: Case = NIC) -> Outcome:
    found = Outcome("bulk")
    for number, (one, other) in enumerate(zip(overlay, ezpath, strict=True)):
        found.samples += [
            Sample(case, "overlay", number, {"Gbit/s": one}),
            Sample(case, "ezpath", number, {"Gbit/s": other}),
        ]
    return found


def test_modes_are_compared_round_by_round() -> None:
    """The machine is ten times as fast in the second round: no ratio of the two modes knows that."""
    [judged] = judgements(experiment("at_least: 2"), outcome([1, 10, 1], [2, 20, 2]))

    assert judged.found == 2.0
    assert judged.reached
    assert judged.spread == "2 to 2 in 3 rounds"


def test_a_target_that_is_missed_is_said_to_be_missed() -> None:
    [judged] = judgements(experiment("at_most: 0.5"), outcome([1, 1], [0.6, 0.7]))

    assert judged.word == "MISSED"
    assert str(judged) == (
        "MISSED   Gbit/s, ezpath of overlay: 0.65 (0.6 to 0.7 in 2 rounds; target at most 0.5; the paper: 1.8)"
    )


def test_what_was_not_measured_reaches_nothing() -> None:
    [judged] = judgements(experiment("at_least: 2"), Outcome("bulk"))

    assert judged.word == "not measured"
    assert not judged.reached


def test_cases_are_not_mixed() -> None:
    found = outcome([1, 1], [3, 3])
    found.samples += outcome([1, 1], [1, 1], OFF).samples

    [judged] = judgements(experiment("at_least: 2"), found)

    assert judged.found == 3.0


def test_growth_is_fitted_in_logarithms() -> None:
    curve = Curve.fitted("round", "flows", [(10, 2.0), (100, 20.0), (1000, 200.0)])

    assert curve.power == pytest.approx(1.0)
    assert str(curve) == "round: grows as flows^1.00; 200 at 1,000"
    with pytest.raises(ValueError, match="no growth"):
        Curve.fitted("round", "flows", [(10, 2.0)])


def test_the_report_has_every_page_and_says_which_hosts_were_used(tmp_path: Path) -> None:
    found = outcome([1, 1.1], [3, 3.3])
    found.traces.append(Trace("through both", [0, 1], [1, 2], [(0.5, "offload")]))

    page.write(tmp_path, [experiment("at_least: 2")], [found], {"iperf3": "3.22"})

    markdown, html = (tmp_path / "report.md").read_text(), (tmp_path / "index.html").read_text()
    assert "hosts: (b) guests with kernels of their own, User-Mode Linux" in markdown
    assert "| reached | Gbit/s, ezpath of overlay | 3 | 3 to 3 in 2 rounds | at least 2 | 1.8 |" in markdown
    assert "&lt;of ours&gt;" in html
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["experiments"][0]["outcome"]["samples"][1]["values"] == {"Gbit/s": 3}
    assert results["machine"]["kernel"]
    pictures = sorted(file.name for file in tmp_path.glob("*.svg"))
    assert len(pictures) == 2
    assert all(f'src="{name}"' in html and f"({name})" in markdown for name in pictures)


def test_an_experiment_that_failed_says_so(tmp_path: Path) -> None:
    page.write(tmp_path, [experiment("at_least: 2")], [Outcome("bulk", failed="no guests: no tun")], {})

    assert "**Not measured**: no guests: no tun" in (tmp_path / "report.md").read_text()
