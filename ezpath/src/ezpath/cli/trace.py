"""`ezpath trace`: the whole life of one offload as a timeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click
from rich.text import Text

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, with_bus
from ezpath.cli.completing import PAIRS
from ezpath.cli.filters import Filter
from ezpath.cli.lines import clock, duration
from ezpath.cli.output import Format, console, for_people, output_option, show_document
from ezpath.cli.seen import Seen
from ezpath.cli.timeline import AT_REST, Part, Stage, Timeline, newest_of, of_saga, verdict, ways
from ezpath.cli.watching import NoEvent, Wanted, captured, lines_of
from ezpath.events import STEPS_SUBJECT
from ezpath.inventory import NAME
from ezpath.names import canonical

_SAGA = re.compile(rf"({NAME.strip('^$')}\.){{3}}\d+")
_PAIR = re.compile(rf"({NAME.strip('^$')}\.){{2}}{NAME.strip('^$')}")
_BAR = 24

EXAMPLES = """\b
SAGA is as `ezpath offloads` shows it, such as red.red-1.red-3.4; of a pair the newest one is shown.

\b
Examples:
  ezpath trace red.red-1.red-3.4
  ezpath trace red.red-1.red-3                            the pair's newest
  ezpath trace red.red-1.red-3 --input capture.jsonl      from what `ezpath record` wrote
  ezpath trace red.red-1.red-3 -o json | jq '.stages[] | {phase, took_ms}'

TOOK is how long the step lasted; behind each switch and host is how long its writer needed for its part. Bars show each
way, there and back, to its own scale. With -o wide each part is a line, with what was asked and when it was answered.

\b
Exit status: 0 shown, 1 nothing is known of it (the stream keeps a day), 2 wrong usage, 3 NATS not reachable.
"""


@click.command(epilog=EXAMPLES)
@nats_option
@click.argument("saga", metavar="SAGA|PAIR", **PAIRS)
@click.option(
    "--input", "capture", metavar="FILE", help="Look in a capture instead of asking NATS; - is standard input."
)
@output_option
def trace(nats: Access, saga: str, capture: str | None, output: Format) -> None:
    """Show each step of one offload: when, how long, who, and what for."""
    if not _SAGA.fullmatch(saga) and not _PAIR.fullmatch(saga):
        fail(
            f"{saga!r} is neither a saga nor a pair: give tenant.endpoint.endpoint, with or without a number",
            EXIT_USAGE,
        )
    saga = canonical(saga)
    if capture is not None:
        _show(saga, _captured(capture), output)
        return

    async def work(bus: Bus) -> None:
        _show(saga, await _kept(bus, _pair_of(saga)), output)

    with_bus(nats, work)


def _captured(file: str) -> list[Seen]:
    everything = Wanted(Filter(), (), None)
    try:
        with lines_of(file) as lines:
            return [each for each in captured(lines, everything) if not isinstance(each, NoEvent)]
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}. Give a file of `ezpath record`", EXIT_USAGE)


def _pair_of(saga: str) -> str:
    return ".".join(saga.split(".")[:3])


async def _kept(bus: Bus, pair: str) -> list[Seen]:
    """What the stream has of ``pair``. Commands and reports are asked for by target: others' are many."""
    subjects = [f"ezpath.decision.*.{pair}", f"ezpath.saga.*.{pair}", STEPS_SUBJECT]
    found = [Seen(d.event, d.subject, d.sequence, d.published_at) async for d in bus.history(subjects)]
    found = [each for each in found if getattr(each.event, "pair", None) == pair]
    targets = sorted({target for each in found for target in getattr(each.event, "targets", ())})
    if targets:
        tokens = [target.replace(":", ".", 1) for target in targets]
        subjects = [f"ezpath.{what}.{token}" for token in tokens for what in ("command", "report")]
        since = min(each.at for each in found) - 60.0
        async for d in bus.history(subjects, since):
            if getattr(d.event, "pair", None) == pair:
                found.append(Seen(d.event, d.subject, d.sequence, d.published_at))
    return found


