"""`ezpath tail`: what is being decided and done, as it happens."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator

import click
from rich.console import Console

from ezpath.bus import Bus, Delivery
from ezpath.cli.common import inventory_option, nats_option, with_bus
from ezpath.cli.filters import Filter
from ezpath.cli.lines import heading, line
from ezpath.events import JsonEvent, encode
from ezpath.inventory import Inventory

SUBJECTS = ("ezpath.decision.>", "ezpath.dryrun.>", "ezpath.saga.>")
MORE_SUBJECTS = ("ezpath.command.>", "ezpath.report.>", "ezpath.deadletter.>")
DEFAULT_LAST = 20
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _ago(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """``90s``, ``10m``, ``2h``, ``1d`` to seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration: give a number and s, m, h or d, such as 10m", ctx, param)
    return float(match[1]) * _UNITS_S[match[2]]


EXAMPLES = """\b
Examples:
  ezpath tail                                  the last 20 events, then whatever happens
  ezpath tail --tenant red --switch tor1       red's pairs that tor1 is part of
  ezpath tail --since 10m --no-follow --all    everything of the last ten minutes
  ezpath tail --json | jq 'select(.outcome == "rolled-back") | .reason'

Exit status: 0 done or interrupted, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@inventory_option
@click.option("--all", "everything", is_flag=True, help="Commands, reports and dead letters as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as it was published, and its place.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant; repeatable.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only pairs on this host; repeatable.")
@click.option("--switch", "switches", multiple=True, metavar="NAME", help="Only pairs behind this ToR; repeatable.")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Begin N events back. [default: 20]")
@click.option("--since", callback=_ago, metavar="DURATION", help="Begin so long ago, such as 90s, 10m, 2h.")
@click.option("--follow/--no-follow", default=True, help="Go on with what happens, or stop at now. [default: go on]")
def tail(
    nats: str,
    inventory: Inventory | None,
    everything: bool,
    as_json: bool,
    tenants: tuple[str, ...],
    hosts: tuple[str, ...],
    switches: tuple[str, ...],
    last: int | None,
    since: float | None,
    follow: bool,
) -> None:
    """Follow decisions, saga steps and outcomes."""
    subjects = SUBJECTS + (MORE_SUBJECTS if everything else ())
    wanted = Filter(tenants, hosts, switches, inventory)
    if last is None and since is None:
        last = DEFAULT_LAST
    begin = time.time() - since if since is not None else None
    show = _show_json if as_json else _Printer()

    async def work(bus: Bus) -> None:
        newest = await bus.last_sequence()
        async for delivery in _past(bus, subjects, begin, wanted, last):
            show(delivery)
        if follow:
            async for delivery in bus.follow(subjects, after=newest):
                if wanted.matches(delivery.event):
                    show(delivery)

    with_bus(nats, work)


async def _past(
    bus: Bus, subjects: tuple[str, ...], begin: float | None, wanted: Filter, last: int | None
) -> AsyncIterator[Delivery[JsonEvent]]:
    """What is wanted of what was, at most the ``last`` of it."""
    kept: deque[Delivery[JsonEvent]] = deque(maxlen=last)
    async for delivery in bus.history(subjects, begin):
        if wanted.matches(delivery.event):
            kept.append(delivery)
    for delivery in kept:
        yield delivery


def _show_json(delivery: Delivery[JsonEvent]) -> None:
    place = {"subject": delivery.subject, "sequence": delivery.sequence, "published_at": delivery.published_at}
    click.echo(json.dumps({**place, **json.loads(encode(delivery.event))}, separators=(",", ":")))


class _Printer:
    """Lines with a heading above the first."""

    def __init__(self) -> None:
        # highlight would colour every number, soft_wrap keeps one event on one line also where output is piped
        self._console = Console(highlight=False, soft_wrap=True)
        self._begun = False

    def __call__(self, delivery: Delivery[JsonEvent]) -> None:
        if not self._begun:
            self._console.print(heading())
            self._begun = True
        at = getattr(delivery.event, "at", delivery.published_at)
        self._console.print(line(delivery.event, at))
