"""JSON-RPC 1.0 over a connection, as ovsdb-server and ovs-vswitchd's control socket speak it (RFC 7047, section 4).

Adapter. One question at a time; somebody can wait for the other side to go away, which is how a restart is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any

from ezpath.ovs.errors import OvsRefused, OvsUnreachable
from ezpath.ovs.reach import NO_TLS, open_streams
from ezpath.tls import TlsFiles

READ_BYTES = 65536


class JsonRpc:
    """A connection. Made by :meth:`connect`; :meth:`close` it."""

    def __init__(self, remote: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.remote = remote
        self._reader = reader
        self._writer = writer
        self._asking = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0
        self._pump = asyncio.create_task(self._read(), name=f"jsonrpc {remote}")

    @classmethod
    async def connect(cls, remote: str, tls: TlsFiles = NO_TLS) -> JsonRpc:
        """Connect to ``unix:PATH``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``. Raises :class:`OvsUnreachable`."""
        return cls(remote, *await open_streams(remote, tls))

    async def call(self, method: str, *params: object, timeout_s: float) -> Any:
        """The result of ``method``. Raises :class:`OvsRefused` with the other side's words, :class:`OvsUnreachable`."""
        return await self._await(method, *await self._ask(method, params), timeout_s)

    async def send(self, method: str, *params: object, timeout_s: float) -> asyncio.Task[Any]:
        """Put the question on the wire now, and return a task for its answer: see :meth:`call`."""
        number, answer = await self._ask(method, params)
        return asyncio.create_task(self._await(method, number, answer, timeout_s))

    async def _ask(self, method: str, params: Iterable[object]) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        self._next_id += 1
        number = self._next_id
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._pump.done():
            raise OvsUnreachable(f"{self.remote}: connection closed by the other side")
        self._answers[number] = answer
        await self._write({"id": number, "method": method, "params": list(params)})
        return number, answer

    async def _await(self, method: str, number: int, answer: asyncio.Future[dict[str, Any]], timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                message = await answer
        except TimeoutError:
            raise OvsUnreachable(f"{self.remote}: no answer to {method} within {timeout_s:g} s") from None
        finally:
            self._answers.pop(number, None)
        if message.get("error") is not None:
            raise OvsRefused(f"{method}: {str(message['error']).strip()}")
        return message.get("result")

    async def until_closed(self) -> None:
        """Returns when the other side has gone."""
        await asyncio.wait((self._pump,))

    async def close(self) -> None:
        """Idempotent."""
        self._pump.cancel()
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._pump

    async def _write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode())
        try:
            await self._writer.drain()
        except OSError as error:
            raise OvsUnreachable(f"{self.remote}: {error.strerror or error}") from None

    async def _read(self) -> None:
        """Messages follow one another with nothing in between; a decoder has to say where each ends."""
        decoder, text = json.JSONDecoder(), ""
        reason = "connection closed by the other side"
        try:
            while data := await self._reader.read(READ_BYTES):
                text += data.decode(errors="replace")
                while text := text.lstrip():
                    try:
                        message, end = decoder.raw_decode(text)
                    except ValueError:
                        break
                    text = text[end:]
                    await self._received(message)
        except OSError as error:
            reason = error.strerror or str(error)
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(OvsUnreachable(f"{self.remote}: {reason}"))

    async def _received(self, message: dict[str, Any]) -> None:
        if message.get("method") == "echo":
            await self._write({"id": message.get("id"), "result": message.get("params"), "error": None})
            return
        answer = self._answers.get(message.get("id") or 0)
        if answer is not None and not answer.done():
            answer.set_result(message)
