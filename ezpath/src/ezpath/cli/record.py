"""`ezpath record`: everything that is said, written down for a colleague, a bug report, or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click

from ezpath.bus import Access, Bus
from ezpath.catalogue import KINDS
from ezpath.cli.common import EXIT_REFUSED, fail, nats_option, with_bus
from ezpath.cli.eventoptions import duration, event_options
from ezpath.cli.seen import line
from ezpath.cli.watching import Wanted, watched

EXAMPLES = """\b
Examples:
  ezpath record capture.jsonl                        from now on, until Ctrl-C
  ezpath record capture.jsonl --for 60s              one minute
  ezpath record capture.jsonl --since 1h --no-follow  what is kept of the last hour
  ezpath record night.jsonl --since 03:10 --until 03:25
  ezpath record - --tenant red | gzip > red.jsonl.gz
  ezpath tail --input capture.jsonl                  show it, on any machine, without NATS

One JSON object a line, appended as it is heard: a recording that was cut short is as good as its length. It has names
and addresses of endpoints, no traffic and no secrets.

\b
Exit status: 0 done or interrupted, 1 the file cannot be written, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@event_options(KINDS, 0)
@click.option("--for", "for_s", callback=duration, metavar="DURATION", help="Stop after so long, such as 30s, 10m.")
@click.option("--follow/--no-follow", default=True, help="Go on with what happens, or stop at now. [default: go on]")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def record(nats: Access, file: Path, wanted: Wanted, for_s: float | None, follow: bool, force: bool) -> None:
    """Write events to FILE, samples included, to be shown by `ezpath tail --input`."""
    written = 0

    async def work(bus: Bus) -> None:
        nonlocal written
        try:
            async with asyncio.timeout(for_s):
                async for seen in watched(bus, wanted, follow):
                    write(line(seen))
                    written += 1
        except TimeoutError:
            return

    with _opened(file, force) as write:
        with_bus(nats, work, endless=True)
    click.echo(f"{written} events in {file}", err=True)


@contextmanager
def _opened(file: Path, force: bool) -> Iterator[Callable[[str], None]]:
    """Writes a line, at once: who looks at the file while it grows sees all of it.

    What was begun in vain, as where NATS is not reached, leaves no empty file behind.
    """
    if str(file) == "-":
        yield lambda text: click.echo(text)
        return
    try:
        stream = file.open("w" if force else "x", encoding="utf-8", buffering=1)
    except FileExistsError:
        fail(f"{file} is there already: give another name, or --force to write over it", EXIT_REFUSED)
    except OSError as error:
        _cannot(file, error)

    def write(text: str) -> None:
        try:
            print(text, file=stream)
        except OSError as error:
            _cannot(file, error)

    try:
        yield write
    except SystemExit:
        if not force and file.is_file() and not file.stat().st_size:
            file.unlink()
        raise
    finally:
        with suppress(OSError):  # said already, when it could not be written
            stream.close()


def _cannot(file: Path, error: OSError) -> NoReturn:
    fail(
        f"{file} cannot be written: {error.strerror}. Give a file where there is room and that you may write to",
        EXIT_REFUSED,
    )
