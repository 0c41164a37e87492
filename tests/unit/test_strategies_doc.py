"""docs/STRATEGIES.md: its example is installed as it says and decides; its tables are complete."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from decider_support import Network
from ezpath.inventory import Inventory
from ezpath_decider.candidates import Candidates
from ezpath_decider.loading import StrategyError, load, names
from ezpath_decider.policy import Policy

DOCUMENT = (Path(__file__).parents[2] / "docs" / "STRATEGIES.md").read_text(encoding="utf-8")
PAIR = "red.red-1.red-3"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example's package, as an installer leaves it: the module, and its metadata beside it."""
    project = tomllib.loads(block("toml"))["project"]
    (tmp_path / "my_strategies.py").write_text(block("python"), encoding="utf-8")
    info = tmp_path / f"my_strategies-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {where}" for name, where in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "veterans"


def test_the_example_is_complete_in_20_lines() -> None:
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 20


def test_given_the_example_installed_as_it_says_then_it_decides(installed: str, inventory: Inventory) -> None:
    assert installed in names()
    network = Network(inventory, installed, settings={"patience_s": 10.0})
    assert network.seconds(9, {PAIR: 8e6}) == []
    assert network.reason(PAIR).endswith("packets/s: in from 10 s on")
    assert network.seconds(6, {PAIR: 8e6}) == [f"offload {PAIR}"]
    assert re.fullmatch(r"1\d s old with \d+ packets/s", network.reason(PAIR))
    assert f"revert {PAIR}" in network.seconds(60, {})


def test_given_the_example_then_its_settings_are_checked_like_all_others(installed: str) -> None:
    with pytest.raises(StrategyError, match="veterans: patience_s cannot be 'long'"):
        load(installed, {"patience_s": "long"})
    with pytest.raises(StrategyError, match="has no setting 'patience'"):
        load(installed, {"patience": 1.0})


def test_the_policy_shown_is_one() -> None:
    policy = Policy.model_validate(yaml.safe_load(block("yaml")))
    load(policy.strategy, policy.settings)


def test_every_column_and_method_of_the_candidates_is_listed_and_no_other() -> None:
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE))))
    public = {name for name in dir(Candidates) if not name.startswith("_")}
    not_columns = {"directory", "moved_rows", "retry_after_s"}
    columns = {name for name in public if not inspect.isfunction(getattr(Candidates, name, None))} - not_columns
    of_strategies = set(names())
    assert columns <= listed, f"not in the document: {columns - listed}"
    assert listed - of_strategies <= columns, f"not in the code: {listed - of_strategies - columns}"
    for method in public - columns - not_columns:
        assert f"`{method}(" in DOCUMENT


def test_every_strategy_and_each_of_its_settings_is_listed_with_its_default() -> None:
    for name in ("threshold", "topk", "value", "pinned"):
        (row,) = re.findall(rf"^\| `{name}` \|.*\|(.*)\|$", DOCUMENT, re.MULTILINE)
        function = load(name, {}).func  # type: ignore[attr-defined]
        settings = {
            each.name: each.default
            for each in inspect.signature(function).parameters.values()
            if each.kind is inspect.Parameter.KEYWORD_ONLY
        }
        listed = dict(re.findall(r"`(\w+)` ([\w.]+)", row))
        assert set(listed) == set(settings), name
        for setting, default in settings.items():
            assert listed[setting] == default or float(listed[setting]) == float(default)
