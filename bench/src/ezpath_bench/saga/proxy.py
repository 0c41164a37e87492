"""In front of a ToR's P4Runtime socket: passes on, holds back, or swallows what goes through it.

A switch that is slow or dead in the way that hurts most: it still takes connections, and answers late or never.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path


class Proxy:
    """From the unix socket ``front`` to the unix socket ``back``. Use as ``async with``."""

    def __init__(self, front: Path, back: Path) -> None:
        self._front = front
        self._back = back
        self._server: asyncio.Server | None = None
        self._flows: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        """How long each answer of the switch is held back, seconds."""
        self.hole = False
        """Whatever comes from either side is swallowed."""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._accepted, self._front)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for flow in self._flows:
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back_reader, back_writer = await asyncio.open_unix_connection(self._back)
        except OSError:
            writer.close()
            return
        for source, sink, held in ((reader, back_writer, False), (back_reader, writer, True)):
            flow = asyncio.create_task(self._carry(source, sink, held))
            self._flows.add(flow)
            flow.add_done_callback(self._flows.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, held: bool) -> None:
        """Each piece leaves as long after it came as was asked for then, and never before the one it came behind."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if not piece:
                    return
                sink.write(piece)
                await sink.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while piece := await source.read(1 << 16):
                if not self.hole:
                    pieces.put_nowait((loop.time() + (self.delay_s if held else 0.0), piece))
            pieces.put_nowait((loop.time(), b""))
            await delivering
        except OSError:
            pass
        finally:
            delivering.cancel()
            with contextlib.suppress(OSError):
                sink.close()
