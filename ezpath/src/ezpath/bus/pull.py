"""Batches of messages from one JetStream consumer, over one connection, until it breaks.

nats-py's own ``fetch`` waits its whole timeout for a full batch; here a batch is whatever has come, at once, and a
consumer that is gone is noticed by its missing heartbeats.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from ezpath.tasks import heed_cancellation

EXPIRES_S = 30.0
"""How long one request for messages stands, seconds."""
HEARTBEAT_S = 2.0
MISSED_HEARTBEATS = 2.5
MOST_BYTES = 32 << 20
"""What one request may bring: a batch of messages of the largest kind would be gigabytes."""
_SLICE_S = 0.5


class Lost(Exception):
    """The consumer or the connection is gone; the message says why. Make both again."""


class Pull:
    """Use as ``async with``. ``held`` has every message taken from the server and not yet settled."""

    def __init__(self, client: Client, stream: str, consumer: str, batch: int) -> None:
        self._client = client
        self._request = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._outstanding = 0
        self.held: dict[str, Msg] = {}

    async def __aenter__(self) -> Pull:
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(self._inbox, cb=self._received)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None and not self._client.is_closed:
            with contextlib.suppress(NatsError, OSError):
                await self._subscription.unsubscribe()

    async def _received(self, message: Msg) -> None:
        if _status(message) is None:
            self.held[message.reply] = message
        self._queue.put_nowait(message)

    async def gather(self, linger_s: float, not_before: float = 0.0) -> list[Msg]:
        """Wait for the first message, then take what else comes within ``linger_s`` seconds. Raises :class:`Lost`.

        ``not_before``: the earliest time, by the loop's clock, at which it returns with less than a full batch.
        """
        messages: list[Msg] = []
        while not messages:
            if self._outstanding <= 0:
                await self._ask()
            await self._take(await self._next(), messages)
        with contextlib.suppress(TimeoutError):
            loop = asyncio.get_running_loop()
            async with asyncio.timeout_at(max(loop.time() + linger_s, not_before)):
                while len(messages) < self._batch and self._outstanding > 0:
                    await self._take(await self._queue.get(), messages)
        return messages

    async def _ask(self) -> None:
        request = {
            "batch": self._batch,
            # The next message has to fit in, or it would never come.
            "max_bytes": max(MOST_BYTES, 2 * self._client.max_payload),
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        await self._client.publish(self._request, json.dumps(request).encode(), reply=self._inbox)
        self._outstanding = self._batch

    async def _next(self) -> Msg:
        """The next message of any kind; :class:`Lost` where not even heartbeats come."""
        waited = 0.0
        while waited < HEARTBEAT_S * MISSED_HEARTBEATS:
            heed_cancellation()
            if self._client.is_closed:
                raise Lost("connection closed")
            try:
                async with asyncio.timeout(_SLICE_S):
                    return await self._queue.get()
            except TimeoutError:
                waited += _SLICE_S
        raise Lost(f"no heartbeat for {waited:g} s")

    async def _take(self, message: Msg, into: list[Msg]) -> None:
        status = _status(message)
        if status is None:
            self._outstanding -= 1
            into.append(message)
            return
        description = (message.headers or {}).get("Description", "")
        match status:
            case "100":
                return
            case "404" | "408":
                self._outstanding = 0
            case "409" if "deleted" in description.lower():
                raise Lost(description)
            case "409":
                # Too much unacknowledged, or the server is about to stop: ask again, but not in a tight loop.
                self._outstanding = 0
                await asyncio.sleep(0.1)
            case _:
                raise Lost(f"{status} {description or 'no such consumer'}")


def _status(message: Msg) -> str | None:
    """The status code of a message that carries no data, else None."""
    if message.headers and "Status" in message.headers:
        return str(message.headers["Status"])
    return None
