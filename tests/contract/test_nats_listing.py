"""A bucket is listed whole, also where what it holds arrives later than what NATS says about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from ezpath.bus import Bus
from ezpath.events import SAGA_BUCKET

LATE_S = 0.1
KEYS = 50


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the server says, as it comes, but a stream's messages later, behind what was said after them."""
    loop = asyncio.get_running_loop()
    while line := await reader.readline():
        frame = line
        if line.split(b" ", 1)[0] in (b"MSG", b"HMSG"):
            frame += await reader.readexactly(int(line.split()[-1]) + 2)
        if b"$JS.ACK." in line:
            loop.call_later(LATE_S, writer.write, frame)
        else:
            writer.write(frame)


async def _as_it_comes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@asynccontextmanager
async def slow_messages(url: str) -> AsyncIterator[str]:
    """The address of a NATS in front of the one at ``url``."""
    server_at = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(server_at.hostname, server_at.port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(_late(from_server, writer), _as_it_comes(reader, to_server))
        writer.close()
        to_server.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    finally:
        proxy.close()


@pytest.mark.parametrize("keys", [0, KEYS])
async def test_given_messages_that_come_late_then_a_bucket_is_listed_whole(bus: Bus, nats_server, keys: int) -> None:
    # Given a bucket with keys, one of which was deleted
    for number in range(keys):
        await bus.kv_put_cas(SAGA_BUCKET, f"key-{number}", b"%d" % number, None)
    if keys:
        await bus.kv_delete(SAGA_BUCKET, "key-0")
    async with slow_messages(nats_server.url) as url, await Bus.connect(url, "reader", wait_s=10) as reader:
        # When it is listed while its messages are on their way
        found = await reader.kv_items(SAGA_BUCKET)
    # Then nothing is missing: a decider that finds no sagas would begin as if there were none
    assert {key: value for key, (value, _) in found.items()} == {f"key-{n}": b"%d" % n for n in range(1, keys)}
