"""`ezpath flows`: which pairs talk, how much, and where each is carried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ezpath.bus import Bus
from ezpath.cli.common import EXIT_REFUSED, fail, inventory_option, nats_option, with_bus
from ezpath.cli.filters import Filter
from ezpath.cli.lines import bit_rate
from ezpath.cli.parts import Parts
from ezpath.events import FlowLine, FlowsSnapshot
from ezpath.inventory import Inventory

_STYLES = {"overlay": "", "moving": "yellow", "switch": "green"}

EXAMPLES = """\b
Examples:
  ezpath flows                     what the decider sees now
  ezpath flows --watch             the same, renewed as it changes
  ezpath flows --tenant red --json | jq .rate_bps

Exit status: 0 done or interrupted, 1 no decider spoke in time, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@inventory_option
@click.option("--watch", is_flag=True, help="Go on with every new snapshot until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and flow.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant; repeatable.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only pairs on this host; repeatable.")
@click.option("--switch", "switches", multiple=True, metavar="NAME", help="Only pairs behind this ToR; repeatable.")
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long to wait for the first snapshot; the decider sends one a round.",
)
def flows(
    nats: str,
    inventory: Inventory | None,
    watch: bool,
    as_json: bool,
    tenants: tuple[str, ...],
    hosts: tuple[str, ...],
    switches: tuple[str, ...],
    timeout: float,
) -> None:
    """Show current flows, their rates, and whether hosts or switches carry them."""
    wanted = Filter(tenants, hosts, switches, inventory)

    async def work(bus: Bus) -> None:
        snapshots: asyncio.Queue[FlowsSnapshot] = asyncio.Queue()
        parts = Parts()

        async def on_flows(snapshot: FlowsSnapshot) -> None:
            if (whole := parts.add(snapshot)) is not None:
                await snapshots.put(whole)

        await bus.subscribe_flows(on_flows)
        try:
            async with asyncio.timeout(timeout):
                first = await snapshots.get()
        except TimeoutError:
            fail(f"No flows were published within {timeout:g} s. Is ezpath-decider running on {nats}?", EXIT_REFUSED)
        if not watch:
            _show(first, wanted, as_json)
        elif as_json:
            await _follow_json(first, snapshots, wanted)
        else:
            await _follow(first, snapshots, wanted)

    with_bus(nats, work)


def _show(snapshot: FlowsSnapshot, wanted: Filter, as_json: bool) -> None:
    lines = [flow for flow in snapshot.flows if wanted.matches_flow(flow)]
    if as_json:
        for flow in lines:
            click.echo(json.dumps({"at": snapshot.at, **asdict(flow)}, separators=(",", ":")))
        return
    console = Console()
    # Where nobody looks, nothing is cut off to fit a screen.
    console.print(table(lines), width=None if console.is_terminal else 240)


async def _follow_json(first: FlowsSnapshot, later: asyncio.Queue[FlowsSnapshot], wanted: Filter) -> None:
    snapshot = first
    while True:
        _show(snapshot, wanted, as_json=True)
        snapshot = await later.get()


async def _follow(first: FlowsSnapshot, later: asyncio.Queue[FlowsSnapshot], wanted: Filter) -> None:
    snapshot = first
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(table([flow for flow in snapshot.flows if wanted.matches_flow(flow)]), refresh=True)
            snapshot = await later.get()


def table(lines: Sequence[FlowLine]) -> Table:
    """The busiest first."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("TENANT", "left"), ("A", "left"), ("B", "left"), ("RATE", "right"), ("PACKETS/S", "right")):
        shown.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for name in ("WHERE", "PHASE", "SWITCHES"):
        shown.add_column(name, no_wrap=True)
    for flow in sorted(lines, key=lambda flow: -flow.rate_bps):
        shown.add_row(
            flow.tenant,
            flow.a,
            flow.b,
            bit_rate(flow.rate_bps),
            f"{flow.packets_s:.0f}",
            flow.where,
            flow.phase or "-",
            " ".join(flow.switches),
            style=_STYLES[flow.where],
        )
    if not lines:
        shown.caption = "no flows"
    return shown
