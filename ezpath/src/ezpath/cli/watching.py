"""Events for who looks on: those that are wanted, from NATS or from a capture."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, cast

import click

from ezpath.bus import Bus, Delivery
from ezpath.catalogue import Channel, Keeping, channels_of
from ezpath.cli.filters import Filter
from ezpath.cli.moments import Moment
from ezpath.cli.seen import Seen, from_line
from ezpath.events import STREAM, WHY_STREAM, JsonEvent, MalformedEvent

DECISIONS = ("offload-requested", "revert-requested", "dry-run-decision", "saga-step", "saga-outcome")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, from when to when."""

    filter: Filter
    kinds: Sequence[str]
    last: int | None
    since: Moment | None = None
    until: Moment | None = None
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


async def watched(bus: Bus, wanted: Wanted, follow: bool) -> AsyncIterator[Seen]:
    """What was, and with ``follow`` what comes, for ever, unless it is to end somewhere."""
    follow = follow and wanted.until is None
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
    now = time.time()
    begin = None if wanted.since is None else wanted.since.before(now)
    end = None if wanted.until is None else wanted.until.before(now)
    for stream, subjects in ((STREAM, wanted.subjects("stream")), (WHY_STREAM, wanted.subjects("why"))):
        if subjects and wanted.last != 0:
            async for delivery in bus.history(subjects, begin, stream):
                if end is not None and delivery.published_at > end:
                    break
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
    """The events of a capture that are wanted. ``since`` and ``until`` are seen from its last one.

    Lines come out as they go in, unless the end has to be known first: for ``--last``, ``--since`` and ``--until``.
    """
    found = _understood(lines)
    if wanted.last is None and wanted.since is None and wanted.until is None:
        yield from (each for each in found if isinstance(each, NoEvent) or wanted.filter.matches(each.event))
        return
    end = 0.0
    kept: deque[Seen] = deque(maxlen=None if wanted.since or wanted.until else wanted.last)
    for each in found:
        if isinstance(each, NoEvent):
            yield each
            continue
        end = max(end, each.at)
        if wanted.filter.matches(each.event):
            kept.append(each)
    since = wanted.since.before(end) if wanted.since else -math.inf
    until = wanted.until.before(end) if wanted.until else math.inf
    within = [seen for seen in kept if since <= seen.at <= until]
    yield from within if wanted.last is None else within[max(0, len(within) - wanted.last) :]


def _understood(lines: Iterable[str]) -> Iterator[Seen | NoEvent]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            yield from_line(text)
        except MalformedEvent as error:
            yield NoEvent(number, str(error))


def lines_of(file: str) -> IO[str]:
    """``-`` is standard input. What is not UTF-8 is no event either, and no reason to stop."""
    if file == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        return sys.stdin
    return cast(IO[str], click.open_file(file, encoding="utf-8", errors="replace"))
