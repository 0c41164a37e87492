"""Experiment files: those that ship are right, and a wrong one is refused with file, line, field and remedy."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from ezpath.inventory.problems import InventoryError
from ezpath_bench.figures.cells.machines import machines_of
from ezpath_bench.figures.command import SHIPPED, command
from ezpath_bench.figures.experiment import parse

GOOD = """\
name: bulk
title: Bulk TCP
hosts: guests
workload: {kind: stream, seconds: 2}
modes: [overlay, ezpath]
expect:
  - {metric: Gbit/s, mode: ezpath, of: overlay, at_least: 2}
"""


def refused(text: str) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        parse(text, "mine.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_those_that_ship_are_right() -> None:
    done = CliRunner().invoke(command, ["--check"])

    assert done.exit_code == 0, done.output
    assert len(list(SHIPPED.glob("*.yaml"))) >= 4


def test_a_field_that_nobody_knows_is_refused_with_the_nearest_that_there_is() -> None:
    [said] = refused(GOOD.replace("title:", "titel:"))[1:]

    assert said.startswith("mine.yaml:2: titel: is not known here")
    assert "title" in said


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("kind: stream", "kind: steam", "mine.yaml:4: workload"),
        ("seconds: 2", "seconds: 900", "mine.yaml:4: workload.seconds"),
        ("seconds: 2", "seconds: 0.6", "mine.yaml:4: workload.seconds"),
        ("seconds: 2", "octets: 7", "mine.yaml:4: workload.octets"),
        ("hosts: guests", "hosts: guest", "mine.yaml:3: hosts"),
        ("[overlay, ezpath]", "[overlay]", "mine.yaml:7: expect.0.mode: ezpath is not measured here"),
        ("[overlay, ezpath]", "[]", "mine.yaml:5: modes: is empty"),
        ("at_least: 2", "at_least: 2, at_most: 3", "mine.yaml:7: expect.0: has no bound, or two"),
        (
            "Gbit/s",
            '"CPU s/Gbit, softirq"',
            "mine.yaml:7: expect.0.metric: CPU s/Gbit, softirq is told in rounds of its own",
        ),
        (", at_least: 2", "", "mine.yaml:7: expect.0: has no bound, or two"),
        ("title: Bulk TCP", "title: Bulk TCP\ntitle: More", "mine.yaml:3: title: is given twice"),
    ],
)
def test_a_mistake_is_named_with_line_and_field(old: str, new: str, where: str) -> None:
    said = refused(GOOD.replace(old, new))

    assert any(line.startswith(where) for line in said), said


def test_what_is_no_yaml_is_refused_where_it_stops_to_be() -> None:
    assert refused("name: [bulk\ntitle: x")[0].startswith("mine.yaml:2: file: not YAML")


def test_a_wrong_file_ends_the_command_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(textwrap.dedent(GOOD).replace("hosts: guests", "hosts: moon"))

    done = CliRunner().invoke(command, [str(file)])

    assert done.exit_code == 2
    assert f"{file}:3: hosts" in done.output


def test_quick_means_fewer_and_shorter_rounds() -> None:
    experiment = parse(GOOD, "mine.yaml")

    assert experiment.at_pace(quick=False).rounds == 5
    assert experiment.at_pace(quick=True).rounds == 2
    assert experiment.at_pace(quick=True).workload.seconds == 1.0  # type: ignore[union-attr]


def test_quick_means_the_least_and_the_greatest_size() -> None:
    experiment = parse(GOOD.replace("seconds: 2", "octets: [1, 2, 3]"), "mine.yaml")

    assert experiment.at_pace(quick=True).workload.octets == (1, 3)  # type: ignore[union-attr]


def test_quick_leaves_segmentation_as_the_card_has_it_unless_a_file_says_otherwise() -> None:
    text = GOOD.replace("expect:", 'segmentation: ["nic", "off"]\nexpect:')
    text += '  - {metric: Gbit/s, mode: ezpath, of: overlay, at_least: 1, segmentation: "off"}\n'

    quick = parse(text, "mine.yaml").at_pace(quick=True)

    assert quick.segmentation == ("nic",)
    assert [each.segmentation for each in quick.expect] == ["nic"], "nothing is expected that is not measured"
    assert parse(text + "quick_segmentation: true\n", "mine.yaml").at_pace(quick=True).segmentation == ("nic", "off")


MACHINES = """\
machines:
  - {ssh: node1, uplink: eth1, plain: eth2}
  - {ssh: admin@node2, uplink: ens1f0, plain: ens1f1, sudo: true}
"""


def test_a_file_of_machines_says_how_they_are_reached_and_what_they_lend(tmp_path: Path) -> None:
    machines = machines_of(MACHINES, "machines.yaml")

    assert machines.machines[1].cards() == {"ens1f0": "vec0", "ens1f1": "vec2"}
    assert "BatchMode=yes" in machines.options(str(tmp_path)), "nobody is there to be asked for a password"
    assert machines_of(f"ssh_config: mine\n{MACHINES}", "m").options(str(tmp_path))[:2] == ("-F", "mine")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("uplink: eth1", "uplnk: eth1", "machines.yaml:2: machines.0.uplnk: is not known here"),
        ("uplink: eth1", "uplink: a name too long", "machines.yaml:2: machines.0.uplink"),
        ("  - {ssh: node1, uplink: eth1, plain: eth2}\n", "", "machines.yaml:1: machines.1: is missing"),
    ],
)
def test_a_mistake_in_it_is_named_with_line_and_field(old: str, new: str, where: str) -> None:
    with pytest.raises(InventoryError) as caught:
        machines_of(MACHINES.replace(old, new), "machines.yaml")

    said = [str(problem) for problem in caught.value.problems]
    assert any(line.startswith(where) for line in said), said


def test_machines_have_no_software_tors_between_them() -> None:
    text = GOOD.replace("[overlay, ezpath]", "[overlay, ezpath, ezpath-tors]")
    text += "  - {metric: Gbit/s, mode: ezpath-tors, of: overlay, at_least: 1}\n"

    experiment = parse(text, "mine.yaml").on("machines")

    assert (experiment.hosts, experiment.modes) == ("machines", ("overlay", "ezpath"))
    assert len(experiment.expect) == 1
    assert parse(text, "mine.yaml").on("namespaces").modes == ("overlay", "ezpath", "ezpath-tors")


def test_an_experiment_without_packets_has_no_hosts_to_choose() -> None:
    text = "name: curve\ntitle: Curve\nhosts: none\nworkload: {kind: decider}\n"

    assert parse(text, "mine.yaml").on("machines").hosts == "none"


def test_hosts_that_nobody_named_are_refused_before_anything_runs() -> None:
    done = CliRunner().invoke(command, ["--hosts", "nowhere.yaml"])

    assert done.exit_code == 2
    assert "nowhere.yaml cannot be read" in done.output
