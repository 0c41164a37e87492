"""`ezpath status`: who runs, what is in sync, what is under way, and what is wrong."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

import click
from rich.table import Table
from rich.text import Text

from ezpath.answers import ASK_STATUS
from ezpath.bus import Bus
from ezpath.cli import targets
from ezpath.cli.common import console, inventory_option, nats_option, output_option, with_bus
from ezpath.cli.health import Health, complete, judge
from ezpath.cli.lines import duration
from ezpath.inventory import Inventory

_STYLES = {"in-sync": "green", "differs": "yellow", "starting": "yellow", "standby": "yellow", "unreachable": "red"}

EXAMPLES = """\b
Examples:
  ezpath status --inventory network.yaml    names also what of the inventory nobody writes
  ezpath status || page-somebody            1 as soon as something is wrong
  ezpath status -o json | jq -r '.alarms[]'
  ezpath status -o json | jq '.targets[] | select(.state == "unreachable")'

Exit status: 0 all is well, 1 there are alarms, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@inventory_option
@output_option
@click.option(
    "--timeout",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long services may take to answer; who is later counts as silent.",
)
def status(nats: str, inventory: Inventory | None, output: str, timeout: float) -> None:
    """Show services, switches, hosts, sagas under way, and alarms."""

    async def work(bus: Bus) -> None:
        known = targets.of_inventory(inventory) if inventory else await targets.wanted_somewhere(bus)
        answers = await bus.ask_all(ASK_STATUS, {}, timeout, lambda some: complete(targets.statuses(some), known))
        health = judge(targets.statuses(answers), known, time.time())
        if output == "json":
            click.echo(json.dumps(asdict(health), separators=(",", ":")))
        else:
            _show(health)
        sys.exit(0 if health.well else 1)

    with_bus(nats, work)


def _show(health: Health) -> None:
    out = console()
    parts: list[Table | Text] = [services(health), written(health)]
    parts.append(Text(f"Pairs on the switches: {health.active}. Sagas under way: {health.under_way}."))
    if health.sagas:
        parts.append(sagas(health))
    for part in parts:
        out.print(part)
        out.print()
    if health.well:
        out.print(Text("All is well.", style="bold green"))
    for alarm in health.alarms:
        out.print(Text(f"ALARM  {alarm}", style="bold red"), soft_wrap=True)


def services(health: Health) -> Table:
    rows = [
        (each.service, each.instance, each.version, _clock(each.started_at), "ready" if each.ready else "not ready")
        for each in health.services
    ]
    return _table(("SERVICE", "INSTANCE", "VERSION", "SINCE", ""), rows)


def written(health: Health) -> Table:
    """Switches and hosts."""
    rows = [
        (
            state.target,
            Text(state.state, style=_STYLES[state.state]),
            _clock(state.since),
            _ago(health.at, state.compared_at),
            str(state.items),
            health.owners.get(state.target, {}).get(f"{state.target.partition(':')[0]}-writer", ""),
            health.owners.get(state.target, {}).get("collector", ""),
            state.reason,
        )
        for state in health.targets
    ]
    return _table(("TARGET", "STATE", "SINCE", "COMPARED", "ITEMS", "WRITTEN BY", "POLLED BY", "WHY"), rows)


def sagas(health: Health) -> Table:
    """The slowest first."""
    rows = [
        (saga.pair, saga.phase, _for(health.at, saga.since), " ".join(saga.waiting), str(saga.tries), saga.reason)
        for saga in health.sagas
    ]
    return _table(("PAIR", "PHASE", "FOR", "WAITS FOR", "ASKED AGAIN", "WHY"), rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        shown.add_column(name, no_wrap=name != "WHY", overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return shown


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def _for(now: float, since: float) -> str:
    return duration(max(0.0, now - since) * 1000)


def _ago(now: float, at: float | None) -> str:
    return "never" if at is None else f"{_for(now, at)} ago"
