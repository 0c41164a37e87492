"""The controllers of the switch: their streams, who of them is told what, and which requests may write.

The rules are :mod:`ezpath_tor.election`'s; here they meet gRPC's streams and the thread that writes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import grpc
import structlog
from p4rt.arbitration import from_uint128, uint128

from ezpath_tor.election import Election
from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.requests import ERROR_SPACE, check_device, check_role, parse
from p4rt import messages, service

log = structlog.get_logger()
_KEPT_S = 0.05


class Controllers:
    """All controllers connected to one device, and the election among them."""

    def __init__(self, device_id: int, on_highest: Callable[[], Future[None]]) -> None:
        """``on_highest`` is called when a higher election id than ever before was seen, to keep it."""
        self._device_id = device_id
        self._on_highest = on_highest
        self._election: Election[_Stream] = Election()
        # Between the event loop, where elections are decided, and the worker thread, where writing begins.
        self._lock = threading.Lock()
        self._writing: Future[None] | None = None

    @property
    def highest(self) -> int | None:
        """The highest election id ever seen."""
        return self._election.highest

    def remember(self, highest: int) -> None:
        """The highest election id that this switch's earlier process has seen. Before the first stream."""
        self._election = Election(highest)

    # ---- for requests that write

    def check_primary(self, election_id: messages.Uint128 | None) -> None:
        """Raises :class:`Fault` unless a request with this election id comes from the primary."""
        number = from_uint128(election_id) if election_id is not None else None
        if not self._election.may_write(number):
            given = f"election id {number} is not the primary's" if number is not None else "no election id is given"
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"not primary: {given}")

    @contextmanager
    def writing(self, election_id: messages.Uint128 | None) -> Iterator[None]:
        """Called in the worker thread around a write: a new primary is told so only when it is over.

        Raises :class:`Fault` where primacy went to another one while the request waited.
        """
        with self._lock:
            self.check_primary(election_id)
            done: Future[None] = Future()
            self._writing = done
        try:
            yield
        finally:
            self._writing = None
            done.set_result(None)

    # ---- streams

    async def session(self, requests: AsyncIterator[bytes], context: service.Context) -> None:
        """One controller's stream, from its first arbitration to its end. Raises :class:`Fault` to end it."""
        stream = _Stream(context)
        teller = asyncio.create_task(stream.tell(self._notice))
        try:
            async for data in requests:
                message = parse(messages.StreamMessageRequest, data)
                if message.HasField("arbitration"):
                    await self._arbitrate(stream, message.arbitration)
                else:
                    await stream.send(self._not_supported(stream, message))
        finally:
            with self._lock:
                told = self._election.leave(stream)
            _mark(told)
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)

    async def _arbitrate(self, stream: _Stream, update: messages.MasterArbitrationUpdate) -> None:
        self._check(stream, update)
        election_id = from_uint128(update.election_id) if update.HasField("election_id") else None
        with self._lock:
            before, highest = self._election.primary, self._election.highest
            told = self._election.stand(stream, election_id)
            writing = self._writing
        stream.admitted = stream.settling = True
        _mark(other for other in told if other is not stream)
        primary = self._election.primary is stream
        if self._election.highest != highest:
            # Kept before this controller hears of it, or, where a load keeps the thread busy, before it can write.
            await asyncio.wait([asyncio.wrap_future(self._on_highest())], timeout=_KEPT_S)
        if primary and before is not stream and writing is not None:
            # Its predecessor's last write ends first. (A load may go on: it would keep everybody waiting.)
            await asyncio.wait([asyncio.wrap_future(writing)])
        stream.settling = False
        stream.changed.set()
        log.info("arbitration", election_id=election_id, primary=primary)

    def _check(self, stream: _Stream, update: messages.MasterArbitrationUpdate) -> None:
        if stream.admitted and update.device_id != self._device_id:
            raise Fault(grpc.StatusCode.FAILED_PRECONDITION, "the device id of a stream cannot change")
        if stream.admitted and (update.role.name or update.role.id):
            raise Fault(grpc.StatusCode.FAILED_PRECONDITION, "the role of a stream cannot change")
        check_device(self._device_id, update.device_id)
        check_role(update.role.name, update.role.id)
        if update.role.HasField("config"):
            raise invalid("the default role takes no config")

    def _notice(self, stream: _Stream) -> messages.StreamMessageResponse:
        """What a controller is told of the election, as it stands now."""
        notice = self._election.notice(stream)
        update = messages.MasterArbitrationUpdate(
            device_id=self._device_id,
            status=messages.Status(code=notice.code.value[0], message=notice.message),
        )
        if notice.highest is not None:
            update.election_id.CopyFrom(uint128(notice.highest))
        return messages.StreamMessageResponse(arbitration=update)

    def _not_supported(self, stream: _Stream, message: messages.StreamMessageRequest) -> messages.StreamMessageResponse:
        """The answer to packets and digests, which this switch does not have: an error that ends nothing."""
        kind = message.WhichOneof("update")
        fault = unimplemented(f"{kind} is") if kind else invalid("the stream message is empty")
        if kind == "packet" and self._election.primary is not stream:
            fault = Fault(grpc.StatusCode.PERMISSION_DENIED, "only the primary may send packets")
        error = messages.StreamError(canonical_code=fault.code.value[0], message=fault.message, space=ERROR_SPACE)
        # Which detail is set says what kind of request it was; its contents are not repeated.
        if kind == "packet":
            error.packet_out.SetInParent()
        elif kind == "digest_ack":
            error.digest_list_ack.SetInParent()
        else:
            error.other.SetInParent()
        return messages.StreamMessageResponse(error=error)


class _Stream:
    """The sending side of one controller's stream. Notices are composed when sent, so none is ever out of date."""

    def __init__(self, context: service.Context) -> None:
        self._context = context
        self._sending = asyncio.Lock()
        self.changed = asyncio.Event()
        self.admitted = False
        self.settling = False

    async def send(self, message: messages.StreamMessageResponse) -> None:
        """Send, one message at a time."""
        async with self._sending:
            await self._context.write(message)

    async def tell(self, compose: Callable[[_Stream], messages.StreamMessageResponse]) -> None:
        """Send a notice whenever something changed, for as long as the stream lives."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            if not self.settling:
                await self.send(compose(self))


def _mark(streams: Iterable[_Stream]) -> None:
    for stream in streams:
        stream.changed.set()
