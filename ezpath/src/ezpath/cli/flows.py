"""`ezpath flows`: which pairs talk, how much, and where each is carried."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.live import Live

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, fail, nats_option, with_bus
from ezpath.cli.eventoptions import place_options
from ezpath.cli.filters import Filter
from ezpath.cli.lines import bit_rate
from ezpath.cli.output import Column, Format, Listing, console, for_people, output_option, show_document
from ezpath.cli.parts import Parts
from ezpath.events import FlowLine, FlowsSnapshot

_STYLES = {"overlay": "", "moving": "yellow", "switch": "green"}

EXAMPLES = """\b
Examples:
  ezpath flows                           what the decider sees now
  ezpath flows --watch --top 10          the ten busiest, renewed as it changes
  ezpath flows --sort where --tenant red
  ezpath flows --json | jq .rate_bps     one object a line and flow

\b
Exit status: 0 done or interrupted, 1 no decider spoke in time, 2 wrong usage, 3 NATS not reachable.
"""

ORDERS: dict[str, Callable[[FlowLine], Any]] = {
    "rate": lambda flow: (-flow.rate_bps, flow.pair),
    "packets": lambda flow: (-flow.packets_s, flow.pair),
    "pair": lambda flow: flow.pair,
    "where": lambda flow: (list(_STYLES).index(flow.where), -flow.rate_bps, flow.pair),
}
"""Ways to sort; whoever has the most comes first."""


@dataclass(frozen=True, slots=True)
class Row:
    """A flow, and when the decider saw it so."""

    flow: FlowLine
    at: float


LISTING: Listing[Row] = Listing(
    (
        Column("TENANT", lambda row: row.flow.tenant, spare=1),
        Column("A", lambda row: row.flow.a),
        Column("B", lambda row: row.flow.b),
        Column("RATE", lambda row: bit_rate(row.flow.rate_bps), right=True),
        Column("PACKETS/S", lambda row: f"{row.flow.packets_s:.0f}", right=True, spare=3),
        Column("WHERE", lambda row: row.flow.where),
        Column("PHASE", lambda row: row.flow.phase or "-", spare=2),
        Column("SWITCHES", lambda row: " ".join(row.flow.switches), spare=4),
        Column("PAIR", lambda row: row.flow.pair, wide=True),
    ),
    lambda row: {"at": row.at, **asdict(row.flow)},
    lambda row: _STYLES[row.flow.where],
    empty="no flows",
)


@click.command(epilog=EXAMPLES)
@nats_option
@place_options
@click.option("--watch", "-w", is_flag=True, help="Go on with every new snapshot until interrupted.")
@click.option("--sort", type=click.Choice(list(ORDERS)), default="rate", show_default=True, help="What comes first.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N.")
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long to wait for the first snapshot; the decider sends one a round.",
)
@output_option
def flows(
    nats: Access, wanted: Filter, watch: bool, sort: str, top: int | None, timeout: float, output: Format
) -> None:
    """Show current flows, their rates, and whether hosts or switches carry them."""

    def rows(snapshot: FlowsSnapshot) -> list[Row]:
        return [Row(flow, snapshot.at) for flow in chosen(snapshot.flows, wanted, sort)[:top]]

    async def work(bus: Bus) -> None:
        snapshots = await snapshots_of(bus)
        try:
            async with asyncio.timeout(timeout):
                snapshot = await snapshots.get()
        except TimeoutError:
            fail(
                f"No flows were published within {timeout:g} s. Is ezpath-decider running on {nats}?",
                EXIT_REFUSED,
            )
        if not watch:
            LISTING.show(rows(snapshot), output)
        elif for_people(output):
            await _follow(snapshot, snapshots, rows, output)
        else:
            while True:
                for row in rows(snapshot):
                    show_document(LISTING.raw(row), output)
                snapshot = await snapshots.get()

    with_bus(nats, work, endless=watch)


async def snapshots_of(bus: Bus) -> asyncio.Queue[FlowsSnapshot]:
    """All flows, whenever every decider has told of its own."""
    snapshots: asyncio.Queue[FlowsSnapshot] = asyncio.Queue()
    parts = Parts()

    async def on_flows(snapshot: FlowsSnapshot) -> None:
        if (whole := parts.add(snapshot)) is not None:
            await snapshots.put(whole)

    await bus.subscribe_flows(on_flows)
    return snapshots


def chosen(flows: Iterable[FlowLine], wanted: Filter, sort: str) -> list[FlowLine]:
    """Those that are wanted, in order."""
    return sorted((flow for flow in flows if wanted.matches_flow(flow)), key=ORDERS[sort])


async def _follow(
    first: FlowsSnapshot,
    later: asyncio.Queue[FlowsSnapshot],
    rows: Callable[[FlowsSnapshot], list[Row]],
    output: Format,
) -> None:
    snapshot = first
    if not sys.stdout.isatty():  # a picture that is drawn over itself is none for a pipe: one table after the other
        while True:
            LISTING.show(rows(snapshot), output)
            snapshot = await later.get()
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(LISTING.table(rows(snapshot), output, live.console.width), refresh=True)
            snapshot = await later.get()
