"""How far a durable consumer has come, and making an end of it: for whoever takes its work over from somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from ezpath.bus.errors import Unavailable
from ezpath.bus.link import Link
from ezpath.events import STREAM
from ezpath.tasks import heed_cancellation

ATTEMPT_S = 3.0
RETRY_AFTER_S = 0.2

T = TypeVar("T")


async def of(link: Link, durable: str, patience_s: float) -> int | None:
    """The sequence behind the last acknowledged one. Raises :class:`Unavailable`."""

    async def attempt(js: JetStreamContext) -> int | None:
        try:
            info = await js.consumer_info(STREAM, durable)
        except NotFoundError:
            return None
        settled = info.ack_floor.stream_seq if info.ack_floor else 0
        return max(settled + 1, info.config.opt_start_seq or 1)

    return await _retrying(link, f"ask how far {durable} has come", attempt, patience_s)


async def forget(link: Link, durable: str, patience_s: float) -> None:
    """Requests that somebody left there are void too. Raises :class:`Unavailable`."""

    async def attempt(js: JetStreamContext) -> None:
        try:
            await js.delete_consumer(STREAM, durable)
        except NotFoundError:
            return

    await _retrying(link, f"delete consumer {durable}", attempt, patience_s)


async def _retrying(link: Link, what: str, attempt: Callable[[JetStreamContext], Awaitable[T]], patience_s: float) -> T:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    last = "no answer"
    while (left := deadline - loop.time()) > 0:
        client = await link.client(left)
        try:
            answer = await attempt(client.jetstream(timeout=min(ATTEMPT_S, left)))
            heed_cancellation()
            return answer
        except (NatsError, OSError, TimeoutError) as error:
            heed_cancellation()
            last = str(error) or type(error).__name__
        await asyncio.sleep(RETRY_AFTER_S)
    raise Unavailable(f"could not {what} within {patience_s:g} s: {last}. Is JetStream running on NATS?")
