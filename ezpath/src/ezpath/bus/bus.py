"""The bus as services see it: one object, connected once, that keeps working while NATS comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, MaxPayloadError
from nats.errors import Error as NatsError

from ezpath.answers import ASK_SUBJECT
from ezpath.bus import ask, place, reader, topology
from ezpath.bus.access import Access, access_of
from ezpath.bus.ask import Answerer, Enough, never
from ezpath.bus.batch import Message, Saying, pack
from ezpath.bus.bulk import Cutter, Joiner
from ezpath.bus.consumer import Consumer, Delivery, Handler
from ezpath.bus.deadletter import dead_letter
from ezpath.bus.errors import BusError, Conflict, Unavailable
from ezpath.bus.kv import Kv, KvChange, KvWrite
from ezpath.bus.link import Link
from ezpath.bus.pipeline import Pipelines
from ezpath.bus.vitals import Lag, Vitals
from ezpath.events import (
    FLOWS_SUBJECT,
    SAMPLES_SUBJECT,
    STATE_SUBJECT,
    STREAM,
    TABLES_SUBJECT,
    Account,
    DeadLetter,
    FlowSample,
    FlowsSnapshot,
    JsonEvent,
    MalformedEvent,
    SwitchTables,
    TargetState,
    decode,
    decode_sample,
    encode,
    encode_sample,
    subject_of,
)
from ezpath.lag import StreamUse
from ezpath.samples import FLOW_BYTES, Assembler, split

PATIENCE_S = 30.0
"""How long publishing and key-value calls outlast a NATS that does not answer, seconds."""
ATTEMPT_S = 3.0
RETRY_AFTER_S = 0.2
WAITING_BYTES = 128 << 20
"""Of what comes on one subject of core NATS, at most so much waits to be dealt with. What comes then is dropped."""
SAMPLE_HEAD_BYTES = 4096
"""What a sample's message takes beside its flows, generously."""

E = TypeVar("E")
OnSample = Callable[[FlowSample], Awaitable[None]]
OnFlows = Callable[[FlowsSnapshot], Awaitable[None]]
OnHeard = Callable[[str, JsonEvent | FlowSample], Awaitable[None]]


