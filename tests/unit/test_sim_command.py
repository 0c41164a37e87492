"""`ezpath sim` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from ezpath.cli.main import main

SMALL = (
    *("sim", "--racks", "2", "--hosts", "4", "--containers", "80", "--tenants", "2"),
    *("--seconds", "6", "--warm-up", "2", "--budget", "0.3"),
)


def sim(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*SMALL, *options])
    return result.exit_code, result.output


def test_given_a_seed_then_the_same_numbers_again() -> None:
    def numbers(seed: str) -> list[dict[str, float]]:
        code, out = sim("--json", "--seed", seed, "--policy", "value", "--policy", "oracle-5")
        assert code == 0
        return [
            {name: value for name, value in each.items() if name != "decide_ms"} for each in json.loads(out)["policies"]
        ]

    assert numbers("3") == numbers("3") != numbers("4")


def test_given_all_policies_then_a_line_each_and_a_verdict() -> None:
    code, out = sim()
    assert code == 0
    for policy in ("value", "topk", "random", "first-come", "static-topk", "plain-threshold", "oracle-60", "ideal"):
        assert policy in out
    assert "of topk's switch-overs (at most 0.2)" in out
    assert "Targets met." in out or "Targets missed." in out


def test_given_a_folder_then_plots_and_numbers(tmp_path: Path) -> None:
    code, _ = sim("--out", str(tmp_path), "--policy", "value", "--policy", "topk")
    assert code == 0
    assert (tmp_path / "sim.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "sim.svg").read_text(encoding="utf-8")
    saved = json.loads((tmp_path / "sim.json").read_text(encoding="utf-8"))
    assert len(saved["rounds"]["value"]["packets"]) == 6


def test_given_a_setting_then_the_strategy_has_it() -> None:
    assert sim("--policy", "value", "--set", "value.stickiness=2")[0] == 0
    code, out = sim("--policy", "value", "--set", "value.stickyness=2")
    assert code == 2 and "strategy value has no setting 'stickyness'" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "none-such"], "no strategy is called 'none-such'"),
        (["--hosts", "5"], "give numbers that come out even"),
        (["--warm-up", "6"], "leaves nothing of --seconds 6 to count"),
        (["--set", "stickiness=2"], "give STRATEGY.SETTING=VALUE"),
        (["--policy", "oracle-x"], "oracle-x sees nothing"),
    ],
)
def test_given_a_mistake_then_it_is_named(options: list[str], said: str) -> None:
    code, out = sim(*options)
    assert code == 2 and said in " ".join(out.split())
