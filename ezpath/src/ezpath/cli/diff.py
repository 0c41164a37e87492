"""`ezpath diff`: what ought to be installed against what is, on each switch and host, read back now."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict

import click
from rich.text import Text

from ezpath.answers import ASK_STATUS, Installed, ask_installed, from_document
from ezpath.bus import Access, Bus
from ezpath.cli import differences, targets
from ezpath.cli.common import EXIT_USAGE, fail, inventory_option, nats_option, with_bus
from ezpath.cli.completing import HOSTS, SWITCHES
from ezpath.cli.output import Column, Format, Listing, for_people, output_option, show_documents
from ezpath.inventory import Inventory
from ezpath.malformed import MalformedEvent

_STYLES = {"same": "green", "missing": "red", "surplus": "yellow", "changed": "yellow", "unknown": "magenta"}
LISTING: Listing[differences.Line] = Listing(
    (
        Column("TARGET", lambda line: line.target),
        Column("DIFFERENCE", lambda line: Text(line.kind, style=_STYLES[line.kind])),
        Column("WHAT", lambda line: line.what, fold=True),
    ),
    asdict,
    empty="no switch or host is known: give --inventory",
)
"""One line a difference."""
ROLL_CALL_S = 1.0
"""How long writers are given to name their targets, where no inventory does, seconds."""

EXAMPLES = """\b
Examples:
  ezpath diff --inventory network.yaml      every switch and host of the inventory
  ezpath diff --switch tor1 --host h11      these two
  ezpath diff -o jsonl | jq 'select(.verdict != "same") | .target'

The writers read back what is there now and compare it with what the decider wants there. While a pair is on its way,
its items differ for moments: ask again. A target that cannot be read, or whose writer is silent, is unknown.

Exit status: 0 no difference, 1 a difference, an unknown target, or none at all, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@inventory_option
@click.option("--switch", "switches", multiple=True, metavar="NAME", help="Only this ToR; repeatable.", **SWITCHES)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host; repeatable.", **HOSTS)
@output_option
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long a writer may take to read back.",
)
def diff(
    nats: Access,
    inventory: Inventory | None,
    switches: tuple[str, ...],
    hosts: tuple[str, ...],
    output: Format,
    timeout: float,
) -> None:
    """Show how what is installed differs from what ought to be."""
    named = {*(f"switch:{name}" for name in switches), *(f"host:{name}" for name in hosts)}
    if inventory is not None and (unknown := named - targets.of_inventory(inventory)):
        fail(f"not in the inventory: {', '.join(sorted(unknown))}", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        asked = sorted(named or await _all_targets(bus, inventory))
        answers = dict(zip(asked, await asyncio.gather(*(_ask(bus, each, timeout) for each in asked)), strict=True))
        silent = f"no writer answered within {timeout:g} s: see that its ezpath-…-writer runs, and `ezpath status`"
        if for_people(output):
            LISTING.show(differences.lines(answers, silent), output)
        else:
            show_documents(list(differences.as_json(answers, silent)), output)
        sys.exit(differences.status(answers.values()))

    with_bus(nats, work)


async def _all_targets(bus: Bus, inventory: Inventory | None) -> frozenset[str]:
    if inventory is not None:
        return targets.of_inventory(inventory)
    answers = await bus.ask_all(ASK_STATUS, {}, ROLL_CALL_S)
    return await targets.wanted_somewhere(bus) | targets.told_by(targets.statuses(answers))


async def _ask(bus: Bus, target: str, within_s: float) -> Installed | None:
    document = await bus.ask(ask_installed(target), {}, within_s)
    if document is None:
        return None
    try:
        answer = from_document(document)
    except MalformedEvent as error:
        return Installed(target, 0.0, problem=f"answer not understood: {error}")
    return answer if isinstance(answer, Installed) and answer.target == target else None
