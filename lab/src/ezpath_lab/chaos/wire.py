"""What goes over NATS while chaos runs: seen at once, for moments to strike at, and repeated tenfold when asked for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from ezpath.bus.access import Access
from ezpath.bus.batch import EVENTS, unpack
from ezpath.bus.errors import BusError
from ezpath.bus.link import Link
from ezpath.events import JsonEvent, MalformedEvent, SagaStep, StepReport, decode
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ezpath_lab.chaos.plan import Moment
from ezpath_lab.shell import LabError

COPIES = 9
"""Of each message, beside the message itself."""
LATE_S = 1.5
"""The last copy comes no later."""
_COPY = "Ezpath-Chaos-Copy"
_SUBJECTS = ("ezpath.decision.>", "ezpath.command.>", "ezpath.report.>", "ezpath.saga.>")


def matches(moment: Moment, event: JsonEvent) -> bool:
    """Is this the moment? Before a step: it is announced. After it: a target confirmed it, or the saga went on."""
    if moment.when == "before":
        return isinstance(event, SagaStep) and event.phase == moment.phase
    if isinstance(event, StepReport):
        return event.phase == moment.phase
    return isinstance(event, SagaStep) and event.previous == moment.phase != event.phase


class Wire:
    """A bystander on core NATS: it loses what is said while NATS is down, and counts nothing."""

    def __init__(self, url: str, dice: random.Random) -> None:
        self._link = Link(Access(url), "ezpath-chaos-wire", self._on_up)
        self._dice = dice
        self._waiting: list[tuple[Moment, Callable[[], None]]] = []
        self._repeat: dict[str, int] = {}
        self._copying: set[asyncio.Task[None]] = set()
        self.copied = 0

    async def open(self) -> None:
        await self._link.open(None)

    async def close(self) -> None:
        for task in self._copying:
            task.cancel()
        await self._link.close()

    async def strike(self, moment: Moment, blow: Callable[[], None], timeout_s: float) -> bool:
        """Call ``blow`` the moment that ``moment`` is seen, or after ``timeout_s`` all the same. Says which."""
        struck: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hit() -> None:
            if struck.done():
                return
            try:
                blow()
            except LabError as error:
                struck.set_exception(error)
            else:
                struck.set_result(None)

        entry = (moment, hit)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(struck)
            return True
        except TimeoutError:
            hit()
            await struck
            return False
        finally:
            self._waiting.remove(entry)

    async def repeat(self, what: str, messages: int, timeout_s: float) -> int:
        """The next ``messages`` messages on ``ezpath.<what>.>`` come ten times each. Returns how many did."""
        self._repeat[what] = messages
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline and self._repeat[what] > 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return messages - self._repeat.pop(what)

    async def _on_up(self, client: Client) -> None:
        for subject in _SUBJECTS:
            await client.subscribe(subject, cb=self._seen)

    async def _seen(self, message: Msg) -> None:
        what = message.subject.split(".")[1]
        if self._repeat.get(what, 0) > 0 and _COPY not in (message.headers or {}):
            self._repeat[what] -= 1
            task = asyncio.create_task(self._copy(message))
            self._copying.add(task)
            task.add_done_callback(self._copying.discard)
        if not self._waiting:
            return
        try:
            events = [decode(line) for line in unpack(message.data, message.headers)]
        except MalformedEvent:
            return
        for moment, hit in list(self._waiting):
            if any(matches(moment, event) for event in events):
                hit()

    async def _copy(self, message: Msg) -> None:
        """Some at once, some late. Without a message id: the server's own deduplication is not to help."""
        delays = sorted(self._dice.choice((0.0, 0.0, 0.05, self._dice.uniform(0, LATE_S))) for _ in range(COPIES))
        count = (message.headers or {}).get(EVENTS)
        headers = {_COPY: "1"} | ({EVENTS: count} if count else {})
        before = 0.0
        for delay in delays:
            await asyncio.sleep(delay - before)
            before = delay
            with contextlib.suppress(BusError, NatsError, OSError):
                client = await self._link.client(5.0)
                await client.publish(message.subject, message.data, headers=headers)
                self.copied += 1
