"""Reading the stream as a bystander: what was, and what comes. Acknowledges nothing, changes nothing."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from ezpath.bus.consumer import Delivery, to_delivery
from ezpath.bus.link import Link
from ezpath.bus.pull import Lost, Pull
from ezpath.events import STREAM, JsonEvent, MalformedEvent

BATCH = 500
LINGER_S = 0.01
_ANY: tuple[type[JsonEvent], ...] = JsonEvent.__args__


async def last_sequence(link: Link) -> int:
    """The number of the newest event in the stream, 0 for an empty one."""
    client = await link.client(None)
    info = await client.jetstream(timeout=3).stream_info(STREAM)
    return int(info.state.last_seq)


async def history(
    link: Link, subjects: Sequence[str], since: float | None = None
) -> AsyncIterator[Delivery[JsonEvent]]:
    """What the stream holds now on ``subjects``, oldest first, from Unix time ``since`` on. Ends at the newest."""
    client = await link.client(None)
    config = _config(subjects)
    if since is not None:
        config.deliver_policy = api.DeliverPolicy.BY_START_TIME
        config.opt_start_time = datetime.datetime.fromtimestamp(since, datetime.UTC)
    info = await client.jetstream(timeout=3).add_consumer(STREAM, config)
    left = info.num_pending or 0
    async with Pull(client, STREAM, info.name, BATCH) as pull:
        while left > 0:
            for message in await pull.gather(LINGER_S):
                left -= 1
                try:
                    yield to_delivery(message, _ANY)
                except MalformedEvent:
                    # Whoever the message was for has put it among the dead letters.
                    continue
    await _forget(client, info.name)


async def follow(link: Link, subjects: Sequence[str], after: int) -> AsyncIterator[Delivery[JsonEvent]]:
    """Everything on ``subjects`` behind stream sequence ``after``, as it comes, for ever."""
    while True:
        client = await link.client(None)
        try:
            config = _config(subjects)
            config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = after + 1
            info = await client.jetstream(timeout=3).add_consumer(STREAM, config)
            async with Pull(client, STREAM, info.name, BATCH) as pull:
                while True:
                    for message in await pull.gather(LINGER_S):
                        after = message.metadata.sequence.stream
                        try:
                            yield to_delivery(message, _ANY)
                        except MalformedEvent:
                            continue
        except NotFoundError:
            after = 0
        except (Lost, NatsError, OSError, TimeoutError):
            continue


def _config(subjects: Sequence[str]) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.NONE,
        filter_subjects=list(subjects),
        inactive_threshold=60.0,
        mem_storage=True,
    )


async def _forget(client: Client, consumer: str) -> None:
    try:
        await client.jetstream(timeout=3).delete_consumer(STREAM, consumer)
    except (NatsError, OSError):
        return  # it ends by itself when nobody asks for a minute