def _show(saga: str, seen: Sequence[Seen], output: Format) -> None:
    name = saga if _SAGA.fullmatch(saga) else newest_of(saga, seen)
    timeline = of_saga(name, seen) if name else None
    if timeline is None:
        known = sorted({s for each in seen if (s := getattr(each.event, "saga", "")).startswith(f"{_pair_of(saga)}.")})
        near = f". Of its pair there are: {', '.join(known)}" if known else ". `ezpath offloads` shows what there is"
        fail(f"Nothing is known of {saga}: the stream keeps a day, and it may never have begun{near}", EXIT_REFUSED)
    if not for_people(output):
        show_document(asdict(timeline), output)
        return
    out = console()
    for text in lines(timeline, output == "wide"):
        out.print(text, soft_wrap=True)


def lines(timeline: Timeline, wide: bool = False) -> Iterator[Text]:
    """For people."""
    yield Text(f"{timeline.saga}: {verdict(timeline)}", style="bold")
    for asked in timeline.asked:
        yield Text(f"  {clock(asked.at)}  {asked.what} asked for: {asked.reason}", style="cyan")
    yield Text("")
    yield Text(f"{'TIME':12}  {'AFTER':>8}  {'PHASE':24}{'TOOK':>8}  {'':{_BAR}}  WHO AND WHY", style="bold")
    for way in ways(timeline.stages):
        whole_ms = sum(stage.took_ms or 0.0 for stage in way if stage.phase not in AT_REST)
        for stage in way:
            yield _line(stage, way[0].at, whole_ms, wide)
            if wide:
                yield from (Text(f"{'':58}{_part_at_length(part)}", style=_style(part)) for part in stage.parts)


def _line(stage: Stage, began: float, whole_ms: float, wide: bool) -> Text:
    rests = stage.phase in AT_REST
    took = "" if stage.took_ms is None else duration(stage.took_ms)
    name = f"{stage.phase}, again" if stage.again else stage.phase.upper() if rests else stage.phase
    who = "" if wide else ", ".join(map(_part, stage.parts))
    why = "; ".join(filter(None, (who, stage.reason)))
    bar = "" if rests else _bar(stage, began, whole_ms)
    after = f"+{duration((stage.at - began) * 1000)}"
    failed = any(part.ok is False for part in stage.parts) or stage.phase == "rolled-back"
    style = "red" if failed else "yellow" if stage.again else "green" if rests else ""
    return Text(f"{clock(stage.at)}  {after:>8}  {name:24}{took:>8}  {bar:{_BAR}}  {why}".rstrip(), style=style)


def _bar(stage: Stage, began: float, whole_ms: float) -> str:
    if not whole_ms:
        return ""
    start = min(_BAR - 1, int((stage.at - began) * 1000 / whole_ms * _BAR))
    length = max(1, round((stage.took_ms or 0.0) / whole_ms * _BAR))
    return " " * start + "━" * min(length, _BAR - start)


def _part(part: Part) -> str:
    if part.ok is None:
        return f"{part.target} (no answer)"
    if not part.ok:
        return f"{part.target} FAILED: {part.reason}"
    return f"{part.target} {duration(part.took_ms or 0.0)}"


def _part_at_length(part: Part) -> str:
    asked = f"asked {clock(part.asked_at)} to {part.asked}" if part.asked_at is not None else "command not kept"
    if part.answered_at is None:
        return f"{part.target}: {asked}, no answer"
    said = f"FAILED: {part.reason}" if part.ok is False else "confirmed"
    return f"{part.target}: {asked}, {said} {clock(part.answered_at)}, its writer took {duration(part.took_ms or 0.0)}"


def _style(part: Part) -> str:
    return "dim" if part.ok else "red" if part.ok is False else "yellow"
