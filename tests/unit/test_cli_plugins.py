"""Commands of other packages: found by their entry points, loaded when they are called, and named when broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from ezpath.cli.main import main


def install(directory: Path, name: str, module: str, entry: str) -> None:
    """A package with one command, as an installer leaves it."""
    sys.modules.pop(f"{name}_plugin", None)
    (directory / f"{name}_plugin.py").write_text(module)
    info = directory / f"{name}_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ezpath.commands]\n{name} = {name}_plugin:{entry}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


HELLO = """
import click

@click.command()
@click.argument("name")
def hello(name):
    "Greet."
    click.echo(f"hello {name}")
"""


def test_given_a_package_with_a_command_then_ezpath_has_it(site: Path) -> None:
    install(site, "hello", HELLO, "hello")
    assert CliRunner().invoke(main, ["hello", "you"]).output == "hello you\n"
    assert "hello  " in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize(
    ("module", "entry", "cause"),
    [
        ("import nothing_of_that_name", "hello", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (HELLO, "goodbye", "AttributeError"),
        ("hello = 7", "hello", "is no click command"),
    ],
    ids=["import", "name", "kind"],
)
def test_given_a_broken_one_then_it_is_named_and_all_others_work(
    site: Path, module: str, entry: str, cause: str
) -> None:
    install(site, "broken", module, entry)
    result = CliRunner().invoke(main, ["broken", "--any", "thing"])
    assert result.exit_code == 1
    assert "broken, of package broken-plugin: " in result.output and cause in result.output
    help_text = CliRunner().invoke(main, ["--help"])
    assert help_text.exit_code == 0 and "Broken: " in help_text.output and "tail" in help_text.output


def test_given_a_plugin_of_a_name_that_ezpath_has_then_its_own_stands(site: Path) -> None:
    install(site, "tail", HELLO, "hello")
    assert "Follow decisions" in CliRunner().invoke(main, ["tail", "--help"]).output


def test_given_another_command_then_the_simulator_is_not_loaded() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from ezpath.cli.main import main;"
        "CliRunner().invoke(main, ['tail', '--help']); print('ezpath_decider' in sys.modules);"
        "CliRunner().invoke(main, ['sim', '--help']); print('ezpath_decider.sim.run' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
