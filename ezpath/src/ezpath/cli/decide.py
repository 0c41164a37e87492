"""`ezpath offload` and `ezpath revert`: a decision taken by a person. The saga is the same."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import TypeVar

import click

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, inventory_option, nats_option, with_bus
from ezpath.cli.completing import PAIRS
from ezpath.cli.lines import line
from ezpath.cli.output import Format, for_people, line_console, output_option, show_document
from ezpath.cli.seen import Seen, document
from ezpath.events import SAGA_BUCKET, OffloadRequested, OutcomeName, RevertRequested, SagaOutcome
from ezpath.inventory import NAME, Inventory
from ezpath.names import PairId, Tenant, pair_id

_F = TypeVar("_F", bound=Callable[..., object])
_TOKEN = NAME.strip("^$")

EPILOG = """\b
PAIR is tenant.endpoint.endpoint, in any order of the endpoints, as `ezpath flows` and `ezpath tail` show it.

Exit status: 0 done, or there already (or asked for, with --no-wait), 1 rolled back or no outcome in time,
2 wrong usage, 3 NATS not reachable.
"""


def _options(command: _F) -> _F:
    for decorate in (
        output_option,
        click.option(
            "--timeout",
            default=30.0,
            show_default=True,
            type=click.FloatRange(min=0.1),
            metavar="SECONDS",
            help="How long to wait for the outcome.",
        ),
        click.option("--wait/--no-wait", default=True, help="Wait for the outcome. [default: wait]"),
        click.option("--reason", default="operator", show_default=True, help="What the event says."),
        inventory_option,
        nats_option,
        click.argument("pair", **PAIRS),
    ):
        command = decorate(command)
    return command


@click.command(epilog="\b\nExample:\n  ezpath offload red.red-1.red-3\n\n" + EPILOG)
@_options
def offload(
    pair: str, nats: Access, inventory: Inventory | None, reason: str, wait: bool, timeout: float, output: Format
) -> None:
    """Move PAIR to the switches now."""
    name, tenant = _checked(pair, inventory)
    event = OffloadRequested(name, tenant, reason, 0.0, time.time())
    _decide(nats, event, ("active", "rolled-back"), wait, timeout, output)


@click.command(epilog="\b\nExample:\n  ezpath revert red.red-1.red-3 --reason maintenance\n\n" + EPILOG)
@_options
def revert(
    pair: str, nats: Access, inventory: Inventory | None, reason: str, wait: bool, timeout: float, output: Format
) -> None:
    """Move PAIR back to the hosts now."""
    name, tenant = _checked(pair, inventory)
    event = RevertRequested(name, tenant, reason, time.time())
    _decide(nats, event, ("reverted", "rolled-back"), wait, timeout, output)


def _checked(text: str, inventory: Inventory | None) -> tuple[PairId, Tenant]:
    parts = text.split(".")
    if len(parts) != 3 or not all(re.fullmatch(_TOKEN, part) for part in parts):
        fail(f"{text!r} is no pair: give tenant.endpoint.endpoint, such as red.red-1.red-3", EXIT_USAGE)
    name = pair_id(*parts)
    # Where sources tell of endpoints, the file does not know them all: the decider does.
    if inventory is not None and not inventory.document.sources and inventory.pair_by_id(name) is None:
        fail(f"{name} is not in the inventory: see `ezpath flows` for the pairs there are", EXIT_USAGE)
    return name, Tenant(parts[0])


def _decide(
    nats: Access,
    event: OffloadRequested | RevertRequested,
    ends: tuple[OutcomeName, ...],
    wait: bool,
    timeout: float,
    output: Format,
) -> None:
    async def work(bus: Bus) -> None:
        rests = await _rests(bus, event.pair)
        before = await bus.last_sequence()
        await bus.publish(event)
        if not wait:
            return
        if rests == ("active" if ends[0] == "active" else "nowhere"):
            if for_people(output):
                click.echo(
                    f"{event.pair} is {'on the switches already' if rests == 'active' else 'not on the switches'}"
                )
            else:
                show_document({"pair": event.pair, "outcome": ends[0], "already": True}, output)
            return
        outcome = await _outcome(bus, event.pair, before, ends, timeout)
        if outcome is None:
            asked = event.type.removesuffix("-requested")
            fail(
                f"No outcome of the {asked} of {event.pair} within {timeout:g} s. It may be there already, or under "
                "way: see `ezpath flows` and `ezpath tail --all`, and that ezpath-decider runs. The request stays: "
                "a decider that comes later carries it out, unless the opposite is asked for",
                EXIT_REFUSED,
            )
        if for_people(output):
            line_console().print(line(outcome, outcome.at))
        else:
            show_document(document(Seen(outcome)), output)
        if outcome.outcome != ends[0]:
            fail(f"{event.pair} was rolled back: {outcome.reason}", EXIT_REFUSED)

    with_bus(nats, work)


async def _rests(bus: Bus, pair: PairId) -> str:
    """Where its last saga came to rest; ``nowhere`` where there was none, nothing where one is on its way."""
    record = await bus.kv_get(SAGA_BUCKET, pair)
    if record is None:
        return "nowhere"
    try:
        phase = json.loads(record[0])["phase"]
    except (ValueError, KeyError, TypeError):
        return ""  # another version's: the decider will know
    return {"rolled-back": "nowhere", "reverted": "nowhere", "active": "active"}.get(phase, "")


async def _outcome(
    bus: Bus, pair: PairId, after: int, ends: tuple[OutcomeName, ...], within_s: float
) -> SagaOutcome | None:
    try:
        async with asyncio.timeout(within_s):
            async for delivery in bus.follow([f"ezpath.saga.outcome.{pair}"], after):
                if isinstance(delivery.event, SagaOutcome) and delivery.event.outcome in ends:
                    return delivery.event
    except TimeoutError:
        pass
    return None
