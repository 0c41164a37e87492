"""A durable consumer: batches of one kind of event, in order, each acknowledged when it is dealt with.

A message may come twice (a late or lost acknowledgement, a crash): handlers are idempotent. It runs until cancelled,
through lost connections, deleted consumers and an emptied NATS.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from ezpath.bus import topology
from ezpath.bus.batch import about, unpack
from ezpath.bus.deadletter import dead_letter
from ezpath.bus.errors import BusError
from ezpath.bus.link import Link
from ezpath.bus.pull import Lost, Pull
from ezpath.bus.trace import CORRELATION
from ezpath.events import STREAM, DeadLetter, MalformedEvent, decode
from ezpath.tasks import heed_cancellation

ACK_WAIT_S = 6.0
"""Without a sign of life for this long, the server gives a message to somebody else, seconds."""
PROGRESS_EVERY_S = ACK_WAIT_S / 3
MAX_ACK_PENDING = 2048
MAX_ATTEMPTS = 5
"""Deliveries of one message after which a handler that raises on it, alone, sends it to the dead letters."""
INACTIVE_S = 24 * 3600.0
REMAKE_AFTER_S = 0.5

E = TypeVar("E")


@dataclass(slots=True)
class Delivery(Generic[E]):
    """One event as it was received. When the handler returns, it is acknowledged unless the handler said otherwise."""

    event: E
    subject: str
    sequence: int
    """Its message's place in the stream."""
    attempt: int
    """1 the first time, more when redelivered."""
    correlation: str | None
    published_at: float
    """When the server stored it, Unix time, seconds."""
    pending: int = 0
    """How many more the server had for this consumer when it sent this one."""
    _data: bytes = field(default=b"", repr=False)
    _line: int = field(default=0, repr=False)
    _retry_after_s: float | None = field(default=None, repr=False)
    _rejected: str | None = field(default=None, repr=False)

    def retry(self, after_s: float = 1.0) -> None:
        """Do not acknowledge: deliver it again, ``after_s`` seconds later at the soonest."""
        self._retry_after_s = after_s

    def reject(self, reason: str) -> None:
        """It makes no sense to this service: to the dead letters, and never again."""
        self._rejected = reason


Handler = Callable[[list[Delivery[E]]], Awaitable[None]]
BuryDead = Callable[[DeadLetter, str], Awaitable[None]]
"""With a message id: the same letter again is kept once."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message, or one line of it, that is no event of those that are expected."""

    data: bytes
    reason: str
    line: int = 0


def to_deliveries(message: Msg, expected: type[E] | tuple[type[E], ...]) -> tuple[list[Delivery[E]], list[Malformed]]:
    """The events of one message, and what in it is none: a malformed line does not take the others with it."""
    headers = message.headers or {}
    try:
        found = unpack(message.data, headers)
    except MalformedEvent as error:
        return [], [Malformed(message.data, str(error))]
    metadata = message.metadata
    published_at = metadata.timestamp.timestamp()
    deliveries: list[Delivery[E]] = []
    malformed: list[Malformed] = []
    for number, data in enumerate(found):
        try:
            event = decode(data)
            if not isinstance(event, expected):
                raise MalformedEvent(f"{event.type}: not an event for {message.subject}")
        except MalformedEvent as error:
            malformed.append(Malformed(data, str(error), number))
            continue
        delivery: Delivery[E] = Delivery(
            event=event,
            subject=message.subject,
            sequence=metadata.sequence.stream,
            attempt=metadata.num_delivered or 1,
            correlation=headers.get(CORRELATION) or (about(event) if len(found) > 1 else None),
            published_at=published_at,
            pending=metadata.num_pending,
            _data=data,
            _line=number,
        )
        deliveries.append(delivery)
    return deliveries, malformed


