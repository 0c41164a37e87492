"""Events for who looks on: the options that say which, and the events themselves, from NATS or from a capture."""

from __future__ import annotations

import asyncio
import functools
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from ezpath.bus import Bus, Delivery
from ezpath.catalogue import KINDS, SAMPLE_KIND, Channel, Keeping, channels_of
from ezpath.cli.common import inventory_option
from ezpath.cli.completing import ENDPOINTS, HOSTS, SWITCHES, TENANTS
from ezpath.cli.filters import Filter
from ezpath.cli.seen import Seen, from_line
from ezpath.events import STREAM, WHY_STREAM, JsonEvent, MalformedEvent
from ezpath.inventory import Inventory

DECISIONS = ("offload-requested", "revert-requested", "dry-run-decision", "saga-step", "saga-outcome")
KEPT = tuple(kind for kind in KINDS if any(channel.kept == "stream" for channel in channels_of([kind])))
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, and from when on."""

    filter: Filter
    kinds: Sequence[str]
    last: int | None
    since_s: float | None
    """Seconds ago."""
    usual: bool = False
    """Nobody said which kinds …"""
    whole: bool = False
    """… or from when on."""

    @property
    def channels(self) -> list[Channel]:
        return channels_of(self.kinds)

    def of_a_capture(self) -> Wanted:
        """Who has a capture wants to see all that is in it, unless something else is said."""
        kinds = () if self.usual else self.filter.kinds
        return replace(self, filter=replace(self.filter, kinds=kinds), last=None if self.whole else self.last)

    def subjects(self, *kept: Keeping) -> list[str]:
        return [channel.subject for channel in self.channels if channel.kept in kept]


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """``90s``, ``10m``, ``2h``, ``1d`` to seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration: give a number and s, m, h or d, such as 10m", ctx, param)
    return float(match[1]) * _UNITS_S[match[2]]


