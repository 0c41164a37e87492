"""All that a stream holds at one moment for a filter, or an error: never a part of it. Adapter.

The number of messages comes with the making of the consumer, before anything is sent, and as many have to arrive. The
consumer is nobody's but the reader's, and goes with it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api

from ezpath.bus.pull import Pull

LINGER_S = 0.01
INACTIVE_S = 60.0
"""It ends by itself when nobody asks for so long: where the server cannot be told any more."""


def reading(subjects: list[str], deliver: api.DeliverPolicy = api.DeliverPolicy.ALL) -> api.ConsumerConfig:
    """A bystander's consumer: acknowledges nothing, and the server keeps nothing about it on its disk."""
    return api.ConsumerConfig(
        # With its name it is asked for on a subject that says it: NATS can keep us from those that services depend on.
        name=f"reader-{uuid.uuid4().hex[:16]}",
        deliver_policy=deliver,
        ack_policy=api.AckPolicy.NONE,
        filter_subjects=subjects,
        inactive_threshold=INACTIVE_S,
        mem_storage=True,
    )


async def drain(
    client: Client, stream: str, config: api.ConsumerConfig, batch: int, timeout_s: float
) -> AsyncGenerator[list[Msg], None]:
    """What ``config`` finds now, oldest first. Close it (``contextlib.aclosing``) where it may not be read to its end.

    Raises nats-py's errors, OSError, TimeoutError, and :class:`~ezpath.bus.pull.Lost`.
    """
    js = client.jetstream(timeout=timeout_s)
    info = await js.add_consumer(stream, config)
    left = info.num_pending or 0
    try:
        async with Pull(client, stream, info.name, batch) as pull:
            while left > 0:
                messages = await pull.gather(LINGER_S)
                left -= len(messages)
                yield messages
    finally:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await js.delete_consumer(stream, info.name)
