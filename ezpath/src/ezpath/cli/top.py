"""`ezpath top`: flows, tunnels, tables and events on one screen, live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.live import Live

from ezpath.bus import Access, Bus, BusError
from ezpath.cli.board import Board, picture
from ezpath.cli.common import EXIT_USAGE, fail, nats_option, with_bus
from ezpath.cli.eventoptions import place_options
from ezpath.cli.filters import Filter
from ezpath.cli.flows import ORDERS, snapshots_of
from ezpath.cli.seen import Seen
from ezpath.cli.status import ask
from ezpath.cli.watching import DECISIONS, Wanted, watched

ASK_EVERY_S = 5.0
ASK_WITHIN_S = 2.0
QUIT = ("q", "\x03", "\x1b")
"""q, Ctrl-C, Esc."""
_LONG_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]")
"""An arrow, or another key that comes as several characters and begins as Esc does, which comes alone."""

EXAMPLES = """\b
Examples:
  ezpath top
  ezpath top --tenant red --sort where      red's flows and events
  ezpath top --inventory network.yaml       alarms also for what nobody writes

\b
Keys: q quits, s sorts by what comes next, space stops the picture and lets it go on.

\b
Exit status: 0 left with q or Ctrl-C, 2 wrong usage or no terminal, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@place_options
@click.option("--sort", type=click.Choice(list(ORDERS)), default="rate", show_default=True, help="What comes first.")
@click.option(
    "--refresh",
    default=0.5,
    show_default=True,
    type=click.FloatRange(min=0.05),
    metavar="SECONDS",
    help="Of the screen.",
)
def top(nats: Access, wanted: Filter, sort: str, refresh: float) -> None:
    """Show flows by rate, what is offloaded, how full tables are, and events, on one screen."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("A terminal is needed to draw on. For programs: `ezpath flows --watch --json`, `ezpath tail`", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        board = Board(sort=sort)
        done = asyncio.Event()

        def press(key: str) -> None:
            done.set() if key in QUIT else board.press(key)

        async with asyncio.TaskGroup() as tasks:
            listening = [
                tasks.create_task(_flows(bus, wanted, board)),
                tasks.create_task(_events(bus, wanted, board)),
                tasks.create_task(_health(bus, wanted, board)),
            ]
            with _keys(press):
                await _draw(board, refresh, done)
            for task in listening:
                task.cancel()

    with_bus(nats, work, endless=True)


async def _draw(board: Board, refresh_s: float, done: asyncio.Event) -> None:
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not done.is_set():
            live.update(picture(board, console.height, console.width), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(refresh_s):
                    await done.wait()


async def _flows(bus: Bus, wanted: Filter, board: Board) -> None:
    snapshots = await snapshots_of(bus)
    while True:
        snapshot = await snapshots.get()
        if not board.frozen:
            kept = tuple(flow for flow in snapshot.flows if wanted.matches_flow(flow))
            board.hear(Seen(type(snapshot)(snapshot.at, kept)))


async def _events(bus: Bus, wanted: Filter, board: Board) -> None:
    kinds = (*DECISIONS, "switch-tables", "target-state", "dead-letter")
    wanted.kinds = set(kinds)
    async for seen in watched(bus, Wanted(wanted, kinds, 30), follow=True):
        if not board.frozen:
            board.hear(seen)


async def _health(bus: Bus, wanted: Filter, board: Board) -> None:
    while True:
        began = time.monotonic()
        with contextlib.suppress(BusError):  # said by the next one that does get through
            board.judged(await ask(bus, wanted.inventory, ASK_WITHIN_S))
        await asyncio.sleep(max(0.5, ASK_EVERY_S - (time.monotonic() - began)))


@contextlib.contextmanager
def _keys(press: Callable[[str], None]) -> Iterator[None]:
    """Each key at once, and none of them on the screen; the terminal is as before in the end."""
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def read() -> None:
        typed = os.read(number, 64).decode(errors="ignore")
        for key in _LONG_KEY.sub("", typed):
            press(key)

    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
