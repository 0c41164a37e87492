"""All that a bucket holds at one moment, or an error: never a part of it.

Adapter. nats-py's own watch says that all was given when it finds nothing pending and nothing received, and what is on
its way to us just then is neither: a bucket looks empty. Here the number of keys comes with the making of the consumer,
before anything is sent, and as many have to arrive.
"""

from __future__ import annotations

import contextlib

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api

from ezpath.bus.pull import Lost, Pull

BATCH = 1000
LINGER_S = 0.01
INACTIVE_S = 60.0
_OPERATION, _MARKER = "KV-Operation", "Nats-Marker-Reason"


async def last_of_each(client: Client, bucket: str, keys: str, timeout_s: float) -> dict[str, tuple[bytes, int]]:
    """Key to (value, revision) for the keys that match and were not deleted. Raises nats-py's errors, TimeoutError."""
    prefix, stream = f"$KV.{bucket}.", f"KV_{bucket}"
    js = client.jetstream(timeout=timeout_s)
    config = api.ConsumerConfig(
        deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=api.AckPolicy.NONE,
        filter_subjects=[prefix + keys],
        inactive_threshold=INACTIVE_S,
        mem_storage=True,
    )
    info = await js.add_consumer(stream, config)
    left, found = info.num_pending or 0, dict[str, tuple[bytes, int]]()
    try:
        async with Pull(client, stream, info.name, BATCH) as pull:
            while left > 0:
                messages = await pull.gather(LINGER_S)
                left -= len(messages)
                for message in messages:
                    key = message.subject.removeprefix(prefix)
                    if _is_deletion(message):
                        found.pop(key, None)
                    else:
                        found[key] = message.data, message.metadata.sequence.stream
    except Lost as error:
        raise TimeoutError(str(error)) from None
    finally:
        with contextlib.suppress(NatsError, OSError, TimeoutError):  # it ends by itself when nobody asks for a minute
            await js.delete_consumer(stream, info.name)
    return found


def _is_deletion(message: Msg) -> bool:
    headers = message.headers or {}
    return _OPERATION in headers or _MARKER in headers
