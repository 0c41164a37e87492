"""`ezpath pin` and `ezpath unpin`: a pair stays on the switches, or on the hosts, whatever its rate."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

import click
import structlog

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, say_to_deciders, with_bus
from ezpath.cli.completing import PAIRS
from ezpath.cli.output import Column, Format, Listing, for_people, output_option, show_document
from ezpath.controls import PIN_KEYS, Pin, Side, pin_from_json, pin_to_json
from ezpath.events import CONTROL_BUCKET
from ezpath.inventory import NAME
from ezpath.names import PairId, pair_id

ANSWER_S = 5.0
_PART = re.compile(NAME.strip("^$"))
_SINCE = "%Y-%m-%d %H:%M:%S"

PIN_EPILOG = """\b
Examples:
  ezpath pin red.red-1.red-3 --reason "the nightly copy"
  ezpath pin red.red-1.red-3 --to hosts      never on the switches
  ezpath pin --list

A pinned pair moves at the decider's next round, if there is room, and a budget or a pause does not forbid it; the
policy's own list `deny` outdoes a pin. It outlives the decider. `ezpath why` says that it is listed.

\b
Exit status: 0 pinned, 1 there is no such pair, 2 wrong usage, 3 NATS not reachable.
"""
UNPIN_EPILOG = """\b
Examples:
  ezpath unpin red.red-1.red-3
  ezpath unpin --all

\b
Exit status: 0 unpinned, 1 it was not pinned, 2 wrong usage, 3 NATS not reachable.
"""

LISTING: Listing[Pin] = Listing(
    (
        Column("PAIR", lambda pin: pin.pair),
        Column("TO", lambda pin: pin.to),
        Column("SINCE", lambda pin: time.strftime(_SINCE, time.localtime(pin.since))),
        Column("WHY", lambda pin: pin.reason, fold=True),
    ),
    asdict,
    empty="nothing is pinned",
)


@click.command(epilog=PIN_EPILOG)
@nats_option
@click.argument("pair", required=False, **PAIRS)
@click.option("--to", type=click.Choice(get_args(Side)), default="switches", show_default=True, help="Where it stays.")
@click.option("--reason", default="operator", show_default=True, help="For whoever lists the pins.")
@click.option("--list", "listing", is_flag=True, help="Show what is pinned, since when and why.")
@output_option
def pin(nats: Access, pair: str | None, to: Side, reason: str, listing: bool, output: Format) -> None:
    """Keep PAIR on the switches, or on the hosts."""
    if listing == (pair is not None):
        fail("Give a PAIR, or --list", EXIT_USAGE)
    name = _checked(pair) if pair else None

    async def work(bus: Bus) -> None:
        if name is None:
            LISTING.show((await _pins(bus)).values(), output)
            return
        answer = await bus.ask("why", {"flow": name}, ANSWER_S)
        if answer is not None and "unknown" in answer:
            near = f". Is {' or '.join(answer['near'])} meant?" if answer["near"] else ""
            fail(f"{answer['unknown'][0].upper()}{answer['unknown'][1:]}{near}", EXIT_REFUSED)
        made = Pin(name, to, reason, time.time())
        await say_to_deciders(bus, made.key, pin_to_json(made))
        if for_people(output):
            click.echo(f"pinned to the {to}: {name}")
        else:
            show_document(asdict(made), output)
        if answer is None:
            click.echo("No decider answers: the name was not checked. The next one will heed it", err=True)

    with_bus(nats, work)


@click.command(epilog=UNPIN_EPILOG)
@nats_option
@click.argument("pair", required=False, **PAIRS)
@click.option("--all", "everything", is_flag=True, help="Every pin.")
def unpin(nats: Access, pair: str | None, everything: bool) -> None:
    """Let the decider decide about PAIR again."""
    if everything == (pair is not None):
        fail("Give a PAIR, or --all", EXIT_USAGE)
    name = _checked(pair) if pair else None

    async def work(bus: Bus) -> None:
        pins = await _pins(bus)
        wanted = [name] if name else list(pins)
        if not wanted:
            click.echo(LISTING.empty)
        for each in wanted:
            if each not in pins:
                fail(f"{each} is not pinned. See `ezpath pin --list`", EXIT_REFUSED)
            await bus.kv_delete(CONTROL_BUCKET, f"{PIN_KEYS}{each}")
            click.echo(f"unpinned: {each}")

    with_bus(nats, work)


def _checked(text: str) -> PairId:
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        fail(f"{text!r} is no pair: give tenant.endpoint.endpoint, such as red.red-1.red-3", EXIT_USAGE)
    return pair_id(*parts)


async def _pins(bus: Bus) -> Mapping[PairId, Pin]:
    found: dict[PairId, Pin] = {}
    for key, (value, _) in sorted((await bus.kv_items(CONTROL_BUCKET)).items()):
        if key.startswith(PIN_KEYS):
            try:
                each = pin_from_json(value)
            except ValueError as error:
                structlog.get_logger().warning("pin not understood", key=key, reason=str(error))
                continue
            found[each.pair] = each
    return found
