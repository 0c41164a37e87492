"""`ezpath check-config`: is this inventory fit to be used? For operators, and for their CI."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ezpath.cli.common import EXIT_REFUSED
from ezpath.cli.output import Format, for_people, output_option, show_documents
from ezpath.inventory import InventoryError, load

EXAMPLES = """\b
Examples:
  ezpath check-config network.yaml && systemctl restart ezpath
  ezpath check-config network.yaml --json | jq -r .remedy

\b
Exit status: 0 fine, 1 problems found (one a line: file:line: field: cause. remedy), 2 wrong usage.
"""


@click.command("check-config", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@output_option
def check_config(file: Path, output: Format) -> None:
    """Check an inventory FILE as the services do, the settings of its sources included. No source is asked."""
    try:
        inventory = load(file)
    except InventoryError as error:
        if for_people(output):
            for problem in error.problems:
                click.echo(str(problem))
        else:
            show_documents([asdict(problem) for problem in error.problems], output)
        sys.exit(EXIT_REFUSED)
    if not for_people(output):
        show_documents([], output)
    else:
        counts = (
            f"{len(inventory.tenants)} tenants, {len(inventory.switches)} switches, "
            f"{len(inventory.hosts)} hosts, {len(inventory.endpoints)} endpoints"
        )
        if sources := inventory.document.sources:
            counts += f", and those of {', '.join(sources)}"
        click.echo(f"{file}: no problems ({counts})")
