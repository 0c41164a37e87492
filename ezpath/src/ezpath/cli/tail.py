"""`ezpath tail`: what is being decided and done, as it happens; or once more, from a capture."""

from __future__ import annotations

import sys
from datetime import date

import click
from rich.text import Text

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, with_bus
from ezpath.cli.eventoptions import event_options
from ezpath.cli.lines import heading, line
from ezpath.cli.output import Format, for_people, line_console, output_option, show_document
from ezpath.cli.seen import Seen, document
from ezpath.cli.watching import DECISIONS, NoEvent, Wanted, captured, lines_of, watched

DEFAULT_LAST = 20
MOST_NAMED = 5
"""Lines of a capture that are no events: the first of them say enough."""

EXAMPLES = """\b
Examples:
  ezpath tail                                  the last 20 events, then whatever happens
  ezpath tail --tenant red --switch tor1       red's pairs that tor1 is part of
  ezpath tail --since 10m --no-follow --all    everything kept of the last ten minutes
  ezpath tail --saga red.red-1.red-3.4 --all   one offload, with its commands and reports
  ezpath tail --since 03:10 --until 03:25 --all  what happened in the night
  ezpath tail --not-tenant blue --not-kind saga-step
  ezpath tail --kind saga-outcome --json | jq 'select(.outcome == "rolled-back") | .reason'
  ezpath tail --kind flow-sample --switch tor1  what the collector reads from tor1
  ezpath tail --input capture.jsonl            what `ezpath record` wrote; - reads standard input
  zcat capture.jsonl.gz | ezpath tail --input - --tenant red

Samples, flows, tables and states are not kept: they are shown as they come. --since counts back from now, or from a
capture's last event.

\b
Exit status: 0 done or interrupted, 1 not all of a capture was understood, 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@event_options(DECISIONS, DEFAULT_LAST)
@click.option("--input", "capture", metavar="FILE", help="Show a capture instead of asking NATS; - is standard input.")
@click.option("--follow/--no-follow", default=True, help="Go on with what happens, or stop at now. [default: go on]")
@output_option
def tail(nats: Access, wanted: Wanted, capture: str | None, follow: bool, output: Format) -> None:
    """Follow decisions, saga steps and outcomes."""
    show = _Printer(output)
    if capture is not None:
        _replay(capture, wanted.of_a_capture(), show)
        show.end()
        return

    async def work(bus: Bus) -> None:
        async for seen in watched(bus, wanted, follow):
            show(seen)
        show.end()

    with_bus(nats, work, endless=True)


def _replay(file: str, wanted: Wanted, show: _Printer) -> None:
    """Whatever is no event stops nothing; the first few are named."""
    bad = 0
    try:
        with lines_of(file) as lines:
            for each in captured(lines, wanted):
                if isinstance(each, NoEvent):
                    bad += 1
                    if bad <= MOST_NAMED:
                        click.echo(f"{file}:{each.number}: no event: {each.reason}", err=True)
                else:
                    show(each)
    except BrokenPipeError:
        raise  # it is the reader who is gone
    except OSError as error:
        fail(
            f"{file} cannot be read: {error.strerror}. Give a file of `ezpath record`, or - for standard input",
            EXIT_USAGE,
        )
    except KeyboardInterrupt:
        return
    if bad > MOST_NAMED:
        click.echo(f"{file}: {bad - MOST_NAMED} more lines are no events", err=True)
    if bad and not show.shown:
        click.echo(
            f"{file}: nothing to show. Give a file of `ezpath record`, or what `ezpath tail --json` printed", err=True
        )
    if bad:
        sys.exit(EXIT_REFUSED)


class _Printer:
    """Lines with a heading above the first, and the date above what is not of today, or of another day than before."""

    def __init__(self, output: Format) -> None:
        self._output = output
        self._console = line_console()
        self._day = date.today()
        self.shown = 0

    def __call__(self, seen: Seen) -> None:
        self.shown += 1
        if not for_people(self._output):
            show_document(document(seen), self._output)
            return
        wide = self._output == "wide"
        if self.shown == 1:
            self._console.print(heading(wide))
        if (day := date.fromtimestamp(seen.at)) != self._day:
            self._day = day
            self._console.print(Text(day.isoformat(), style="bold"))
        self._console.print(line(seen.event, seen.at, seen.subject if wide else None))

    def end(self) -> None:
        """A name that is misspelt is as silent as a quiet night: it is said that there was nothing."""
        if not self.shown:
            click.echo("no event is as asked for. --all has commands and reports as well", err=True)
