"""`ezpath check-config`: is this inventory fit to be used? For operators, and for their CI."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ezpath.cli.common import EXIT_REFUSED
from ezpath.inventory import InventoryError, load

EXAMPLES = """\b
Example:
  ezpath check-config network.yaml && systemctl restart ezpath

Exit status: 0 fine, 1 problems found (one a line: file:line: field: cause. remedy), 2 wrong usage.
"""


@click.command("check-config", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and problem.")
def check_config(file: Path, as_json: bool) -> None:
    """Check an inventory FILE as the services do, the settings of its sources included. No source is asked."""
    try:
        inventory = load(file)
    except InventoryError as error:
        for problem in error.problems:
            click.echo(json.dumps(asdict(problem)) if as_json else str(problem))
        sys.exit(EXIT_REFUSED)
    if not as_json:
        counts = (
            f"{len(inventory.tenants)} tenants, {len(inventory.switches)} switches, "
            f"{len(inventory.hosts)} hosts, {len(inventory.endpoints)} endpoints"
        )
        if sources := inventory.document.sources:
            counts += f", and those of {', '.join(sources)}"
        click.echo(f"{file}: no problems ({counts})")
