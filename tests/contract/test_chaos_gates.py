"""Gates on real sockets: open they change nothing; shut, silent or cut they do what a fault is to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ezpath_lab.chaos.gates import Gate, to_any, to_tcp, to_unix


class Echo:
    """A server behind the gate; remembers what came."""

    def __init__(self) -> None:
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.got += data
            writer.write(data)
        writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def gate(echo: Echo) -> AsyncIterator[tuple[Gate, int]]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    gate = Gate(to_tcp(server.sockets[0].getsockname()[1]))
    yield gate, await gate.listen_tcp()
    await gate.close()
    server.close()


async def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_an_open_gate_hands_on_both_ways(gate: tuple[Gate, int]) -> None:
    _, port = gate
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    await _say(writer, b"x" * 300_000)

    assert await asyncio.wait_for(reader.readexactly(300_000), 5) == b"x" * 300_000
    writer.close()


async def test_a_cut_comes_after_exactly_so_many_bytes(gate: tuple[Gate, int], echo: Echo) -> None:
    # Given a connection that has said something
    door, port = gate
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _say(writer, b"before ")
    assert await asyncio.wait_for(reader.readexactly(7), 5) == b"before "

    # When it is to be cut after five bytes more, and says ten
    door.cut_after(5)
    await _say(writer, b"0123456789")
    await asyncio.wait_for(door.cut.wait(), 5)

    # Then the other side got five, both sides know that it is over, and the next connection works
    assert await asyncio.wait_for(reader.read(), 5) in (b"", b"01234")
    assert echo.got == b"before 01234"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _say(writer, b"again")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"again"
    writer.close()


async def test_a_shut_gate_ends_connections_and_takes_none(gate: tuple[Gate, int]) -> None:
    door, port = gate
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.05)

    door.shut()

    assert await asyncio.wait_for(reader.read(), 5) == b""
    late, _ = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(late.read(), 5) == b""
    door.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _say(writer, b"again")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"again"
    writer.close()


async def test_a_silent_gate_swallows_nothing_and_tells_nobody(gate: tuple[Gate, int], echo: Echo) -> None:
    # Given a connection, and one made while the gate is silent
    door, port = gate
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _say(writer, b"1")
    await asyncio.wait_for(reader.readexactly(1), 5)
    door.hush()
    late_reader, late_writer = await asyncio.open_connection("127.0.0.1", port)

    # When both speak
    await _say(writer, b"2")
    await _say(late_writer, b"3")
    await asyncio.sleep(0.2)

    # Then nothing arrives, no connection ends, and all of it arrives when the gate opens
    assert echo.got == b"1"
    door.open()
    assert await asyncio.wait_for(reader.readexactly(1), 5) == b"2"
    assert await asyncio.wait_for(late_reader.readexactly(1), 5) == b"3"
    writer.close()
    late_writer.close()


async def test_where_nobody_listens_behind_it_the_connection_ends(tmp_path: Path) -> None:
    gate = Gate(to_unix(tmp_path / "nobody.sock"))
    await gate.listen_unix(tmp_path / "gate.sock")

    reader, _ = await asyncio.open_unix_connection(str(tmp_path / "gate.sock"))

    assert await asyncio.wait_for(reader.read(), 5) == b""
    await gate.close()


async def test_a_gate_before_several_goes_to_one_that_answers_and_says_when_none_does(echo: Echo) -> None:
    # Given three servers of which only one is there
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    here = server.sockets[0].getsockname()[1]
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))  # and does not listen
        gate = Gate(to_any((gone.getsockname()[1], here, gone.getsockname()[1])))
        port = await gate.listen_tcp()
        # Then whoever comes gets there, whichever is tried first
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await _say(writer, b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
        # When that one goes as well, then the connection ends, as one to a server that is gone would
        server.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await gate.close()
