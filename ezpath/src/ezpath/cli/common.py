"""What the commands share: options, exit codes, and a NATS that is there at once or not at all."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click

from ezpath.bus import Access, Bus, BusError, Conflict, Refused, Unavailable
from ezpath.events import CONTROL_BUCKET
from ezpath.inventory import Inventory, InventoryError, load
from ezpath.natsoptions import nats_options
from ezpath.serviceoptions import inventory_file_option
from ezpath.telemetry import configure_logging

EXIT_REFUSED = 1
"""It was asked and the answer is no: a configuration with problems, a pair that was rolled back, no decider."""
EXIT_USAGE = 2
"""The command line, or a file given with it, is wrong: an inventory, or what is to show NATS who we are."""
EXIT_NO_NATS = 3
CONNECT_S = 3.0
"""A person is waiting: no longer than this for NATS, seconds."""

_F = TypeVar("_F", bound=Callable[..., Any])


def nats_option(command: _F) -> _F:
    """`--nats URL[,URL…]`, and how to show who we are."""
    return nats_options("NATS: a server, or several of a cluster.")(command)


def inventory_option(command: _F) -> _F:
    """`--inventory FILE`, optional; the command gets a checked :class:`Inventory` or None."""

    @inventory_file_option("Says on which hosts and switches a pair is.", "inventory_file", required=False)
    @functools.wraps(command)
    def with_inventory(*args: Any, inventory_file: Path | None, **rest: Any) -> Any:
        return command(*args, inventory=_load(inventory_file) if inventory_file else None, **rest)

    return cast(_F, with_inventory)


def _load(file: Path) -> Inventory:
    try:
        return load(file)
    except InventoryError as error:
        fail(str(error), EXIT_USAGE)


async def say_to_deciders(bus: Bus, key: str, value: bytes) -> None:
    """Keep an operator's word under ``key``. The last one counts."""
    while True:
        found = await bus.kv_get(CONTROL_BUCKET, key)
        try:
            await bus.kv_put_cas(CONTROL_BUCKET, key, value, found[1] if found else None)
            return
        except Conflict:
            continue


def fail(message: str, code: int) -> NoReturn:
    """Say why on stderr and exit."""
    click.echo(message, err=True)
    sys.exit(code)


def with_bus(nats: Access, work: Callable[[Bus], Coroutine[Any, Any, None]], *, endless: bool = False) -> None:
    """Connect, do ``work``, and turn what may go wrong into a message and an exit code.

    ``endless``: it goes on until Ctrl-C, which is no failure then.
    """
    configure_logging("warning")

    async def connected() -> None:
        async with await Bus.connect(nats, "cli", wait_s=CONNECT_S, patience_s=CONNECT_S) as bus:
            await work(bus)

    try:
        asyncio.run(connected())
    except KeyboardInterrupt:
        if not endless:
            raise
    except (BusError, BaseExceptionGroup) as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        codes = ((Refused, EXIT_USAGE), (Unavailable, EXIT_NO_NATS), (BusError, EXIT_REFUSED))
        fail(str(trouble), next(code for kind, code in codes if isinstance(trouble, kind)))


def _trouble(error: BaseException) -> BusError | None:
    """Several tasks may have met the same: one line is enough. None where there is something else as well."""
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, BusError) else None
    found = [_trouble(each) for each in error.exceptions]
    return found[0] if None not in found else None
