"""Reading the stream as a bystander: what was, and what comes. Acknowledges nothing, changes nothing."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api

from ezpath.bus.consumer import Delivery, to_deliveries
from ezpath.bus.drain import LINGER_S, drain, reading
from ezpath.bus.errors import Unavailable
from ezpath.bus.link import Link
from ezpath.bus.pull import Lost, Pull
from ezpath.events import STREAM, JsonEvent
from ezpath.lag import Backlog, StreamUse
from ezpath.tasks import heed_cancellation

BATCH = 500
TIMEOUT_S = 3
RETRY_AFTER_S = 0.5
_ANY: tuple[type[JsonEvent], ...] = JsonEvent.__args__


_TROUBLE = (Lost, NatsError, OSError, TimeoutError)


async def last_sequence(link: Link, patience_s: float) -> int:
    """The number of the newest event in the stream, 0 for an empty one. Raises :class:`Unavailable`."""
    client = await link.client(patience_s)
    try:
        info = await client.jetstream(timeout=TIMEOUT_S).stream_info(STREAM)
    except _TROUBLE as error:
        raise _unavailable(link, error) from None
    return int(info.state.last_seq)


async def stream_use(link: Link, patience_s: float) -> StreamUse:
    """Raises :class:`Unavailable`."""
    client = await link.client(patience_s)
    js = client.jetstream(timeout=TIMEOUT_S)
    try:
        stream = await js.stream_info(STREAM)
        found: list[Backlog] = []
        page = await js.consumers_info(STREAM)
        seen = 0
        while page:
            found += [_backlog(info) for info in page if info.config.durable_name]
            seen += len(page)
            page = await js.consumers_info(STREAM, offset=seen) if seen < stream.state.consumer_count else []
    except _TROUBLE as error:
        raise _unavailable(link, error) from None
    ordered = tuple(sorted(found, key=lambda each: each.consumer))
    return StreamUse(stream.state.messages, stream.state.bytes, stream.config.max_bytes or -1, ordered)


def _backlog(info: api.ConsumerInfo) -> Backlog:
    return Backlog(
        info.config.durable_name or info.name,
        info.num_pending or 0,
        info.num_ack_pending or 0,
        info.num_redelivered or 0,
        bool(info.num_waiting),
    )


async def history(
    link: Link, subjects: Sequence[str], since: float | None, patience_s: float, stream: str = STREAM
) -> AsyncIterator[Delivery[JsonEvent]]:
    """What the stream holds now on ``subjects``, oldest first, from Unix time ``since`` on. Ends at the newest.

    Raises :class:`Unavailable` where NATS goes away in the middle.
    """
    client = await link.client(patience_s)
    config = reading(list(subjects))
    if since is not None:
        config.deliver_policy = api.DeliverPolicy.BY_START_TIME
        config.opt_start_time = datetime.datetime.fromtimestamp(since, datetime.UTC)
    try:
        async with aclosing(drain(client, stream, config, BATCH, TIMEOUT_S)) as batches:
            async for messages in batches:
                for delivery in _understood(messages):
                    yield delivery
    except _TROUBLE as error:
        raise _unavailable(link, error) from None


async def follow(link: Link, subjects: Sequence[str], after: int) -> AsyncIterator[Delivery[JsonEvent]]:
    """Everything on ``subjects`` behind stream sequence ``after``, as it comes, for ever."""
    life = ""
    while True:
        client = await link.client(None)
        js = client.jetstream(timeout=TIMEOUT_S)
        try:
            stream = await js.stream_info(STREAM)
            if (life and str(stream.created) != life) or stream.state.last_seq < after:
                after = 0  # NATS came back empty and counts from the start again
            life = str(stream.created)
            config = reading(list(subjects), api.DeliverPolicy.BY_START_SEQUENCE)
            config.opt_start_seq = after + 1
            info = await js.add_consumer(STREAM, config)
            async with Pull(client, STREAM, info.name, BATCH) as pull:
                while True:
                    messages = await pull.gather(LINGER_S)
                    after = messages[-1].metadata.sequence.stream
                    for delivery in _understood(messages):
                        yield delivery
        except _TROUBLE:
            heed_cancellation()
            await asyncio.sleep(RETRY_AFTER_S)


def _understood(messages: Sequence[Msg]) -> Iterator[Delivery[JsonEvent]]:
    """Those that are events; whoever the others were for has put them among the dead letters."""
    for message in messages:
        deliveries, _ = to_deliveries(message, _ANY)
        yield from deliveries


def _unavailable(link: Link, error: Exception) -> Unavailable:
    why = str(error) or type(error).__name__
    return Unavailable(f"NATS at {link.url} did not answer: {why}. See that JetStream runs there, and ask again")
