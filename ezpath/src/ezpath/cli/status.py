"""`ezpath status`: who runs, what is in sync, how full tables are, what is under way, and what is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from ezpath.answers import ASK_STATUS, ServiceStatus
from ezpath.bus import Access, Bus
from ezpath.cli import targets
from ezpath.cli.common import inventory_option, nats_option, with_bus
from ezpath.cli.health import Health, complete, judge
from ezpath.cli.lines import duration
from ezpath.cli.output import Column, Format, Listing, console, for_people, output_option, show_document
from ezpath.events import TableUse
from ezpath.inventory import Inventory
from ezpath.lag import Backlog

_STYLES = {"in-sync": "green", "differs": "yellow", "starting": "yellow", "standby": "yellow", "unreachable": "red"}
NEARLY_FULL, HALF_FULL = 0.95, 0.8

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
def status(nats: Access, inventory: Inventory | None, output: Format, timeout: float) -> None:
    """Show services, switches, hosts, tables, lag, sagas under way, and alarms."""

    async def work(bus: Bus) -> None:
        health = await ask(bus, inventory, timeout)
        if for_people(output):
            _show(health, output)
        else:
            show_document(asdict(health), output)
        sys.exit(0 if health.well else 1)

    with_bus(nats, work)


async def ask(bus: Bus, inventory: Inventory | None, within_s: float) -> Health:
    """How everything is now."""
    known = targets.of_inventory(inventory) if inventory else await targets.wanted_somewhere(bus)
    answers = await bus.ask_all(ASK_STATUS, {}, within_s, lambda some: complete(targets.statuses(some), known))
    return judge(targets.statuses(answers), known, time.time(), await bus.stream_use())


def _show(health: Health, output: Format) -> None:
    out = console()
    at = health.at
    for part in (
        SERVICES.table(health.services, output, out.width),
        WRITTEN.table(
            [Seen(state, at, health.owners.get(state.target, {})) for state in health.targets], output, out.width
        ),
        TABLES.table(list(_tables(health)), output, out.width),
        LAG.table([*health.stream.backlogs] if health.stream else [], output, out.width),
        Text(_sums(health)),
        SAGAS.table([Seen(saga, at) for saga in health.sagas], output, out.width),
    ):
        if isinstance(part, Text) or part.row_count:
            out.print(part)
            out.print()
    if health.well:
        out.print(Text("All is well.", style="bold green"))
    for alarm in health.alarms:
        out.print(Text(f"ALARM  {alarm}", style="bold red"), soft_wrap=True)


def _sums(health: Health) -> str:
    sums = f"Pairs on the switches: {health.active}. Sagas under way: {health.under_way}."
    if (stream := health.stream) is not None:
        most = f" of {stream.max_bytes / 2**20:.0f}" if stream.max_bytes > 0 else ""
        sums += f" Stream: {stream.messages} messages, {stream.bytes / 2**20:.1f}{most} MiB."
    return sums


@dataclass(frozen=True, slots=True)
class Seen:
    """A row, and when it was looked at."""

    what: Any
    at: float
    owners: Mapping[str, str] = field(default_factory=dict)
    """Of a switch or host: by service, the instance that has it."""

    def ago(self, at: float | None) -> str:
        return "never" if at is None else f"{self.since(at)} ago"

    def since(self, at: float) -> str:
        return duration(max(0.0, self.at - at) * 1000)


@dataclass(frozen=True, slots=True)
class Filled:
    """A table of a switch."""

    switch: str
    use: TableUse

    @property
    def share(self) -> float:
        return self.use.used / self.use.size if self.use.size else 0.0

    @property
    def style(self) -> str:
        return "red" if self.share >= NEARLY_FULL else "yellow" if self.share >= HALF_FULL else ""


def _tables(health: Health) -> Iterator[Filled]:
    for tables in health.tables:
        yield from (Filled(tables.switch, use) for use in tables.tables)


def clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


SERVICES: Listing[ServiceStatus] = Listing(
    (
        Column("SERVICE", lambda each: each.service),
        Column("INSTANCE", lambda each: each.instance),
        Column("VERSION", lambda each: each.version, spare=1),
        Column("SINCE", lambda each: clock(each.started_at), spare=2),
        Column("", lambda each: "ready" if each.ready else "not ready"),
    ),
    asdict,
)
WRITTEN: Listing[Seen] = Listing(
    (
        Column("TARGET", lambda each: each.what.target),
        Column("STATE", lambda each: Text(each.what.state, style=_STYLES[each.what.state])),
        Column("SINCE", lambda each: clock(each.what.since), spare=5),
        Column("COMPARED", lambda each: each.ago(each.what.compared_at), spare=2),
        Column("ITEMS", lambda each: str(each.what.items), spare=1),
        Column("WRITTEN BY", lambda each: each.owners.get(f"{each.what.target.partition(':')[0]}-writer", ""), spare=3),
        Column("POLLED BY", lambda each: each.owners.get("collector", ""), spare=4),
        Column("WHY", lambda each: each.what.reason, fold=True),
    ),
    asdict,
)
"""Switches and hosts."""
TABLES: Listing[Filled] = Listing(
    (
        Column("SWITCH", lambda each: each.switch),
        Column("TABLE", lambda each: each.use.table),
        Column("USED", lambda each: str(each.use.used), right=True),
        Column("OF", lambda each: str(each.use.size), right=True),
        Column("", lambda each: Text(f"{each.share:.1%}", style=each.style), right=True),
    ),
    asdict,
)
LAG: Listing[Backlog] = Listing(
    (
        Column("CONSUMER", lambda each: each.consumer),
        Column("WAITING", lambda each: str(each.waiting), right=True),
        Column("AT WORK ON", lambda each: str(each.unacknowledged), right=True),
        Column("AGAIN", lambda each: str(each.again), right=True),
    ),
    asdict,
)
"""How many messages each consumer has not been given, and not dealt with."""
SAGAS: Listing[Seen] = Listing(
    (
        Column("PAIR", lambda each: each.what.pair),
        Column("PHASE", lambda each: each.what.phase),
        Column("FOR", lambda each: each.since(each.what.since)),
        Column("WAITS FOR", lambda each: " ".join(each.what.waiting)),
        Column("ASKED AGAIN", lambda each: str(each.what.tries)),
        Column("WHY", lambda each: each.what.reason, fold=True),
    ),
    asdict,
)
"""The slowest first."""