class Consumer(Generic[E]):
    """Runs ``handler`` on everything that matches ``subject``, for ever."""

    def __init__(
        self,
        link: Link,
        service: str,
        durable: str,
        subject: str,
        expected: type[E] | tuple[type[E], ...],
        handler: Handler[E],
        bury: BuryDead,
        *,
        batch: int,
        linger_s: float,
        pace_s: float,
        start: int,
        ahead: int = 0,
    ) -> None:
        self._link = link
        self._service = service
        self._durable = durable
        self._subject = subject
        self._expected = expected
        self._handler = handler
        self._bury = bury
        self._batch = batch
        self._linger_s = linger_s
        self._pace_s = pace_s
        self._start = start
        self._ahead = ahead
        self._log = structlog.get_logger().bind(consumer=durable, subject=subject)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            client = await self._link.client(None)
            try:
                await self._session(client)
            except (Lost, NatsError, OSError, TimeoutError, BusError) as error:
                heed_cancellation()
                self._log.warning("consumer lost", reason=str(error) or type(error).__name__, next="made again")
                await asyncio.sleep(REMAKE_AFTER_S)

    async def _session(self, client: Client) -> None:
        await self._ensure(client)
        async with Pull(client, STREAM, self._durable, self._batch) as pull:
            alive = asyncio.create_task(_keep_alive(pull), name=f"{self._durable}-progress")
            loop, next_at = asyncio.get_running_loop(), 0.0
            working: set[asyncio.Task[None]] = set()
            try:
                while True:
                    messages = await _unless_failed(working, pull.gather(self._linger_s, next_at))
                    next_at = loop.time() + self._pace_s
                    if not self._ahead:
                        await self._deal_with(messages, pull)
                        continue
                    working.add(asyncio.create_task(self._deal_with(messages, pull), name=f"{self._durable}-work"))
                    await asyncio.sleep(0)  # they are begun in order
                    while len(working) > self._ahead:
                        await _one_of(working)
            finally:
                alive.cancel()
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)
                await _give_back(pull, client)

    async def _ensure(self, client: Client) -> None:
        js = client.jetstream(timeout=3)
        config = self._config(self._start)
        try:
            if self._start > 1 and (await js.stream_info(STREAM)).state.last_seq + 1 < self._start:
                config = self._config(1)  # NATS came back empty and counts from the start again
            await js.add_consumer(STREAM, config)
        except NotFoundError:
            # NATS came back empty: the stream first.
            await topology.ensure(js)
            await js.add_consumer(STREAM, self._config(1))

    def _config(self, start: int) -> api.ConsumerConfig:
        everything = start <= 1
        return api.ConsumerConfig(
            # With its name it is asked for on a subject that has the filter in it: NATS can say who may.
            name=self._durable,
            durable_name=self._durable,
            description=f"{self._service}: {self._subject}",
            filter_subject=self._subject,
            deliver_policy=api.DeliverPolicy.ALL if everything else api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if everything else start,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=MAX_ACK_PENDING,
            inactive_threshold=INACTIVE_S,
        )

    async def _deal_with(self, messages: list[Msg], pull: Pull) -> None:
        """In portions of about ``batch`` events: a message may have many, and its events stay together."""
        portion: list[tuple[Msg, list[Delivery[E]], list[Malformed]]] = []
        events = 0
        for number, message in enumerate(messages, 1):
            deliveries, malformed = to_deliveries(message, self._expected)
            portion.append((message, deliveries, malformed))
            events += len(deliveries)
            if events >= self._batch or number == len(messages):
                await self._portion(portion, pull)
                portion, events = [], 0

    async def _portion(self, portion: list[tuple[Msg, list[Delivery[E]], list[Malformed]]], pull: Pull) -> None:
        understood = [delivery for _, deliveries, _ in portion for delivery in deliveries]
        if understood:
            await self._handle(understood)
        for message, deliveries, malformed in portion:
            await self._settle(message, deliveries, malformed)
            pull.held.pop(message.reply, None)

    async def _handle(self, deliveries: list[Delivery[E]]) -> None:
        """All at once; where that raises, one by one, so that a bad one does not take the others with it."""
        try:
            await self._handler(deliveries)
            return
        except BusError as error:
            self._log.warning("handler could not reach nats", reason=str(error), next="redelivered")
            for delivery in deliveries:
                delivery.retry()
            return
        except Exception as error:  # noqa: BLE001 - reported, and dealt with below
            if len(deliveries) == 1:
                self._failed(deliveries[0], error)
                return
            self._log.warning("handler failed on a batch", events=len(deliveries), next="one by one", exc_info=error)
        for each in deliveries:
            await self._handle([each])

    def _failed(self, delivery: Delivery[E], error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if delivery.attempt >= MAX_ATTEMPTS:
            delivery.reject(f"{self._service} failed on it {delivery.attempt} times, last with {reason}")
            return
        self._log.error("handler failed", subject=delivery.subject, attempt=delivery.attempt, exc_info=error)
        delivery.retry(after_s=float(delivery.attempt))

    async def _settle(self, message: Msg, deliveries: list[Delivery[E]], malformed: list[Malformed]) -> None:
        """A message is acknowledged when all in it is dealt with; where one event is to come again, all of them do."""
        rejected = [d for d in deliveries if d._rejected is not None]
        for each in (*malformed, *(Malformed(d._data, d._rejected or "", d._line) for d in rejected)):
            self._log.warning("dead letter", on=message.subject, reason=each.reason)
            letter = dead_letter(self._service, message.subject, each.reason, each.data, time.time())
            # A message that comes again brings its malformed lines with it: they are buried once.
            await self._bury(letter, f"deadletter.{self._durable}.{message.metadata.sequence.stream}.{each.line}")
        again = [d._retry_after_s for d in deliveries if d._retry_after_s is not None and d._rejected is None]
        if again:
            await message.nak(delay=max(again))
        elif len(rejected) == len(deliveries):
            await message.term()
        else:
            await message.ack()


async def _unless_failed(working: set[asyncio.Task[None]], gathering: Coroutine[Any, Any, list[Msg]]) -> list[Msg]:
    """What ``gathering`` brings. Raises what one of ``working`` raises meanwhile."""
    if not working:
        return await gathering
    task = asyncio.create_task(gathering)
    try:
        while not task.done():
            await _one_of(working, task)
        return task.result()
    finally:
        task.cancel()


async def _one_of(working: set[asyncio.Task[None]], *others: asyncio.Task[Any]) -> None:
    """Wait for one of them. Those of ``working`` that have ended are taken out; raises what they raised."""
    done, _ = await asyncio.wait((*working, *others), return_when=asyncio.FIRST_COMPLETED)
    for task in done.intersection(working):
        working.discard(task)
        task.result()


async def _keep_alive(pull: Pull) -> None:
    """Tell the server of everything in hand that it is being worked on."""
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        with contextlib.suppress(NatsError, OSError):
            for message in list(pull.held.values()):
                await message.in_progress()


async def _give_back(pull: Pull, client: Client) -> None:
    """What was taken and not dealt with goes to whoever comes next, at once."""
    if client.is_closed:
        return
    with contextlib.suppress(NatsError, OSError):
        for message in list(pull.held.values()):
            await message.nak()
