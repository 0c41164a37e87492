"""Gates: sockets between a service and what it talks to, which can be shut, or cut in the middle of a message.

One in front of NATS for each service, one in front of each switch for its writer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

Connect = Callable[[asyncio.Protocol], Awaitable[object]]


class _Side(asyncio.Protocol):
    """One of the two connections of a pair; hands on to ``other`` what it receives."""

    def __init__(self, gate: Gate, inbound: bool) -> None:
        self._gate = gate
        self._inbound = inbound
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self.other: _Side | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._gate.sides.add(self)
        if self._inbound:
            self._gate.accept(self)
        elif self._gate.silent:
            self.pause()

    def data_received(self, data: bytes) -> None:
        if self._inbound:
            data = self._gate.counted(data)
        if self.other is None:
            self._early.append(data)
        else:
            self.other.send(data)
        if self._gate.cut_now:
            self._gate.cut_off(self)

    def joined(self, other: _Side) -> None:
        self.other = other
        for data in self._early:
            other.send(data)
        self._early.clear()

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self._gate.sides.discard(self)
        if self.other is not None:
            self.other.close()

    def close(self) -> None:
        """What was sent before still goes out."""
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


class Gate:
    """Open from the start. All methods from the loop it serves in."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._joining: set[asyncio.Task[None]] = set()
        self._left: int | None = None
        self._shut = False
        self.sides: set[_Side] = set()
        self.silent = False
        self.cut_now = False
        self.cut = asyncio.Event()
        """Set when a cut that was asked for has happened."""

    async def listen_tcp(self) -> int:
        """On a free port of the loopback, which is returned."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self, True), "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def listen_unix(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Side(self, True), str(path))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._drop()
        for task in self._joining:
            task.cancel()

    # ---- what a fault does

    def hush(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self.silent = True
        for side in self.sides:
            side.pause()

    def shut(self) -> None:
        """Connections end, and new ones end at once."""
        self._shut = True
        self._drop()

    def open(self) -> None:
        """All is well again. What was held comes through late."""
        self.silent = self._shut = False
        for side in list(self.sides):
            side.resume()

    def cut_after(self, octets: int) -> None:
        """After so many more bytes of whoever connects here, in the middle of whatever it is saying, all ends."""
        self._left = octets
        self.cut.clear()

    def cut_all(self) -> None:
        """The same at once, where nobody says anything."""
        self._left = None
        self._drop()
        self.cut.set()

    # ---- for the sides

    def counted(self, data: bytes) -> bytes:
        """What of ``data`` still gets through."""
        if self._left is None:
            return data
        through, self._left = data[: self._left], self._left - len(data)
        if self._left <= 0:
            self._left, self.cut_now = None, True
        return through

    def cut_off(self, side: _Side) -> None:
        self.cut_now = False
        side.close()
        if side.other is not None:
            side.other.close()
        self.cut.set()

    def accept(self, side: _Side) -> None:
        if self._shut:
            side.close()
            return
        if self.silent:
            side.pause()
        task = asyncio.get_running_loop().create_task(self._join(side))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, inner: _Side) -> None:
        outer = _Side(self, False)
        outer.other = inner
        try:
            await self._connect(outer)
        except OSError:  # nobody listens there just now, as who connects would have found out itself
            inner.close()
            return
        if inner.closed:
            outer.close()
        inner.joined(outer)

    def _drop(self) -> None:
        for side in list(self.sides):
            side.close()


def to_tcp(port: int) -> Connect:
    """A way to ``port`` of the loopback."""
    return lambda protocol: asyncio.get_running_loop().create_connection(lambda: protocol, "127.0.0.1", port)


def to_any(ports: Sequence[int]) -> Connect:
    """A way to one of ``ports`` that answers, not always the same. Who connects raises OSError where none does."""
    turns = itertools.count()

    async def connect(protocol: asyncio.Protocol) -> object:
        first = next(turns) % len(ports)
        for port in (*ports[first:], *ports[:first])[:-1]:
            with suppress(OSError):
                return await to_tcp(port)(protocol)
        return await to_tcp(ports[first - 1])(protocol)

    return connect


def to_unix(path: Path) -> Connect:
    """A way to the socket ``path``."""
    return lambda protocol: asyncio.get_running_loop().create_unix_connection(lambda: protocol, str(path))
