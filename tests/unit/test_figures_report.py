"""What the figures' report says of what was measured: ratios of the same rounds, verdicts, growth, and the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ezpath_bench.figures import page
from ezpath_bench.figures.experiment import Experiment, parse
from ezpath_bench.figures.growth import Curve, curves_of
from ezpath_bench.figures.judge import judgements
from ezpath_bench.figures.results import CLASSES, Case, Outcome, Sample, Trace

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


def test_a_promise_for_every_round_is_judged_by_the_worst() -> None:
    [median] = judgements(experiment("at_most: 2"), outcome([1, 1, 1], [1, 1, 3]))
    [worst] = judgements(experiment("at_most: 2, every_round: true"), outcome([1, 1, 1], [1, 1, 3]))

    assert median.reached
    assert (worst.found, worst.reached) == (3.0, False)
    assert worst.what == "Gbit/s, ezpath of overlay, in every round"


def test_growth_is_fitted_in_logarithms() -> None:
    curve = Curve.fitted("round", "flows", [(10, 2.0), (100, 20.0), (1000, 200.0)])

    assert curve.power == pytest.approx(1.0)
    assert str(curve) == "round: grows as flows^1.00; 200 at 1,000"
    with pytest.raises(ValueError, match="no growth"):
        Curve.fitted("round", "flows", [(10, 2.0)])


def test_a_limit_stands_beside_what_was_found() -> None:
    """A round that takes 2 ms for each thousand flows, on a machine that reads their memory at 100 MB a second."""
    runs = [
        {"strategy": "value", "flows": flows, "round_s": flows * 2e-6, "bytes_a_flow": 100.0} for flows in (1000, 10000)
    ]

    seconds, memory = curves_of({"runs": [{"runs": runs}], "limits": {"memory_octets_s": 1e8}})

    assert seconds.limits == pytest.approx([1e-3, 1e-2])
    assert str(seconds).endswith("flows^1.00; 0.02 at 10,000, where 0.01 is the limit (each flow's columns read once)")
    assert memory.limits == ()


def test_polling_grows_with_cells_and_with_switches_each_by_itself() -> None:
    def run(cells: int, *switches: int) -> dict[str, Any]:
        cases = [{"switches": n, "collectors": 1, "cores": n * cells / 1e6} for n in switches]
        return {"cells": cells, "cases": cases}

    limits = {"socket_octets_s": 1e9, "memory_octets_s": 1e9}
    curves = list(curves_of({"runs": [run(1000, 1, 2, 4), run(4000, 2)], "limits": limits}))

    assert [(each.name, each.against) for each in curves] == [
        ("a collector's cores, 2 switches", "cells"),
        ("a collector's cores, 1,000 cells each", "switches"),
    ]
    assert all(each.power == pytest.approx(1.0) for each in curves)
    assert curves[0].limits == pytest.approx([64e-6, 256e-6])


def test_sagas_are_held_against_pairs_and_against_racks() -> None:
    def run(pairs: int, racks: int) -> dict[str, Any]:
        rate = {"pairs": pairs, "racks": racks, "offload": 1000.0, "revert": 900.0, "most": 1500.0}
        return {"rate": {**rate, "entries": pairs, "room": 4096}}

    curves = list(curves_of({"runs": [run(500, 2), run(1000, 2), run(1000, 4)]}))

    found = {(each.name, each.against): each for each in curves}
    assert found[("offloads a second, 2 racks", "pairs")].power == pytest.approx(0.0)
    assert found[("offloads a second, 1,000 pairs", "racks")].limits == [1500.0, 1500.0]
    assert found[("entries on the fullest ToR, 2 racks", "pairs")].limits == [4096, 4096]


def test_a_report_is_put_together_from_several_runs(tmp_path: Path) -> None:
    first, second = outcome([1, 1], [3, 3]), outcome([1, 1], [4, 4])
    first.traces.append(Trace("through both", [0, 1], [1, 2], [(0.5, "offload")]))
    first.measured = "on Monday"
    page.write(tmp_path, [(experiment("at_least: 2"), first)], {})

    [(kept, again)] = page.kept(tmp_path)

    assert (kept, again) == (experiment("at_least: 2"), first)
    other = experiment("at_least: 2").model_copy(update={"name": "more"})
    page.write(tmp_path, [*page.kept(tmp_path), (other, second)], {})
    assert [pair[0].name for pair in page.kept(tmp_path)] == ["bulk", "more"]
    assert "; on Monday." in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("spoil", [lambda _: "{", lambda text: text.replace('"cores": ', '"cores": 9')])
def test_what_is_no_report_of_this_machine_is_not_gone_on_with(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    page.write(tmp_path, [(experiment("at_least: 2"), outcome([1], [3]))], {})
    file = tmp_path / "results.json"
    file.write_text(spoil(file.read_text()))

    assert page.kept(tmp_path) == []
    assert page.kept(tmp_path / "none") == []


def test_the_report_has_every_page_and_says_which_hosts_were_used(tmp_path: Path) -> None:
    found = outcome([1, 1.1], [3, 3.3])
    found.traces.append(Trace("through both", [0, 1], [1, 2], [(0.5, "offload")]))

    page.write(tmp_path, [(experiment("at_least: 2"), found)], {"iperf3": "3.22"})

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


def test_classes_of_cpu_time_are_drawn_on_each_other(tmp_path: Path) -> None:
    costs = {"Gbit/s": 1.0, "CPU s/Gbit, hosts": 0.6}
    costs |= {f"CPU s/Gbit, {name}": value for name, value in zip(CLASSES, (0.1, 0.2, 0.3), strict=True)}
    found = Outcome("bulk", [Sample(NIC, mode, 0, costs) for mode in ("overlay", "ezpath")])

    page.write(tmp_path, [(experiment("at_least: 1"), found)], {})

    assert (tmp_path / "bulk-classes.svg").exists()
    assert "(bulk-classes.svg)" in (tmp_path / "report.md").read_text()


def test_an_experiment_that_failed_says_so(tmp_path: Path) -> None:
    page.write(tmp_path, [(experiment("at_least: 2"), Outcome("bulk", failed="no guests: no tun"))], {})

    assert "**Not measured**: no guests: no tun" in (tmp_path / "report.md").read_text()
