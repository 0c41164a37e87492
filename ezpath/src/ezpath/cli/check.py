"""`ezpath check-config`: is this inventory, or this file of settings, fit for use? For operators, and for their CI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, NoReturn, cast

import click
import yaml

from ezpath.cli.common import EXIT_REFUSED
from ezpath.cli.console import console
from ezpath.cli.output import Format, for_people, output_option, show_documents
from ezpath.configfile import SERVICES, SHARED, problems_of
from ezpath.inventory import InventoryError, load
from ezpath.inventory.problems import Problem

Kind = Literal["inventory", "settings"]
EXAMPLES = """\b
Examples:
  ezpath check-config network.yaml && systemctl restart ezpath
  ezpath check-config settings.yaml            what the services get with --config
  ezpath check-config network.yaml --json | jq -r .remedy

\b
Exit status: 0 fine, 1 problems found (one a line: file:line: field: cause. remedy), 2 wrong usage.
"""


@click.command("check-config", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "kind",
    type=click.Choice(["inventory", "settings"]),
    help="What FILE is. By default its keys say.",
)
@output_option
def check_config(file: Path, kind: Kind | None, output: Format) -> None:
    """Check an inventory FILE, or a file of settings, as the services do.

    The settings of an inventory's sources are checked; no source is asked. Settings are checked by the services that
    are installed here.
    """
    if (kind or _kind_of(file)) == "settings":
        _check_settings(file, output)
        return
    try:
        inventory = load(file)
    except InventoryError as error:
        _refuse(error.problems, output)
    counts = (
        f"{len(inventory.tenants)} tenants, {len(inventory.switches)} switches, "
        f"{len(inventory.hosts)} hosts, {len(inventory.endpoints)} endpoints"
    )
    if sources := inventory.document.sources:
        counts += f", and those of {', '.join(sources)}"
    _pass(f"{file}: no problems ({counts})", output)


def _check_settings(file: Path, output: Format) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        _refuse([Problem(str(file), 1, "file", cause, "Give the path of a readable file of UTF-8 text")], output)
    commands = programs()
    if problems := problems_of(text, str(file), commands.values()):
        _refuse(problems, output)
    absent = [service for service in SERVICES if service not in commands]
    not_checked = f"; not installed here, so not checked: {', '.join(absent)}" if absent else ""
    _pass(f"{file}: no problems (settings of {', '.join(commands)}{not_checked})", output)


def programs() -> dict[str, click.Command]:
    """The services installed here, by name, whose options are their settings.

    Each is a program `ezpath-<name>`; the console is a command of `ezpath`, and so is always here.
    """
    scripts = entry_points(group="console_scripts")
    found = {
        service: cast(click.Command, each.load())
        for service in SERVICES
        for each in scripts.select(name=f"ezpath-{service}")
    }
    return {**found, "console": console}


def _kind_of(file: Path) -> Kind:
    """By the keys at its top; an inventory where they do not say, and where there are none."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "inventory"
    return "settings" if isinstance(raw, dict) and not raw.keys().isdisjoint((*SHARED, *SERVICES)) else "inventory"


def _refuse(problems: Sequence[Problem], output: Format) -> NoReturn:
    if for_people(output):
        for problem in problems:
            click.echo(str(problem))
    else:
        show_documents([asdict(problem) for problem in problems], output)
    sys.exit(EXIT_REFUSED)


def _pass(message: str, output: Format) -> None:
    if for_people(output):
        click.echo(message)
    else:
        show_documents([], output)