class _Kinds(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A kind of event; several with commas between."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(value.split(","))
        if unknown := [name for name in names if name not in KINDS]:
            self.fail(f"{unknown[0]!r} is no kind of event. There are: {', '.join(KINDS)}", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def place_options(command: _F) -> _F:
    """`--tenant`, `--endpoint`, `--host`, `--switch`, `--inventory`; the command gets a :class:`Filter` ``wanted``."""

    @inventory_option
    @click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant; repeatable.", **TENANTS)
    @click.option(
        "--endpoint", "endpoints", multiple=True, metavar="NAME", help="Only its pairs; repeatable.", **ENDPOINTS
    )
    @click.option(
        "--host", "hosts", multiple=True, metavar="NAME", help="Only pairs on this host; repeatable.", **HOSTS
    )
    @click.option(
        "--switch",
        "switches",
        multiple=True,
        metavar="NAME",
        help="Only pairs behind this ToR; repeatable.",
        **SWITCHES,
    )
    @functools.wraps(command)
    def with_filter(
        *args: Any,
        inventory: Inventory | None,
        tenants: tuple[str, ...],
        endpoints: tuple[str, ...],
        hosts: tuple[str, ...],
        switches: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        return command(*args, wanted=Filter(tenants, hosts, switches, inventory, endpoints), **rest)

    return cast(_F, with_filter)


def event_options(usual: Sequence[str], last: int | None) -> Callable[[_F], _F]:
    """Those of :func:`place_options`, and `--kind`, `--saga`, `--last`, `--since`; the command gets ``wanted``.

    Without `--kind` the ``usual`` ones, without `--last` and `--since` the ``last`` ones.
    """
    begins = f" [default: {last}]" if last else ""

    def decorate(command: _F) -> _F:
        @place_options
        @click.option(
            "--kind", "kinds", multiple=True, type=_Kinds(), metavar="KIND[,KIND…]", help="Only these; repeatable."
        )
        @click.option(
            "--all", "everything", is_flag=True, help="Whatever is kept: commands, reports, dead letters too."
        )
        @click.option("--samples", is_flag=True, help="What the collectors read from the switches as well.")
        @click.option(
            "--saga", "sagas", multiple=True, metavar="SAGA|PAIR", help="Only this saga, or this pair's; repeatable."
        )
        @click.option("--last", type=click.IntRange(min=0), metavar="N", help=f"Begin N events back.{begins}")
        @click.option("--since", callback=duration, metavar="DURATION", help="Begin so long ago, such as 90s, 10m, 2h.")
        @functools.wraps(command)
        def with_wanted(
            *args: Any,
            wanted: Filter,
            kinds: tuple[tuple[str, ...], ...],
            everything: bool,
            samples: bool,
            sagas: tuple[str, ...],
            since: float | None,
            **rest: Any,
        ) -> Any:
            most: int | None = rest.pop("last")
            named = {kind for each in kinds for kind in each}
            chosen = named | set(KEPT if everything else () if named else usual) | ({SAMPLE_KIND} if samples else set())
            wanted.kinds, wanted.sagas = chosen, sagas
            whole = most is None and since is None
            asked = Wanted(
                wanted, sorted(chosen), last if whole else most, since, not (named or everything or samples), whole
            )
            return command(*args, wanted=asked, **rest)

        return cast(_F, with_wanted)

    return decorate


async def watched(bus: Bus, wanted: Wanted, follow: bool) -> AsyncIterator[Seen]:
    """What was, and with ``follow`` what comes, for ever."""
    heard: asyncio.Queue[Seen] = asyncio.Queue()
    # What is not kept is listened for before what is kept is read: nothing gets lost in between.
    if follow and (unkept := wanted.subjects("nothing", "why")):

        async def on_event(subject: str, event: Any) -> None:
            await heard.put(Seen(event, subject, None, time.time()))

        await bus.overhear(unkept, on_event)
    newest = await bus.last_sequence()
    async for seen in _past(bus, wanted):
        yield seen
    if not follow:
        return
    following = asyncio.create_task(_follow(bus, wanted.subjects("stream"), newest, heard))
    try:
        while True:
            seen = await heard.get()
            if wanted.filter.matches(seen.event):
                yield seen
    finally:
        following.cancel()


async def _follow(bus: Bus, subjects: Sequence[str], after: int, heard: asyncio.Queue[Seen]) -> None:
    if subjects:
        async for delivery in bus.follow(subjects, after):
            await heard.put(_of(delivery))


def _of(delivery: Delivery[JsonEvent]) -> Seen:
    return Seen(delivery.event, delivery.subject, delivery.sequence, delivery.published_at)


async def _past(bus: Bus, wanted: Wanted) -> AsyncIterator[Seen]:
    """What is wanted of what was, at most the ``last`` of it."""
    kept: deque[Seen] = deque(maxlen=wanted.last)
    begin = None if wanted.since_s is None else time.time() - wanted.since_s
    for stream, subjects in ((STREAM, wanted.subjects("stream")), (WHY_STREAM, wanted.subjects("why"))):
        if subjects and wanted.last != 0:
            async for delivery in bus.history(subjects, begin, stream):
                if wanted.filter.matches(delivery.event):
                    kept.append(_of(delivery))
    for seen in sorted(kept, key=lambda seen: seen.published_at or 0.0) if wanted.subjects("why") else kept:
        yield seen


@dataclass(frozen=True, slots=True)
class NoEvent:
    """A line of a capture that is none."""

    number: int
    reason: str


def captured(lines: Iterable[str], wanted: Wanted) -> Iterator[Seen | NoEvent]:
    """The events of a capture that are wanted. ``since`` is before its last one.

    Lines come out as they go in, unless the end has to be known first: for ``--last`` and ``--since``.
    """
    found = _understood(lines, wanted.filter)
    if wanted.last is None and wanted.since_s is None:
        yield from found
        return
    kept: deque[Seen] = deque(maxlen=wanted.last)
    for each in found:
        if isinstance(each, NoEvent):
            yield each
        else:
            kept.append(each)
    end = max((seen.at for seen in kept), default=0.0)
    yield from (seen for seen in kept if wanted.since_s is None or seen.at >= end - wanted.since_s)


def _understood(lines: Iterable[str], wanted: Filter) -> Iterator[Seen | NoEvent]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            seen = from_line(text)
        except MalformedEvent as error:
            yield NoEvent(number, str(error))
            continue
        if wanted.matches(seen.event):
            yield seen


def lines_of(file: str) -> IO[str]:
    """``-`` is standard input. What is not UTF-8 is no event either, and no reason to stop."""
    if file == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        return sys.stdin
    return cast(IO[str], click.open_file(file, encoding="utf-8", errors="replace"))
