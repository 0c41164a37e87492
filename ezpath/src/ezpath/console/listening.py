"""From the bus to the page: listens, asks how services are, and follows the inventory. Adapter.

It goes on without NATS, and when it is back. It publishes nothing but the question how services are.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn
from urllib.parse import urlsplit

import structlog

from ezpath.bus import Access, Bus, BusError, Delivery
from ezpath.catalogue import channels_of
from ezpath.cli.flows import snapshots_of
from ezpath.cli.seen import Seen
from ezpath.cli.status import ask
from ezpath.cli.watching import DECISIONS
from ezpath.console.page import Page
from ezpath.events import FLOWS_SUBJECT, FlowSample, JsonEvent
from ezpath.inventory import Inventory
from ezpath.live import follow

KEPT = (*DECISIONS, "switch-command", "host-command", "step-report", "dead-letter")
UNKEPT = ("switch-tables", "target-state")
LAST = 2000
"""Events that a page begins with, at most …"""
SINCE_S = 3600.0
"""… and of so long ago, seconds."""
ASK_EVERY_S = 5.0
ASK_WITHIN_S = 2.0
AGAIN_S = 1.0
LOOK_EVERY_S = 0.25


def address_of(url: str) -> str:
    """Where NATS is, without user and password."""
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.hostname}:{parts.port or 4222}"


class Listening:
    """Keeps ``page`` as the bus has it; ``changed`` is called after each change."""

    def __init__(
        self,
        nats: Access | str,
        network: Inventory,
        page: Page,
        changed: Callable[[], None],
        connected: Callable[[Bus], None] = lambda bus: None,
    ) -> None:
        """``connected`` is called once, when NATS has been reached."""
        self._nats = nats
        self._connected = connected
        self._network = network
        self._page = page
        self._changed = changed

    async def run(self) -> NoReturn:
        """For ever. Waits for NATS."""
        async with await Bus.connect(self._nats, "console") as bus, asyncio.TaskGroup() as tasks:
            self._connected(bus)
            for work in (self._link, self._flows, self._unkept, self._kept, self._health, self._inventory):
                tasks.create_task(work(bus), name=f"console{work.__name__}")
        raise AssertionError("no task ends")

    async def _link(self, bus: Bus) -> None:
        while True:
            if self._page.connected(bus.vitals.connected, time.time()):
                self._changed()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _flows(self, bus: Bus) -> None:
        snapshots = await snapshots_of(bus)
        while True:
            self._hear(Seen(await snapshots.get(), FLOWS_SUBJECT))

    async def _unkept(self, bus: Bus) -> None:
        async def on_event(subject: str, event: JsonEvent | FlowSample) -> None:
            self._hear(Seen(event, subject, None, time.time()))

        await bus.overhear([channel.subject for channel in channels_of(UNKEPT)], on_event)

    async def _kept(self, bus: Bus) -> None:
        """What was said of late, then what is said."""
        subjects = [channel.subject for channel in channels_of(KEPT)]
        newest, past = await self._past(bus, subjects)
        for seen in past:
            self._page.hear(seen)
        self._changed()
        async for delivery in bus.follow(subjects, newest):
            self._hear(_seen(delivery))

    async def _past(self, bus: Bus, subjects: list[str]) -> tuple[int, deque[Seen]]:
        while True:
            past: deque[Seen] = deque(maxlen=LAST)
            try:
                newest = await bus.last_sequence()
                async for delivery in bus.history(subjects, time.time() - SINCE_S):
                    if delivery.sequence <= newest:  # what came meanwhile is followed
                        past.append(_seen(delivery))
                return newest, past
            except BusError as error:
                structlog.get_logger().warning("the past is not read yet", reason=str(error))
                await asyncio.sleep(AGAIN_S)

    async def _health(self, bus: Bus) -> None:
        while True:
            began = time.monotonic()
            with suppress(BusError):  # the page says that NATS is away
                self._page.judged(await ask(bus, self._network, ASK_WITHIN_S))
                self._changed()
            await asyncio.sleep(max(AGAIN_S, ASK_EVERY_S - (time.monotonic() - began)))

    async def _inventory(self, bus: Bus) -> None:
        async for network in follow(bus, self._network):
            self._page.lies(network)
            self._changed()

    def _hear(self, seen: Seen) -> None:
        self._page.hear(seen)
        self._changed()


def _seen(delivery: Delivery[JsonEvent]) -> Seen:
    return Seen(delivery.event, delivery.subject, delivery.sequence, delivery.published_at)
