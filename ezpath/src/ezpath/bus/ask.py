"""Questions and answers on core NATS: ``ezpath.ask.<what>`` is asked, and whoever knows answers at once.

Nothing is kept: where nobody listens, the asker is told so within a round trip. Both sides speak JSON objects, so that
``nats request ezpath.ask.why '{"pair": "red.red-1.red-3"}'`` is as good as the command line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from ezpath.answers import ASK_SUBJECT
from ezpath.bus.errors import BusError, Unavailable
from ezpath.bus.link import Link
from ezpath.malformed import MalformedEvent, json_object

NO_RESPONDERS = "503"
MOST_OPEN = 100
"""Questions at once; whoever asks more is left without an answer."""

Document = dict[str, Any]
Answerer = Callable[[Document], Awaitable[Mapping[str, Any] | None]]
"""Gives an answer, or None where another one of its kind may know better."""
Enough = Callable[[list[Document]], bool]
LINGER_S = 0.2
"""Where those who have to answer have: for others of their kind, seconds."""


def never(_: list[Document]) -> bool:
    """For who wants to hear all there is to hear."""
    return False


async def ask(link: Link, what: str, question: Mapping[str, Any], within_s: float) -> Document | None:
    """The first answer; None where nobody listens, or nobody answered ``within_s`` seconds."""
    client = await link.client(within_s)
    try:
        message = await client.request(f"{ASK_SUBJECT}.{what}", json.dumps(question).encode(), timeout=within_s)
    except (NoRespondersError, TimeoutError):
        return None
    except (NatsError, OSError) as error:
        raise _lost(what, error) from None
    return _answer(what, message)


class HasClient(Protocol):
    """A :class:`Link`, or who has a client in hand."""

    async def client(self, patience_s: float | None) -> Client: ...


async def ask_all(
    link: HasClient, what: str, question: Mapping[str, Any], within_s: float, enough: Enough = never
) -> list[Document]:
    """All answers that come ``within_s`` seconds; none, at once, where nobody listens.

    Those that come with the answer that makes them ``enough``, or shortly after it, are the last that are waited for.
    """
    client = await link.client(within_s)
    inbox, answers = client.new_inbox(), list[Document]()
    try:
        subscription = await client.subscribe(inbox)
        await client.publish(f"{ASK_SUBJECT}.{what}", json.dumps(question).encode(), reply=inbox)
        try:
            async with asyncio.timeout(within_s) as patience:
                async for message in subscription.messages:
                    if (message.headers or {}).get("Status") == NO_RESPONDERS:
                        break
                    answers.append(_answer(what, message))
                    if enough(answers):
                        linger = asyncio.get_running_loop().time() + LINGER_S
                        patience.reschedule(min(linger, patience.when() or linger))
        except TimeoutError:
            pass
        await subscription.unsubscribe()
    except (NatsError, OSError) as error:
        raise _lost(what, error) from None
    return answers


class Desk:
    """Answers questions side by side: one that takes its time keeps no other waiting."""

    def __init__(self, link: Link, answerer: Answerer) -> None:
        self._link, self._answerer = link, answerer
        self._open: set[asyncio.Task[None]] = set()

    async def take(self, message: Msg) -> None:
        """Returns at once. Raises :class:`MalformedEvent` where it is no question."""
        question = json_object(message.data)
        if len(self._open) >= MOST_OPEN or not message.reply:
            return
        task = asyncio.create_task(self._answer(question, message.reply), name="answer")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _answer(self, question: Document, inbox: str) -> None:
        try:
            answer = await self._answerer(question)
            if answer is not None:
                client = await self._link.client(None)
                await client.publish(inbox, json.dumps(answer).encode())
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            structlog.get_logger().error("question not answered", question=question, exc_info=error)


def _answer(what: str, message: Msg) -> Document:
    try:
        return json_object(message.data)
    except MalformedEvent as error:
        raise BusError(
            f"{ASK_SUBJECT}.{what} was answered with what is {error}. See that all services are of one version"
        ) from None


def _lost(what: str, error: Exception) -> Unavailable:
    return Unavailable(f"{ASK_SUBJECT}.{what} was not asked: {error}. The connection is being made again")
