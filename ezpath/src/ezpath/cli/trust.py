"""`ezpath trust`: keys, certificates and permissions by which services, NATS, switches and hosts know each other."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail
from ezpath.inventory import Inventory, InventoryError, load
from ezpath.trust.authority import expires
from ezpath.trust.listening import addresses
from ezpath.trust.roles import ROLES, SCOPED, Durables, RoleName, User
from ezpath.trust.store import CERT, Plan, Store, TrustError

DIRECTORY = click.Path(path_type=Path, file_okay=False)
ENDS = """
\b
Exit status: 0 done, 1 a file cannot be read or written, 2 wrong usage, or an inventory with mistakes.
"""
INIT = """\b
Examples:
  ezpath trust init /etc/ezpath/trust --inventory network.yaml --server nats.example
  ezpath trust init /etc/ezpath/trust --inventory network.yaml --per host
"""
RENEW = """\b
Examples:
  ezpath trust renew /etc/ezpath/trust --days 365
"""
ROTATE = """\b
Examples:
  ezpath trust rotate /etc/ezpath/trust host-writer-h11 viewer
"""
ALL = f"""\b
Examples:
{INIT.split(chr(10), 2)[2]}{RENEW.split(chr(10), 2)[2]}{ROTATE.split(chr(10), 2)[2]}"""
RELOAD = "Reload every nats-server: nats-server --signal reload"


@click.group(epilog=ALL + ENDS)
def trust() -> None:
    """Who may do what: make keys and certificates, renew them, exchange one. docs/TRUST.md."""


@trust.command(epilog=INIT + ENDS)
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.option(
    "--inventory",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Whose switches and hosts are to be known.",
)
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="NAME",
    help="A name or address by which NATS is reached, beside localhost; repeatable.",
)
@click.option(
    "--leaf",
    "leaves",
    multiple=True,
    metavar="NAME",
    help="A name or address by which a leaf node of NATS is reached, beside localhost; repeatable.",
)
@click.option(
    "--per",
    multiple=True,
    type=click.Choice(("switch", "host")),
    help="A user for each switch or host in place of one for all: a host's key is then good for that host alone.",
)
@click.option("--shards", default=1, show_default=True, type=click.IntRange(min=1), help="As the deciders have.")
@click.option("--listen", default="127.0.0.1:4222", show_default=True, metavar="ADDRESS:PORT", help="nats-server's.")
@click.option(
    "--nats-at",
    default="",
    metavar="DIR",
    help="Where nats-server will find its directory, nats/ or leaf/ of this one, when it is somewhere else.",
)
@click.option("--store", default="", metavar="DIR", help="Where nats-server stores what it keeps; beside its files.")
@click.option("--days", default=90.0, show_default=True, type=float, help="How long certificates are good.")
def init(
    directory: Path,
    file: Path,
    servers: tuple[str, ...],
    leaves: tuple[str, ...],
    per: tuple[str, ...],
    shards: int,
    listen: str,
    nats_at: str,
    store: str,
    days: float,
) -> None:
    """Make everything in DIR: an authority, keys, certificates, and what nats-server is to include.

    What is there already stays: run it again when the inventory has new hosts or switches.
    """
    try:
        inventory = load(file)
    except InventoryError as error:
        fail(str(error), EXIT_USAGE)
    durables = Durables(tuple(map(str, inventory.switches)), tuple(map(str, inventory.hosts)), shards)
    plan = Plan(
        users=tuple(user for role in ROLES for user in _users(role, inventory, per)),
        durables=durables,
        servers=servers,
        leaves=leaves,
        switches={str(name): addresses(each.config.address) for name, each in inventory.switches.items()},
        hosts={
            str(name): tuple(
                dict.fromkeys(
                    at for remote in (each.config.ovsdb, *each.config.openflow.values()) for at in addresses(remote)
                )
            )
            for name, each in inventory.hosts.items()
        },
        listen=listen,
        nats_at=nats_at,
        store=store,
        days=days,
    )
    trust_ = Store(directory)
    made = _try(lambda: trust_.make(plan, _now()))
    click.echo(f"{directory}: {len(made)} made, {len(plan.users)} users. Keep {directory / 'ca'} where no service runs")
    click.echo(f"nats-server -c {directory / 'nats' / 'nats-server.conf'}    or include accounts.conf and tls.conf")
    for user in plan.users:
        click.echo(f"{user.name}: {trust_.user(user)}")


@trust.command(epilog=RENEW + ENDS)
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.option("--days", type=float, help="How long they are good; as before by default.")
def renew(directory: Path, days: float | None) -> None:
    """Make all certificates anew, by the same authority. Keys of users stay."""
    store = Store(directory)

    def work() -> list[Path]:
        plan = store.plan()
        return store.make(plan if days is None else _lasting(plan, days), _now(), renew=True)

    for made in _try(work):
        click.echo(f"{made}: good until {expires((made / CERT).read_bytes()):%Y-%m-%d %H:%M} UTC")
    click.echo(f"{RELOAD}. Services read theirs whenever they connect.")


@trust.command(epilog=ROTATE + ENDS)
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.argument("names", nargs=-1, required=True, metavar="USER...")
def rotate(directory: Path, names: tuple[str, ...]) -> None:
    """Give users new keys; the old ones are refused when nats-server has been reloaded."""
    store = Store(directory)

    def work() -> None:
        plan = store.plan()
        known = {user.name: user for user in plan.users}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise TrustError(f"no user {', '.join(unknown)}. There are: {', '.join(sorted(known))}")
        for name in names:
            store.rotate(known[name])
        store.make(plan, _now())

    _try(work)
    click.echo(f"new keys for {', '.join(names)}. {RELOAD}, and hand the new files to their owners")


def _users(role: RoleName, inventory: Inventory, per: tuple[str, ...]) -> list[User]:
    kind = SCOPED.get(role)
    if kind is None or kind not in per:
        return [User(role)]
    return [User(role, (str(name),)) for name in (inventory.hosts if kind == "host" else inventory.switches)]


def _lasting(plan: Plan, days: float) -> Plan:
    return replace(plan, days=days)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _try(work: Any) -> Any:
    try:
        return work()
    except TrustError as error:
        fail(str(error), EXIT_REFUSED)
