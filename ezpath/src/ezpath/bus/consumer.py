"""A durable consumer: batches of one kind of event, in order, each acknowledged when it is dealt with.

A message may come twice (a late or lost acknowledgement, a crash): handlers are idempotent. It runs until cancelled,
through lost connections, deleted consumers and an emptied NATS.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from ezpath.bus import topology
from ezpath.bus.deadletter import dead_letter
from ezpath.bus.errors import BusError
from ezpath.bus.link import Link
from ezpath.bus.pull import Lost, Pull
from ezpath.bus.trace import CORRELATION
from ezpath.events import STREAM, DeadLetter, MalformedEvent, decode

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
    """Its place in the stream."""
    attempt: int
    """1 the first time, more when redelivered."""
    correlation: str | None
    published_at: float
    """When the server stored it, Unix time, seconds."""
    pending: int = 0
    """How many more the server had for this consumer when it sent this one."""
    _retry_after_s: float | None = field(default=None, repr=False)
    _rejected: str | None = field(default=None, repr=False)

    def retry(self, after_s: float = 1.0) -> None:
        """Do not acknowledge: deliver it again, ``after_s`` seconds later at the soonest."""
        self._retry_after_s = after_s

    def reject(self, reason: str) -> None:
        """It makes no sense to this service: to the dead letters, and never again."""
        self._rejected = reason


Handler = Callable[[list[Delivery[E]]], Awaitable[None]]
BuryDead = Callable[[DeadLetter], Awaitable[None]]


def to_delivery(message: Msg, expected: type[E] | tuple[type[E], ...]) -> Delivery[E]:
    """Parse one message. Raises :class:`MalformedEvent` for anything but ``expected``."""
    event = decode(message.data)
    if not isinstance(event, expected):
        raise MalformedEvent(f"{event.type}: not an event for {message.subject}")
    metadata = message.metadata
    return Delivery(
        event=event,
        subject=message.subject,
        sequence=metadata.sequence.stream,
        attempt=metadata.num_delivered or 1,
        correlation=(message.headers or {}).get(CORRELATION),
        published_at=metadata.timestamp.timestamp(),
        pending=metadata.num_pending,
    )


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
        self._log = structlog.get_logger().bind(consumer=durable, subject=subject)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            client = await self._link.client(None)
            try:
                await self._session(client)
            except (Lost, NatsError, OSError, TimeoutError, BusError) as error:
                self._log.warning("consumer lost", reason=str(error) or type(error).__name__, next="made again")
                await asyncio.sleep(REMAKE_AFTER_S)

    async def _session(self, client: Client) -> None:
        await self._ensure(client)
        async with Pull(client, STREAM, self._durable, self._batch) as pull:
            alive = asyncio.create_task(_keep_alive(pull), name=f"{self._durable}-progress")
            try:
                while True:
                    await self._deal_with(await pull.gather(self._linger_s), pull)
            finally:
                alive.cancel()
                await _give_back(pull, client)

    async def _ensure(self, client: Client) -> None:
        js = client.jetstream(timeout=3)
        config = api.ConsumerConfig(
            durable_name=self._durable,
            description=f"{self._service}: {self._subject}",
            filter_subject=self._subject,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=MAX_ACK_PENDING,
            inactive_threshold=INACTIVE_S,
        )
        try:
            await js.add_consumer(STREAM, config)
        except NotFoundError:
            # NATS came back empty: the stream first.
            await topology.ensure(js)
            await js.add_consumer(STREAM, config)

    async def _deal_with(self, messages: list[Msg], pull: Pull) -> None:
        understood: list[tuple[Msg, Delivery[E]]] = []
        for message in messages:
            try:
                understood.append((message, to_delivery(message, self._expected)))
            except MalformedEvent as error:
                await self._bury_message(message, str(error))
                pull.held.pop(message.reply, None)
        if understood:
            await self._handle(understood)
        for message, delivery in understood:
            await self._settle(message, delivery)
            pull.held.pop(message.reply, None)

    async def _handle(self, understood: list[tuple[Msg, Delivery[E]]]) -> None:
        """All at once; where that raises, one by one, so that a bad one does not take the others with it."""
        deliveries = [delivery for _, delivery in understood]
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
        for each in understood:
            await self._handle([each])

    def _failed(self, delivery: Delivery[E], error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if delivery.attempt >= MAX_ATTEMPTS:
            delivery.reject(f"{self._service} failed on it {delivery.attempt} times, last with {reason}")
            return
        self._log.error("handler failed", subject=delivery.subject, attempt=delivery.attempt, exc_info=error)
        delivery.retry(after_s=float(delivery.attempt))

    async def _settle(self, message: Msg, delivery: Delivery[E]) -> None:
        if delivery._rejected is not None:
            await self._bury_message(message, delivery._rejected)
        elif delivery._retry_after_s is not None:
            await message.nak(delay=delivery._retry_after_s)
        else:
            await message.ack()

    async def _bury_message(self, message: Msg, reason: str) -> None:
        self._log.warning("dead letter", on=message.subject, reason=reason)
        await self._bury(dead_letter(self._service, message.subject, reason, message.data, time.time()))
        await message.term()


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
