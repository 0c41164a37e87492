"""`ezpath why`: why a flow is where it is, from the decider now and from what it recorded."""

from __future__ import annotations

import json
import re

import click

from ezpath.bus import Access, Bus
from ezpath.cli.accounts import headline, lines
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, with_bus
from ezpath.cli.completing import PAIRS
from ezpath.cli.output import Format, for_people, output_option, show_document
from ezpath.events import WHY_STREAM, WHY_SUBJECT, Account, decode, encode
from ezpath.inventory import NAME

_PART = re.compile(NAME.strip("^$"))

EXAMPLES = """\b
FLOW is tenant.endpoint.endpoint, in any order of the endpoints, or the two endpoints alone where one tenant has both.

\b
Examples:
  ezpath why red.red-1.red-3
  ezpath why red-3 red-1                the same
  ezpath why red.red-1.red-3 -o json | jq .now.standing
  ezpath why red-1 red-3 --dry-run      what a decider started with --dry-run says

\b
Where no decider answers, the last record is shown, with its time.

\b
Exit status: 0 answered, 1 no such flow or nothing known of it, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@click.argument("flow", nargs=-1, required=True, metavar="FLOW...", **PAIRS)
@output_option
@click.option("--dry-run", is_flag=True, help="Ask the decider that only looks on.")
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long to wait for the decider; it answers after its next round.",
)
def why(nats: Access, flow: tuple[str, ...], output: Format, dry_run: bool, timeout: float) -> None:
    """Say why a flow is on the hosts or on the switches: rates, rank, room, and what was decided before."""
    parts = [part for each in flow for part in each.split(".")]
    if len(parts) not in (2, 3) or not all(_PART.fullmatch(part) for part in parts):
        fail(f"{' '.join(flow)!r} names no flow: give tenant.endpoint.endpoint, or two endpoints", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        answer = await bus.ask("dryrun.why" if dry_run else "why", {"flow": ".".join(parts)}, timeout)
        if answer is not None and "unknown" in answer:
            near = f". Is {' or '.join(answer['near'])} meant?" if answer["near"] else ""
            fail(f"{answer['unknown'][0].upper()}{answer['unknown'][1:]}{near}", EXIT_REFUSED)
        now = _account(answer) if answer else None
        before = [] if dry_run else await _recorded(bus, now.pair.split(".") if now else parts)
        if now is None and not before:
            fail(
                f"No decider answers on {nats}, and nothing is recorded of {'.'.join(parts)}: either it never "
                "was on the switches or near them, or it is called otherwise. Start ezpath-decider and ask again",
                EXIT_REFUSED,
            )
        if for_people(output):
            _show(now, before)
        else:
            document = {"now": _raw(now) if now else None, "before": [_raw(each) for each in before]}
            show_document(document, output)

    with_bus(nats, work)


def _account(answer: dict[str, object]) -> Account:
    account = decode(json.dumps(answer["account"]).encode())
    assert isinstance(account, Account)
    return account


def _raw(account: Account) -> dict[str, object]:
    raw: dict[str, object] = json.loads(encode(account))
    return raw


async def _recorded(bus: Bus, parts: list[str]) -> list[Account]:
    """What is kept of it, the newest first."""
    *tenant, one, other = parts
    first, second = sorted((one, other))
    subject = f"{WHY_SUBJECT}.{tenant[0] if tenant else '*'}.{first}.{second}"
    found = [delivery.event async for delivery in bus.history([subject], stream=WHY_STREAM)]
    return [event for event in reversed(found) if isinstance(event, Account)]


def _show(now: Account | None, before: list[Account]) -> None:
    if now is None:
        click.echo("No decider answers. The last record:\n")
    for text in lines(now or before[0]):
        click.echo(text)
    earlier = before if now else before[1:]
    if earlier:
        click.echo("\nbefore")
    for account in earlier:
        click.echo(f"  {headline(account)}")
