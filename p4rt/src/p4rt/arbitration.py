"""Primacy: one stream to the switch that says who may write, for as long as it lives."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from p4rt import messages
from p4rt.errors import NotPrimary, P4RuntimeError

_SETTLE_S = 2.0  # how long a stream of ours that broke may still count as alive at the switch
_RETRY_S = 0.1
_EOF: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - the type stubs of grpc lack it


def uint128(value: int) -> messages.Uint128:
    """``p4.v1.Uint128``."""
    return messages.Uint128(high=value >> 64, low=value & (1 << 64) - 1)


def from_uint128(proto: messages.Uint128) -> int:
    """The integer in a ``p4.v1.Uint128``."""
    return proto.high << 64 | proto.low


class Arbitration:
    """One client's part in the election of one switch.

    ``open_stream`` is the stub's StreamChannel. Use once: after a loss make another.
    """

    def __init__(self, open_stream: Any, target: str, device_id: int) -> None:
        self._open_stream = open_stream
        self._target = target
        self._device_id = device_id
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._demoted = asyncio.Event()
        self._reason = ""

    @property
    def primary(self) -> bool:
        """Elected, and not demoted since."""
        return self._reader is not None and not self._demoted.is_set()

    async def start(self, election_id: int, timeout_s: float) -> None:
        """Open the stream and stand for election. Raises :class:`NotPrimary`, :class:`P4RuntimeError`."""
        asked = f"to make this controller primary with election id {election_id}"
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._stand_until_heard(election_id, asked)
            if answer.status.code != grpc.StatusCode.OK.value[0]:
                highest = from_uint128(answer.election_id) if answer.HasField("election_id") else None
                words = f"{answer.status.message or 'not primary'} (highest election id seen: {highest})"
                raise NotPrimary(self._target, asked, _code(answer.status.code), words, highest)
            self._reader = asyncio.create_task(self._listen(), name=f"arbitration of {self._target}")
        except TimeoutError:
            words = f"no answer in {timeout_s:g} s"
            raise P4RuntimeError(self._target, asked, grpc.StatusCode.DEADLINE_EXCEEDED, words) from None
        finally:
            if self._reader is None:  # not elected, or this task was cancelled: leave no stream behind
                await self.close()

    async def _stand_until_heard(self, election_id: int, asked: str) -> messages.MasterArbitrationUpdate:
        """Stand; again for a while where the switch has not noticed yet that our last stream is gone."""
        loop = asyncio.get_running_loop()
        settled = loop.time() + _SETTLE_S
        while True:
            try:
                return await self._stand(election_id)
            except grpc.aio.AioRpcError as error:
                code, words = _cause(error)
                held = "already exists" in words.lower()
                if not held or loop.time() > settled:
                    remedy = "another controller uses this election id: take another" if held else None
                    raise P4RuntimeError(self._target, asked, code, words, remedy) from error
            await asyncio.sleep(_RETRY_S)

    async def wait_demoted(self) -> str:
        """Wait for the loss of primacy; returns its reason."""
        await self._demoted.wait()
        return self._reason

    async def close(self) -> None:
        """Leave the election and wait until the stream is gone. Idempotent."""
        if self._call is not None:
            self._call.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._lose("this controller closed its stream")

    async def _stand(self, election_id: int) -> messages.MasterArbitrationUpdate:
        if self._call is not None:
            self._call.cancel()
        self._call = self._open_stream()
        update = messages.MasterArbitrationUpdate(device_id=self._device_id, election_id=uint128(election_id))
        await self._call.write(messages.StreamMessageRequest(arbitration=update))
        while True:
            message: messages.StreamMessageResponse = await self._call.read()
            if message is _EOF:
                raise await _closed(self._call)
            if message.HasField("arbitration"):
                return message.arbitration

    async def _listen(self) -> None:
        """Follow the stream to its end, or until another one is primary."""
        try:
            while (message := await self._call.read()) is not _EOF:
                if message.HasField("arbitration") and message.arbitration.status.code != 0:
                    highest = from_uint128(message.arbitration.election_id)
                    self._lose(f"the switch has seen election id {highest}")
                    return
            self._lose(f"{self._target} closed the stream: {await self._call.details()}")
        except grpc.aio.AioRpcError as error:
            self._lose(f"the connection to {self._target} broke: {error.details()}")

    def _lose(self, reason: str) -> None:
        if not self._demoted.is_set():
            self._reason = reason
            self._demoted.set()


def _cause(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """Status and words of a stream's end. grpc.aio has odd ones for a stream that ends while we write to it."""
    words = error.details() or ""
    if words == "Internal error from Core":
        return grpc.StatusCode.UNAVAILABLE, "the connection broke"
    return error.code(), words


async def _closed(call: Any) -> grpc.aio.AioRpcError:
    """The status a stream ended with, as the exception grpc raises elsewhere."""
    return grpc.aio.AioRpcError(
        await call.code(),
        await call.initial_metadata(),
        await call.trailing_metadata(),
        details=await call.details(),
        debug_error_string=None,
    )


def _code(value: int) -> grpc.StatusCode:
    return next((code for code in grpc.StatusCode if code.value[0] == value), grpc.StatusCode.UNKNOWN)
