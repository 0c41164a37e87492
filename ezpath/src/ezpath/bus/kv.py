"""JetStream key-value buckets with compare-and-set: state that services share and nobody overwrites unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.errors import (
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.kv import KeyValue

from ezpath.bus import listing, topology
from ezpath.bus.batch import Message
from ezpath.bus.errors import BusError, Conflict, Unavailable
from ezpath.bus.link import Link
from ezpath.bus.pipeline import IN_PROCESS, WRONG_LAST_SEQUENCE, Answer, Pipelines, Refusal
from ezpath.tasks import heed_cancellation

EXPECTED_REVISION = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_REVISION_OF = "Nats-Expected-Last-Subject-Sequence-Subject"
"""Of another key than the one that is written. nats-server 2.11 and newer know it; an older one refuses the write."""
FENCE = "_fence."
"""What a fence's key begins with. It is no key of the bucket's own kind, and neither listed nor watched."""
ATTEMPT_S = 3.0
AGAIN_AFTER_S = 0.005
RETRY_AFTER_S = 0.2
WATCH_IDLE_S = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KvChange:
    """A key got ``value``; None says that it was deleted."""

    key: str
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class KvWrite:
    """``value`` for ``key``, if it is still at ``revision`` (None: absent)."""

    key: str
    value: bytes
    revision: int | None


class Kv:
    """Every call is tried through reconnects for ``patience_s`` seconds, then raises :class:`Unavailable`."""

    def __init__(self, link: Link, pipelines: Pipelines, patience_s: float) -> None:
        self._link = link
        self._pipelines = pipelines
        self._patience_s = patience_s
        self._replicated: dict[str, bool] = {}

    async def get(self, bucket: str, key: str) -> tuple[bytes, int] | None:
        async def attempt(kv: KeyValue) -> tuple[bytes, int] | None:
            try:
                entry = await kv.get(key)
            except KeyNotFoundError:
                return None
            return entry.value or b"", entry.revision or 0

        return await self._retrying(bucket, f"read {bucket}/{key}", attempt)

    async def put_cas(self, bucket: str, key: str, value: bytes, revision: int | None) -> int:
        """Raises :class:`Conflict`. Safe to repeat: an attempt whose answer was lost is found by its value."""
        (outcome,) = await self.put_all(bucket, [KvWrite(key, value, revision)])
        if isinstance(outcome, Conflict):
            raise outcome
        return outcome

    async def put_all(self, bucket: str, writes: Sequence[KvWrite]) -> list[int | Conflict]:
        """Many at once, of different keys: no write waits for another's answer."""
        if not writes:
            return []
        messages = [
            Message(f"$KV.{bucket}.{write.key}", write.value, {EXPECTED_REVISION: str(write.revision or 0)})
            for write in writes
        ]
        client = await self._link.client(self._patience_s)
        answers = await self._pipelines.of(client).publish(messages, ATTEMPT_S, f"KV_{bucket}")
        pairs = zip(writes, answers, strict=True)
        return list(await asyncio.gather(*(self._settled(bucket, write, answer) for write, answer in pairs)))

    async def _settled(self, bucket: str, write: KvWrite, answer: Answer) -> int | Conflict:
        """Nearly always the answer as it is. A key that was deleted, a lost answer, no bucket: one by one, again."""
        if isinstance(answer, int):
            return answer
        try:
            return await self._put_again(bucket, write, tried=not isinstance(answer, Refusal))
        except Conflict as conflict:
            return conflict

    async def _put_again(self, bucket: str, write: KvWrite, *, tried: bool) -> int:
        key, value, revision = write.key, write.value, write.revision

        async def attempt(kv: KeyValue) -> int:
            nonlocal tried
            repeated, tried = tried, True
            try:
                if revision is None:
                    return await kv.create(key, value)
                return await kv.update(key, value, last=revision)
            except KeyWrongLastSequenceError:
                if repeated and (mine := await self._written(kv, key, value, revision)) is not None:
                    return mine
                raise Conflict(bucket, key, revision) from None

        return await self._retrying(bucket, f"write {bucket}/{key}", attempt)

    async def _written(self, kv: KeyValue, key: str, value: bytes, revision: int | None) -> int | None:
        try:
            entry = await kv.get(key)
        except KeyNotFoundError:
            return None
        newer = entry.revision is not None and entry.revision > (revision or 0)
        return entry.revision if newer and entry.value == value else None

    async def delete(self, bucket: str, key: str) -> None:
        async def attempt(kv: KeyValue) -> None:
            await kv.delete(key)

        await self._retrying(bucket, f"delete {bucket}/{key}", attempt)

    async def put_fenced(self, bucket: str, values: Mapping[str, bytes], fence: str, revision: int) -> None:
        """All of ``values`` in their order, at once, each only if ``fence`` is still at ``revision``.

        Raises :class:`Conflict` where it is not; :class:`Unavailable` where not all answers came: then some may have
        been written, and some may be yet, until somebody moves the fence.
        """
        headers = {EXPECTED_REVISION: str(revision), EXPECTED_REVISION_OF: f"$KV.{bucket}.{fence}"}
        messages = [Message(f"$KV.{bucket}.{key}", value, headers) for key, value in values.items()]
        client = await self._link.client(self._patience_s)
        try:
            if await self._is_replicated(bucket):
                answers = await self._one_by_one(client, bucket, messages)
            else:
                answers = await self._pipelines.of(client).publish(messages, ATTEMPT_S, f"KV_{bucket}")
        except MaxPayloadError:
            key, value = max(values.items(), key=lambda item: len(item[1]))
            raise BusError(
                f"{bucket}/{key}: {len(value)} bytes, where NATS takes {client.max_payload}. "
                "Raise max_payload in nats-server's configuration"
            ) from None
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if any(isinstance(error, Refusal) and error.code == WRONG_LAST_SEQUENCE for error in failed):
            raise Conflict(bucket, fence, revision)
        if any(isinstance(error, Refusal) and error.code == IN_PROCESS for error in failed):
            self._replicated[bucket] = True
        if failed:
            why = str(failed[0]) or type(failed[0]).__name__
            raise Unavailable(f"{len(failed)} of {len(values)} keys of {bucket} were not written: {why}")

    async def _one_by_one(self, client: Client, bucket: str, messages: Sequence[Message]) -> list[Answer]:
        """A cluster takes one write at a time behind one fence: the next when all of its servers know of the last.

        Up to the first that fails.
        """
        answers: list[Answer] = []
        loop = asyncio.get_running_loop()
        for message in messages:
            deadline = loop.time() + ATTEMPT_S
            while True:
                left = max(AGAIN_AFTER_S, deadline - loop.time())
                (answer,) = await self._pipelines.of(client).publish([message], left, f"KV_{bucket}")
                again = isinstance(answer, Refusal) and answer.code == IN_PROCESS
                if not again or loop.time() > deadline:
                    break
                await asyncio.sleep(AGAIN_AFTER_S)
            answers.append(answer)
            if isinstance(answer, Exception):
                break
        return answers

    async def _is_replicated(self, bucket: str) -> bool:
        """Whether it is kept on several servers. An operator who makes more of one is found out about by refusals."""
        known = self._replicated.get(bucket)
        if known is None:

            async def attempt(kv: KeyValue) -> bool:
                return ((await kv.status()).stream_info.config.num_replicas or 1) > 1

            known = self._replicated[bucket] = await self._retrying(bucket, f"look at {bucket}", attempt)
        return known

    async def items(self, bucket: str, keys: str = ">") -> dict[str, tuple[bytes, int]]:
        """All of them; see :mod:`ezpath.bus.listing`."""

        async def attempt(_: KeyValue) -> dict[str, tuple[bytes, int]]:
            client = await self._link.client(ATTEMPT_S)
            found = await listing.last_of_each(client, bucket, keys, ATTEMPT_S)
            return {key: entry for key, entry in found.items() if not key.startswith(FENCE)}

        return await self._retrying(bucket, f"list {bucket}", attempt)

    async def watch(self, bucket: str, keys: str) -> AsyncIterator[KvChange]:
        """What ``keys`` (``>`` for all) hold now, then each change, for ever, through reconnects."""
        life, seen = "", 0
        while True:
            client = await self._link.client(None)
            try:
                if (made := await self._made_at(bucket)) != life:
                    life, seen = made, 0  # another bucket of the same name counts from the start again
                watcher = await (await _open(client, bucket)).watch(keys)
                while not client.is_closed:
                    heed_cancellation()
                    entry = await _next_entry(watcher)
                    if entry is not None and entry.revision > seen:
                        seen = entry.revision
                        if entry.key.startswith(FENCE):
                            continue
                        deleted = entry.operation is not None
                        yield KvChange(entry.key, None if deleted else entry.value or b"", entry.revision)
            except (NatsError, OSError, TimeoutError, StopAsyncIteration, Unavailable) as error:
                heed_cancellation()
                structlog.get_logger().warning("watch lost", bucket=bucket, reason=str(error), next="made again")
            await asyncio.sleep(RETRY_AFTER_S)

    async def _made_at(self, bucket: str) -> str:
        async def attempt(kv: KeyValue) -> str:
            return str((await kv.status()).stream_info.created)

        return await self._retrying(bucket, f"look at {bucket}", attempt)

    async def _retrying(self, bucket: str, what: str, attempt: Callable[[KeyValue], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        last = "no answer"
        while (left := deadline - loop.time()) > 0:
            client = await self._link.client(left)
            try:
                async with asyncio.timeout(min(ATTEMPT_S, left)):
                    answer = await attempt(await _open(client, bucket))
                heed_cancellation()
                return answer
            except (NatsError, OSError, TimeoutError) as error:
                heed_cancellation()
                last = str(error) or type(error).__name__
            await asyncio.sleep(RETRY_AFTER_S)
        raise Unavailable(f"could not {what} within {self._patience_s:g} s: {last}. Is JetStream running on NATS?")


async def _next_entry(watcher: KeyValue.KeyWatcher) -> Any:
    """The next entry; None after a while without one, or where what was there has all been given."""
    try:
        async with asyncio.timeout(WATCH_IDLE_S):
            return await anext(watcher)
    except TimeoutError:
        return None


async def _open(client: Client, bucket: str) -> KeyValue:
    js = client.jetstream(timeout=ATTEMPT_S)
    try:
        return await js.key_value(bucket)
    except BucketNotFoundError:
        await topology.ensure(js)
        return await js.key_value(bucket)
