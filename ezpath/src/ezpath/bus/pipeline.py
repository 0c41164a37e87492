"""Publishing without waiting for each answer: many messages under way on one connection, their answers gathered.

Adapter. JetStream answers each message to the reply subject it came with; nats-py's own ``publish`` makes a request of
each, which takes several times as long for both sides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, MaxPayloadError
from nats.errors import Error as NatsError

from ezpath.bus.batch import Message
from ezpath.events import STREAM

EXPECTED_STREAM = "Nats-Expected-Stream"
WINDOW = 1024
"""Messages under way at most."""
WRONG_LAST_SEQUENCE = 10071
"""JetStream's code for a compare-and-set that lost."""
IN_PROCESS = 10164
"""And for one, in a cluster, that came while another with the same condition was not yet stored everywhere."""


class Refusal(Exception):
    """JetStream's answer to one message, when it is no."""

    def __init__(self, code: int, words: str) -> None:
        self.code = code
        super().__init__(words)


Answer = int | Exception
"""The place in the stream, or why there is none: :class:`Refusal`, or what went wrong on the way."""


class Pipeline:
    """The answers to what is published on one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._numbers = 0
        self._subscribed: asyncio.Task[object] | None = None

    @property
    def client(self) -> Client:
        return self._client

    async def publish(self, messages: Sequence[Message], timeout_s: float, stream: str = STREAM) -> list[Answer]:
        """Send all of ``messages``, in their order; for each its answer. Waits ``timeout_s`` for the last of them.

        Raises MaxPayloadError and BadSubjectError: trying again would not help.
        """
        answers: list[Answer] = []
        for start in range(0, len(messages), WINDOW):
            answers += await self._window(messages[start : start + WINDOW], timeout_s, stream)
        return answers

    async def _window(self, messages: Sequence[Message], timeout_s: float, stream: str) -> list[Answer]:
        futures: dict[str, asyncio.Future[int]] = {}
        try:
            async with asyncio.timeout(timeout_s):
                await self._listen()
                for message in messages:
                    await self._send(message, stream, futures)
                await asyncio.wait(futures.values())
        except (MaxPayloadError, BadSubjectError):
            raise
        except (TimeoutError, NatsError, OSError) as error:
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
            missing = len(messages) - len(futures)
            return [*map(_answer, futures.values()), *[error] * missing]
        finally:
            for token in futures:
                self._waiting.pop(token, None)
        return [*map(_answer, futures.values())]

    async def _send(self, message: Message, stream: str, futures: dict[str, asyncio.Future[int]]) -> None:
        self._numbers += 1
        token = f"{self._inbox}.{self._numbers}"
        headers = {**message.headers, EXPECTED_STREAM: stream}
        await self._client.publish(message.subject, message.data, reply=token, headers=headers)
        futures[token] = self._waiting[token] = asyncio.get_running_loop().create_future()

    async def _listen(self) -> None:
        if self._subscribed is None:
            self._subscribed = asyncio.create_task(self._client.subscribe(f"{self._inbox}.*", cb=self._received))
        await asyncio.shield(self._subscribed)

    async def _received(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject, None)
        if future is None or future.done():
            return
        answer = _parsed(message.data, message.headers)
        if isinstance(answer, int):
            future.set_result(answer)
        else:
            future.set_exception(answer)


class Pipelines:
    """The pipeline of whatever client there is now."""

    def __init__(self) -> None:
        self._newest: Pipeline | None = None

    def of(self, client: Client) -> Pipeline:
        if self._newest is None or self._newest.client is not client:
            self._newest = Pipeline(client)
        return self._newest


def _parsed(data: bytes, headers: Mapping[str, str] | None) -> Answer:
    if headers and "Status" in headers:  # 503, nobody there
        return Refusal(int(headers["Status"]), "no stream takes this subject")
    try:
        raw = json.loads(data)
        if "error" in raw:
            error = raw["error"]
            return Refusal(int(error.get("err_code", 0)), str(error.get("description", error)))
        return int(raw["seq"])
    except (ValueError, TypeError, KeyError) as error:
        return Refusal(0, f"an answer that is none: {error}")


def _answer(future: asyncio.Future[int]) -> Answer:
    if future.cancelled():
        return TimeoutError("no answer")
    error = future.exception()
    return future.result() if error is None else error if isinstance(error, Exception) else RuntimeError(str(error))
