"""Publishing without waiting for each answer: many messages under way on one connection, their answers gathered.

Adapter. JetStream answers each message to the reply subject it came with; nats-py's own ``publish`` makes a request of
each, which takes several times as long for both sides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(slots=True)
class _Window:
    """The answers to messages that were sent together: whoever sent them wakes up once, with the last of them."""

    answers: list[Answer | None]
    missing: int
    whole: asyncio.Future[None]

    def enter(self, place: int, answer: Answer) -> None:
        self.answers[place] = answer
        self.missing -= 1
        if not self.missing and not self.whole.done():
            self.whole.set_result(None)


class Pipeline:
    """The answers to what is published on one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._waiting: dict[str, tuple[_Window, int]] = {}
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
        window = _Window([None] * len(messages), len(messages), asyncio.get_running_loop().create_future())
        tokens: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                await self._listen()
                for place, message in enumerate(messages):
                    self._numbers += 1
                    tokens.append(f"{self._inbox}.{self._numbers}")
                    self._waiting[tokens[-1]] = (window, place)
                    headers = {**message.headers, EXPECTED_STREAM: stream}
                    await self._client.publish(message.subject, message.data, reply=tokens[-1], headers=headers)
                await window.whole
        except (MaxPayloadError, BadSubjectError):
            raise
        except (TimeoutError, NatsError, OSError) as error:
            return [error if answer is None else answer for answer in window.answers]
        finally:
            for token in tokens:
                self._waiting.pop(token, None)
        return [answer for answer in window.answers if answer is not None]

    async def _listen(self) -> None:
        if self._subscribed is None:
            self._subscribed = asyncio.create_task(self._client.subscribe(f"{self._inbox}.*", cb=self._received))
        if self._subscribed.done():
            self._subscribed.result()
        else:
            await asyncio.shield(self._subscribed)

    async def _received(self, message: Msg) -> None:
        found = self._waiting.pop(message.subject, None)
        if found is not None:
            window, place = found
            window.enter(place, _parsed(message.data, message.headers))


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
