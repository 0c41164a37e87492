"""`ezpath pause` and `ezpath resume`: the decider keeps its hands off a rack, a tenant, or everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TypeVar

import click

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, say_to_deciders, with_bus
from ezpath.cli.completing import RACKS, TENANTS
from ezpath.cli.output import Column, Format, Listing, for_people, output_option, show_document
from ezpath.controls import PAUSE_KEYS, Pause, Scope, pause_from_json, pause_to_json
from ezpath.events import CONTROL_BUCKET

_F = TypeVar("_F", bound=Callable[..., object])
ANSWER_S = 3.0

LISTING: Listing[Pause] = Listing(
    (
        Column("PAUSED", str),
        Column("SINCE", lambda pause: time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(pause.since))),
        Column("WHY", lambda pause: pause.reason, fold=True),
    ),
    asdict,
    empty="nothing is paused",
)

WHAT_IT_MEANS = """\b
The flows concerned stay where they are: the decider begins no move. What is under way is carried through, and
`ezpath offload` and `ezpath revert` go on to work: a person's word outdoes the pause. It outlives the decider.
"""


def _scopes(command: _F) -> _F:
    for decorate in (
        click.option(
            "--tenant", "tenants", multiple=True, metavar="NAME", help="This tenant's flows; repeatable.", **TENANTS
        ),
        click.option(
            "--rack", "racks", multiple=True, metavar="NAME", help="Flows with an end there; repeatable.", **RACKS
        ),
        nats_option,
    ):
        command = decorate(command)
    return command


@click.command(
    epilog=WHAT_IT_MEANS
    + """
\b
Examples:
  ezpath pause --rack r1 --reason "new ToR firmware"
  ezpath pause                          everywhere
  ezpath pause --list

\b
Exit status: 0 paused, 1 no such rack or tenant, 2 wrong usage, 3 NATS not reachable.
"""
)
@_scopes
@click.option("--reason", default="operator", show_default=True, help="What `ezpath why` says of it.")
@click.option("--list", "listing", is_flag=True, help="Show what is paused, since when and why.")
@output_option
def pause(
    nats: Access, racks: tuple[str, ...], tenants: tuple[str, ...], reason: str, listing: bool, output: Format
) -> None:
    """Have the decider leave flows where they are."""
    if listing and (racks or tenants):
        fail("--list shows all pauses: leave --rack and --tenant out", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        if listing:
            LISTING.show(await _pauses(bus), output)
            return
        answer = await bus.ask("pause", {"racks": racks, "tenants": tenants}, ANSWER_S)
        if answer is not None and answer["unknown"]:
            fail("\n".join(_unknown(**each) for each in answer["unknown"]), EXIT_REFUSED)
        for scope, name in _named(racks, tenants):
            made = Pause(scope, name, reason, time.time())
            await say_to_deciders(bus, made.key, pause_to_json(made))
            if for_people(output):
                click.echo(f"paused: {scope} {name}".rstrip())
            else:
                show_document(asdict(made), output)
        if answer is None:
            click.echo("No decider answers: names were not checked. The next one will heed it", err=True)
        elif for_people(output):
            click.echo(f"{answer['flows']} flows stay where they are, {answer['moved']} of them on the switches")

    with_bus(nats, work)


@click.command(
    epilog="""\b
Examples:
  ezpath resume --rack r1
  ezpath resume                         lifts the pause everywhere; those of racks and tenants stay
  ezpath resume --all                   lifts every pause

\b
Exit status: 0 resumed, 1 it was not paused, 2 wrong usage, 3 NATS not reachable.
"""
)
@_scopes
@click.option("--all", "everything", is_flag=True, help="Lift every pause.")
def resume(nats: Access, racks: tuple[str, ...], tenants: tuple[str, ...], everything: bool) -> None:
    """Let the decider go on."""
    if everything and (racks or tenants):
        fail("--all lifts every pause: leave --rack and --tenant out", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        pauses = {(pause.scope, pause.name): pause for pause in await _pauses(bus)}
        wanted = list(pauses) if everything else list(_named(racks, tenants))
        absent = [f"{scope} {name}".rstrip() for scope, name in wanted if (scope, name) not in pauses]
        for each in wanted:
            if each in pauses:
                await bus.kv_delete(CONTROL_BUCKET, pauses.pop(each).key)
                click.echo(f"resumed: {' '.join(each)}".rstrip())
        if pauses:
            click.echo("still paused: " + ", ".join(str(pause) for pause in pauses.values()))
        if absent:
            fail(f"not paused: {', '.join(absent)}. See `ezpath pause --list`", EXIT_REFUSED)

    with_bus(nats, work)


def _named(racks: Iterable[str], tenants: Iterable[str]) -> Iterable[tuple[Scope, str]]:
    named: list[tuple[Scope, str]] = [*(("rack", name) for name in racks), *(("tenant", name) for name in tenants)]
    return named or [("everywhere", "")]


def _unknown(kind: str, name: str, near: list[str]) -> str:
    return f"There is no {kind} {name}" + (f". Is {' or '.join(near)} meant?" if near else "")


async def _pauses(bus: Bus) -> list[Pause]:
    items = await bus.kv_items(CONTROL_BUCKET)
    return [pause_from_json(value) for key, (value, _) in sorted(items.items()) if key.startswith(PAUSE_KEYS)]