class Bus:
    """Publish, consume, remember. Made by :meth:`connect`; use as ``async with`` or :meth:`close` it."""

    def __init__(self, link: Link, service: str, patience_s: float) -> None:
        self._link = link
        self._service = service
        self._patience_s = patience_s
        self._pipelines = Pipelines()
        self._cutter = Cutter()
        self._kv = Kv(link, self._pipelines, patience_s)
        self._subscriptions: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = []
        self.on_said: Callable[[Sequence[Saying]], None] = lambda sayings: None
        """Told of what the stream has."""
        self._log = structlog.get_logger().bind(bus=service)

    @classmethod
    async def connect(
        cls, nats: Access | str, service: str, *, wait_s: float | None = None, patience_s: float = PATIENCE_S
    ) -> Bus:
        """Connect to ``nats`` as ``service`` and make sure of the stream and the buckets.

        Waits for NATS for ever, saying so in the log every few seconds, or for ``wait_s`` seconds: then
        :class:`Unavailable`. ``patience_s`` bounds every later call that needs an answer.

        Raises :class:`Refused` where NATS does not let us in.
        """
        bus: Bus

        async def on_up(client: Client) -> None:
            await topology.ensure(client.jetstream(timeout=ATTEMPT_S))
            await bus._restore(client)

        link = Link(access_of(nats), f"ezpath-{service}", on_up)
        bus = cls(link, service, patience_s)
        await link.open(wait_s)
        return bus

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        await self._link.close()

    @property
    def vitals(self) -> Vitals:
        """How it is doing."""
        return self._link.vitals

    async def __aenter__(self) -> Bus:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- publishing -------------------------------------------------------

    async def publish(self, event: JsonEvent, *, msg_id: str | None = None, correlation: str | None = None) -> None:
        """Publish ``event`` where it belongs. Returns when the stream has it.

        FlowsSnapshot, SwitchTables and TargetState are not kept, an Account is: returns when they are sent.

        ``msg_id``: the same id within two minutes is stored once; give one to whatever may be published again after
        a crash. ``correlation``: the saga id; taken from the event where it has one.

        Raises :class:`Unavailable` when NATS did not confirm within ``patience_s``, :class:`BusError` when it refused.
        """
        if isinstance(event, FlowsSnapshot | SwitchTables | TargetState | Account):
            await self._publish_core(subject_of(event), encode(event))
            return
        await self.publish_all([Saying(event, msg_id, correlation)])

    async def publish_all(self, sayings: Iterable[Saying]) -> None:
        """Publish many events at once. Returns when the stream has all of them.

        What goes on one subject shares messages, in its order; steps of several sagas go on ``STEPS_SUBJECT``.
        No message waits for another's answer. Where one has to be sent again, it may come behind later ones.

        Raises like :meth:`publish`; then some may have been stored.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        sayings = tuple(sayings)
        messages, last = pack(sayings), "no answer"
        while messages and (left := deadline - loop.time()) > 0:
            messages, last = await self._attempt(messages, left)
            if messages:
                await asyncio.sleep(RETRY_AFTER_S)
        if messages:
            raise Unavailable(
                f"{messages[0].subject}: NATS at {self._link.url} did not store it within {self._patience_s:g} s: "
                f"{last}. See that JetStream runs and has room (nats stream info EZPATH)"
            )
        self.on_said(sayings)

    async def _attempt(self, messages: list[Message], left_s: float) -> tuple[list[Message], str]:
        """Those of ``messages`` that were not stored, and why the last of them was not."""
        client = await self._link.client(left_s)
        try:
            answers = await self._pipelines.of(client).publish(messages, min(ATTEMPT_S, left_s))
        except BadSubjectError:
            subject = next((m.subject for m in messages if _is_no_subject(m.subject)), messages[0].subject)
            raise BusError(f"{subject!r} is no subject: a name in it has a space or a wildcard") from None
        except MaxPayloadError:
            large = max(messages, key=lambda message: len(message.data))
            raise BusError(
                f"{large.subject}: {len(large.data)} bytes, more than NATS takes ({client.max_payload})"
            ) from None
        failed = [(m, answer) for m, answer in zip(messages, answers, strict=True) if isinstance(answer, Exception)]
        if failed:
            await self._ensure_topology(client)
        last = str(failed[-1][1]) or type(failed[-1][1]).__name__ if failed else ""
        return [message for message, _ in failed], last

    async def publish_sample(self, sample: FlowSample) -> None:
        """Publish a poll on core NATS: whoever listens gets it, and the next one heals a lost one.

        One that is larger than the server takes goes in parts, which :meth:`subscribe_samples` puts together.

        Raises :class:`Unavailable` when there is no connection within ``patience_s``.
        """
        client = await self._link.client(self._patience_s)
        for part in split(sample, max(1, (client.max_payload - SAMPLE_HEAD_BYTES) // FLOW_BYTES)):
            await self._publish_core(f"{SAMPLES_SUBJECT}.{sample.switch}", encode_sample(part))

    async def publish_bulk(self, subject: str, data: bytes) -> None:
        """Send bytes to whoever listens, however many they are. Nothing is kept.

        Raises :class:`Unavailable` when there is no connection within ``patience_s``.
        """
        client = await self._link.client(self._patience_s)
        for piece in self._cutter.cut(data, client.max_payload):
            await self._publish_core(subject, piece)

    async def _publish_core(self, subject: str, data: bytes) -> None:
        client = await self._link.client(self._patience_s)
        try:
            await client.publish(subject, data)
        except MaxPayloadError:
            raise BusError(
                f"{subject}: {len(data)} bytes, where NATS takes {client.max_payload}. "
                "Raise max_payload in nats-server's configuration"
            ) from None
        except (NatsError, OSError) as error:
            raise Unavailable(f"{subject} was not sent: {error}. The connection is being made again") from None

    async def _ensure_topology(self, client: Client) -> None:
        """The stream may be gone with the server's disk: put it back before the next attempt."""
        try:
            await topology.ensure(client.jetstream(timeout=ATTEMPT_S))
        except (NatsError, OSError, TimeoutError) as error:
            self._log.debug("stream cannot be made yet", reason=str(error))

    # ---- consuming --------------------------------------------------------

    async def consume(
        self,
        durable: str,
        subject: str,
        expected: type[E] | tuple[type[E], ...],
        handler: Handler[E],
        *,
        batch: int = 256,
        linger_s: float = 0.002,
        pace_s: float = 0.0,
        start: int = 1,
        ahead: int = 0,
    ) -> None:
        """Run ``handler`` on every ``expected`` event on ``subject``, stored before or after now, until cancelled.

        ``durable`` names the place in the stream: it is kept in NATS across restarts, and processes that use the
        same name share the work. The handler gets up to ``batch`` events in order, together with those that come
        within ``linger_s`` seconds of the first, and may take its time; it gets the next ones ``pace_s`` seconds after
        these at the earliest, for where a batch costs much more than what is in it, many small ones cost all there is.
        When it returns they are acknowledged, except
        those it told to :meth:`Delivery.retry` or :meth:`Delivery.reject`. When it raises, they come again.

        ``ahead``: so many more batches are given to it before it has returned, for one that takes the events at once
        and returns much later, when they are dealt with. A large batch comes in portions, which another may overtake.

        Where the place is not known yet, it is made at stream sequence ``start``.

        What cannot be parsed, or is no ``expected`` event, goes to ``ezpath.deadletter.<service>``.
        """
        lag = self.vitals.lags.setdefault(durable, Lag())
        consumer = Consumer(
            self._link,
            self._service,
            durable,
            subject,
            expected,
            lambda batch: lag.over(handler, batch),
            self._bury,
            batch=batch,
            linger_s=linger_s,
            pace_s=pace_s,
            start=start,
            ahead=ahead,
        )
        await consumer.run()

    async def place(self, durable: str) -> int | None:
        """The first stream sequence that the consumer has not dealt with, None where there is no such consumer.

        Raises :class:`Unavailable`.
        """
        return await place.of(self._link, durable, self._patience_s)

    async def forget_place(self, durable: str) -> None:
        """Whoever consumes under this name gets nothing more, nor does anybody until it is consumed again.

        Raises :class:`Unavailable`.
        """
        await place.forget(self._link, durable, self._patience_s)

    async def subscribe_samples(self, callback: OnSample) -> None:
        """Call ``callback`` with each sample from now on, for as long as the bus is open."""

        assembler = Assembler()

        async def on_message(message: Msg) -> None:
            whole = assembler.add(decode_sample(message.data))
            if whole is not None:
                await callback(whole)

        await self._subscribe(f"{SAMPLES_SUBJECT}.>", on_message)

    async def subscribe_flows(self, callback: OnFlows) -> None:
        """Call ``callback`` with each snapshot of the flows from now on."""
        await self._subscribe_event(FLOWS_SUBJECT, FlowsSnapshot, callback)

    async def subscribe_tables(self, callback: Callable[[SwitchTables], Awaitable[None]]) -> None:
        """Call ``callback`` with each switch's word on its tables from now on."""
        await self._subscribe_event(f"{TABLES_SUBJECT}.>", SwitchTables, callback)

    async def subscribe_bulk(self, subject: str, callback: Callable[[bytes], Awaitable[None]]) -> None:
        """Call ``callback`` with each message of :meth:`publish_bulk` on ``subject`` from now on."""
        joiner = Joiner()

        async def on_message(message: Msg) -> None:
            if (whole := joiner.add(message.data)) is not None:
                await callback(whole)

        await self._subscribe(subject, on_message)

    async def subscribe_states(self, callback: Callable[[TargetState], Awaitable[None]]) -> None:
        """Call ``callback`` with each writer's word on its switch or host from now on."""
        await self._subscribe_event(f"{STATE_SUBJECT}.>", TargetState, callback)

    async def _subscribe_event(self, subject: str, kind: type[E], callback: Callable[[E], Awaitable[None]]) -> None:
        async def on_message(message: Msg) -> None:
            event = decode(message.data)
            if not isinstance(event, kind):
                raise MalformedEvent(f"{event.type}: not an event for {message.subject}")
            await callback(event)

        await self._subscribe(subject, on_message)

    async def _subscribe(self, subject: str, on_message: Callable[[Msg], Awaitable[None]]) -> None:
        async def guarded(message: Msg) -> None:
            try:
                await on_message(message)
            except MalformedEvent as error:
                self._log.warning("dead letter", on=message.subject, reason=str(error))
                await self._bury_quietly(message, str(error))
            except Exception as error:  # noqa: BLE001 - reported; see below
                # A subscription ends with its callback's first exception otherwise, in silence.
                self._log.error("callback failed", on=message.subject, exc_info=error)

        client = await self._link.client(None)
        self._subscriptions.append((subject, guarded))
        try:
            await _subscribe(client, subject, guarded)
        except (NatsError, OSError) as error:
            self._log.debug("subscribed when the connection is back", on=subject, reason=str(error))

    async def _restore(self, client: Client) -> None:
        for subject, callback in self._subscriptions:
            await _subscribe(client, subject, callback)

    async def _bury(self, letter: DeadLetter, msg_id: str | None = None) -> None:
        await self.publish(letter, msg_id=msg_id)
        self.vitals.buried += 1

    async def _bury_quietly(self, message: Msg, reason: str) -> None:
        try:
            await self._bury(dead_letter(self._service, message.subject, reason, message.data, time.time()))
        except BusError as error:
            self._log.error("dead letter lost", on=message.subject, reason=str(error))

    async def overhear(self, subjects: Iterable[str], callback: OnHeard) -> None:
        """Call ``callback`` with the subject of each event on core NATS and the event from now on, as a bystander.

        What is no event is passed over: whoever it was for buries it.
        """
        assembler = Assembler()

        async def on_message(message: Msg) -> None:
            event: JsonEvent | FlowSample | None
            try:
                if message.subject.startswith(f"{SAMPLES_SUBJECT}."):
                    event = assembler.add(decode_sample(message.data))
                else:
                    event = decode(message.data)
            except MalformedEvent as error:
                self._log.debug("passed over", on=message.subject, reason=str(error))
                return
            if event is not None:
                await callback(message.subject, event)

        for subject in subjects:
            await self._subscribe(subject, on_message)

    # ---- asking -----------------------------------------------------------

    async def ask(self, what: str, question: Mapping[str, Any], within_s: float) -> dict[str, Any] | None:
        """Ask on ``ezpath.ask.<what>``: the first answer, None where nobody listens or answers in time."""
        return await ask.ask(self._link, what, question, within_s)

    async def ask_all(
        self, what: str, question: Mapping[str, Any], within_s: float, enough: Enough = never
    ) -> list[dict[str, Any]]:
        """The same of everybody: all answers that come ``within_s`` seconds, or until they are ``enough``."""
        return await ask.ask_all(self._link, what, question, within_s, enough)

    async def answer(self, what: str, answerer: Answerer) -> None:
        """Answer what is asked on ``ezpath.ask.<what>`` from now on. None from ``answerer``: somebody else may know."""

        desk = ask.Desk(self._link, answerer)
        await self._subscribe(f"{ASK_SUBJECT}.{what}", desk.take)

    # ---- looking on -------------------------------------------------------

    def history(
        self, subjects: Sequence[str], since: float | None = None, stream: str = STREAM
    ) -> AsyncIterator[Delivery[JsonEvent]]:
        """What the stream holds on ``subjects`` (from Unix time ``since``), oldest first; ends at the newest."""
        return reader.history(self._link, subjects, since, self._patience_s, stream)

    def follow(self, subjects: Sequence[str], after: int) -> AsyncIterator[Delivery[JsonEvent]]:
        """Everything on ``subjects`` behind stream sequence ``after``, for ever."""
        return reader.follow(self._link, subjects, after)

    async def last_sequence(self) -> int:
        """The sequence of the newest event in the stream, 0 where there is none."""
        return await reader.last_sequence(self._link, self._patience_s)

    async def stream_use(self) -> StreamUse:
        """What the stream holds, and how far its consumers are behind. Raises :class:`Unavailable`."""
        return await reader.stream_use(self._link, self._patience_s)

    # ---- remembering ------------------------------------------------------

    async def kv_get(self, bucket: str, key: str) -> tuple[bytes, int] | None:
        """(value, revision), or None where the key is absent. Raises :class:`Unavailable`."""
        return await self._kv.get(bucket, key)

    async def kv_put_cas(self, bucket: str, key: str, value: bytes, revision: int | None) -> int:
        """Write if the key is still at ``revision`` (None: absent), and return the new revision.

        Raises :class:`Conflict` if somebody else wrote in between, :class:`Unavailable`.
        """
        return await self._kv.put_cas(bucket, key, value, revision)

    async def kv_put_all(self, bucket: str, writes: Sequence[KvWrite]) -> list[int | Conflict]:
        """Many :meth:`kv_put_cas` of different keys at once: for each its new revision, or the conflict.

        Raises :class:`Unavailable`; then some may have been written.
        """
        return await self._kv.put_all(bucket, writes)

    async def kv_delete(self, bucket: str, key: str) -> None:
        """Remove the key. Raises :class:`Unavailable`."""
        await self._kv.delete(bucket, key)

    async def kv_put_fenced(self, bucket: str, values: Mapping[str, bytes], fence: str, revision: int) -> None:
        """Write all of ``values``, in order and at once, each only if the key ``fence`` is still at ``revision``.

        A fence is a key beginning with :data:`FENCE`, moved by :meth:`kv_put_cas`: whoever moved it last may write.
        Tried once. Raises :class:`Conflict` when it was moved, :class:`Unavailable` when not all may be written.
        """
        await self._kv.put_fenced(bucket, values, fence, revision)

    async def kv_items(self, bucket: str, keys: str = ">") -> dict[str, tuple[bytes, int]]:
        """All ``keys`` with (value, revision). Raises :class:`Unavailable`."""
        return await self._kv.items(bucket, keys)

    def kv_watch(self, bucket: str, keys: str = ">") -> AsyncIterator[KvChange]:
        """What ``keys`` hold now, then every change."""
        return self._kv.watch(bucket, keys)


async def _subscribe(client: Client, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
    await client.subscribe(subject, cb=callback, pending_bytes_limit=WAITING_BYTES)


def _is_no_subject(subject: str) -> bool:
    return any(character in subject for character in " \t\r\n*>")
