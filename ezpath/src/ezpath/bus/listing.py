"""All that a bucket holds at one moment, or an error: never a part of it.

Adapter. nats-py's own watch says that all was given when it finds nothing pending and nothing received, and what is on
its way to us just then is neither: a bucket looks empty. Here as many values have to arrive as were counted at first.

In a cluster it is any of the bucket's servers that answers, and it may be a moment behind. Whoever moved a fence has to
have all that was written before: so the one that is never behind says first how far the bucket is.
"""

from __future__ import annotations

from contextlib import aclosing

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api

from ezpath.bus.drain import drain, reading
from ezpath.bus.pull import Lost

BATCH = 1000
_OPERATION, _MARKER = "KV-Operation", "Nats-Marker-Reason"


async def last_of_each(client: Client, bucket: str, keys: str, timeout_s: float) -> dict[str, tuple[bytes, int]]:
    """Key to (value, revision) for the keys that match and were not deleted. Raises nats-py's errors, TimeoutError."""
    prefix, stream, found = f"$KV.{bucket}.", f"KV_{bucket}", dict[str, tuple[bytes, int]]()
    config = reading([prefix + keys], api.DeliverPolicy.LAST_PER_SUBJECT)
    newest = 0
    if keys == ">":
        newest = int((await client.jetstream(timeout=timeout_s).stream_info(stream)).state.last_seq)
    reached = 0
    try:
        async with aclosing(drain(client, stream, config, BATCH, timeout_s)) as batches:
            async for messages in batches:
                for message in messages:
                    key = message.subject.removeprefix(prefix)
                    reached = max(reached, message.metadata.sequence.stream)
                    if _is_deletion(message):
                        found.pop(key, None)
                    else:
                        found[key] = message.data, message.metadata.sequence.stream
    except Lost as error:
        raise TimeoutError(str(error)) from None
    if reached < newest:  # the newest of all is the last of its own key
        raise TimeoutError(f"the server that was asked has {bucket} up to {reached}, where {newest} was written")
    return found


def _is_deletion(message: Msg) -> bool:
    headers = message.headers or {}
    return _OPERATION in headers or _MARKER in headers
