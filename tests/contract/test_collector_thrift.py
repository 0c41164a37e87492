"""The collector's adapter for BMv2's Thrift port, against a Thrift server that can be torn, slow, gone or wrong.

P4Runtime is the software ToR's own server, with the program built for BMv2. BMv2 itself: test_collector_bmv2.py.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from collector_rig import FLOW, P4, Samples, cell, loaded, polling
from ezpath.bus import Bus
from ezpath.inventory import parse
from ezpath.names import SwitchName
from ezpath_collector.main import source_of
from ezpath_collector.source import DROPS, STAGES, P4RuntimeSource
from ezpath_collector.thrift_port import ThriftPort
from ezpath_collector.thrift_source import ThriftSource
from ezpath_collector.words import words_of
from network import NETWORK
from thrift_server import RegisterServer
from tor_server import ServerOnly

from p4rt import P4Info

PROGRAM = "ezpath.bmv2"
P4INFO = P4 / f"{PROGRAM}.p4info.txtpb"
WORDS = words_of(STAGES[0], {one.name: one.width for one in P4Info.load(P4INFO).registers.by_id.values()})
KEY = [word.name for word in WORDS if word.of_key]
OTHER = (5002, 0x020000000005, 0x020000000006)
TIMEOUT_S = 2.0
Logs = list[dict[str, Any]]


@pytest_asyncio.fixture
async def tor(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    async with serving(tmp_path) as tor:
        yield tor


@asynccontextmanager
async def serving(directory: Path, device_id: int = 1, program: str = PROGRAM) -> AsyncIterator[ServerOnly]:
    """The P4Runtime half of a switch, with its program."""
    tor = ServerOnly(directory, device_id)
    await tor.start()
    async with loaded(tor, program):
        yield tor
    await tor.stop()


@pytest.fixture
def port() -> Iterator[RegisterServer]:
    """The Thrift half, over TCP."""
    server = RegisterServer(P4INFO)
    server.start()
    yield server
    server.stop()


def source(tor: ServerOnly, registers: str) -> ThriftSource:
    return ThriftSource(tor.address, tor.device_id, registers, TIMEOUT_S)


def polled(bus: Bus, tor: ServerOnly, registers: str) -> AbstractAsyncContextManager[None]:
    return polling(bus, {"tor1": lambda: source(tor, registers)})


def rows(sample: Any) -> list[tuple[int, ...]]:
    """In the order of their keys: a sample has them in the order of the cells."""
    columns = (sample.vni, sample.src, sample.dst, sample.packets, sample.bytes)
    return sorted(tuple(map(int, row)) for row in zip(*columns, strict=True))


async def complaint(logs: Logs, event: str = "switch not polled") -> str:
    """What was said of the first thing that went wrong."""
    async with asyncio.timeout(10):
        while not (found := [entry for entry in logs if entry["event"] == event]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return str(found[0]["reason"])


# ---- what is read ----------------------------------------------------------------------------------------------------


async def test_a_poll_becomes_a_sample(bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples) -> None:
    # Given cells in two stages, one with every bit set, and drops, which are served over P4Runtime
    biggest = (2**24 - 1, 2**48 - 1, 2**48 - 1)
    port.put(7, cell(FLOW, 5, 500))
    port.put(9, cell(OTHER, 2, 200), STAGES[-1])
    port.put(11, cell(biggest, 2**32 - 1, 2**48 - 1))
    tor.plane.counters[DROPS][4] = 3, 180
    # When the switch is polled
    async with polled(bus, tor, port.address):
        first, second, *_ = await samples.when(lambda got: len(got) >= 2)
    # Then all of it is in the sample, and the next poll finds it again
    assert rows(first) == [(*FLOW, 5, 500), (*OTHER, 2, 200), (*biggest, 2**32 - 1, 2**48 - 1)]
    assert rows(second) == rows(first)
    assert (first.drops, first.interval_s) == ({"4": 3}, 0.0)


async def test_it_reads_a_unix_socket_too(bus: Bus, tor: ServerOnly, samples: Samples, tmp_path: Path) -> None:
    server = RegisterServer(P4INFO, unix=tmp_path / "tor1.thrift")
    server.start()
    server.put(0, cell(FLOW, 1, 60))
    async with polled(bus, tor, server.address):
        first, *_ = await samples.when(lambda got: got != [])
    server.stop()
    assert rows(first) == [(*FLOW, 1, 60)]


@pytest.mark.parametrize("word", KEY)
async def test_a_cell_that_changes_hands_while_it_is_read_comes_with_the_next_poll(
    bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples, word: str
) -> None:
    # Given two flows, and one of them loses its cell as soon as a word of its key has been read
    port.put(3, cell(FLOW, 5, 500))
    port.put(4, cell(OTHER, 8, 800))
    newcomer = (5003, 0x020000000008, 0x020000000009)

    def take_over(name: str) -> None:
        if name == word:
            port.put(3, cell(newcomer, 1, 60))

    port.after_read = take_over
    # When it is polled
    async with polled(bus, tor, port.address):
        first, second, *_ = await samples.when(lambda got: len(got) >= 2)
    # Then the first poll has neither of the two in that cell, nor a mixture, and the second has the newcomer
    assert rows(first) == [(*OTHER, 8, 800)]
    assert rows(second) == [(*OTHER, 8, 800), (*newcomer, 1, 60)]


async def test_counters_that_grow_while_they_are_read_are_no_reason_to_leave_a_cell_out(
    bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples
) -> None:
    counts = iter(range(1, 10**6))
    port.after_read = lambda name: port.put(3, cell(FLOW, (count := next(counts)), 60 * count))
    async with polled(bus, tor, port.address):
        got = await samples.when(lambda got: len(got) >= 5)
    assert [len(sample.vni) for sample in got[1:]] == [1] * (len(got) - 1)
    octets = [int(sample.bytes[0]) for sample in got[1:]]
    assert octets == sorted(octets)


async def test_the_key_is_read_before_and_after_the_counters(tor: ServerOnly, port: RegisterServer) -> None:
    reader = source(tor, port.address)
    await reader.open()
    await reader.read()
    await reader.close()
    counters = [word.name for word in WORDS if not word.of_key]
    assert KEY and counters
    assert [name for name in port.reads if name.startswith(STAGES[0])] == [*KEY, *counters, *KEY]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_closed_port_is_named_and_polled_as_soon_as_it_opens(
    bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples
) -> None:
    port.stop()
    with structlog.testing.capture_logs() as logs:
        async with polled(bus, tor, port.address):
            reason = await complaint(logs)
            port.start()
            await samples.when(lambda got: got != [])
    assert port.address in reason and "Connection refused" in reason and "--thrift-port" in reason


async def test_a_port_that_goes_away_is_taken_up_again(
    bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with polled(bus, tor, port.address):
            await samples.when(lambda got: got != [])
            port.stop()
            reason = await complaint(logs)
            port.start()
            before = len(samples.all)
            again = await samples.when(lambda got: len(got) > before)
    assert port.address in reason
    # The time it was away is in the interval: rates stay right
    assert again[before].interval_s > 0.3


async def test_a_slow_port_holds_up_nobody_else_and_is_named(
    bus: Bus, tor: ServerOnly, port: RegisterServer, samples: Samples, tmp_path: Path
) -> None:
    # Given a port that keeps its answer back, and another switch with one that does not
    answer = threading.Event()
    port.after_read = lambda name: answer.wait(20)
    quick = RegisterServer(P4INFO)
    quick.start()
    async with serving(tmp_path, 2) as other:
        sources = {"tor1": lambda: source(tor, port.address), "tor2": lambda: source(other, quick.address)}
        with structlog.testing.capture_logs() as logs:
            async with polling(bus, sources):
                # When both are polled, then the quick one's samples come, while the slow one is waited for
                await samples.when(lambda got: len(got) >= 3, "tor2")
                assert samples.of("tor1") == []
                # And that one is told by name, and read as soon as it answers
                reason = await complaint(logs)
                answer.set()
                await samples.when(lambda got: got != [])
    quick.stop()
    assert port.address in reason and "2 s. The switch is busy or hangs" in reason


async def test_a_silent_port_is_named_and_let_go(tor: ServerOnly, tmp_path: Path) -> None:
    # Given somebody who accepts connections and never says a word
    with silent() as address:
        reader = source(tor, address)
        await reader.open()
        # When a read is given up while it waits
        reading = asyncio.create_task(reader.read())
        await asyncio.sleep(0.2)
        reading.cancel()
        began = time.monotonic()
        await asyncio.gather(reading, return_exceptions=True)
        await reader.close()
        # Then nothing is waited for, and no thread is left behind
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.2)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("thrift")]


@contextmanager
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"thrift://127.0.0.1:{server.getsockname()[1]}"


async def test_the_other_program_is_refused_by_the_name_of_what_it_lacks(
    bus: Bus, port: RegisterServer, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(tmp_path, program="ezpath") as wide, polled(bus, wide, port.address):
            reason = await complaint(logs)
    assert f"there is no register {STAGES[0]}_a" in reason and "Is it the program built for BMv2?" in reason


async def test_a_register_that_the_port_does_not_know_is_named(bus: Bus, tor: ServerOnly, port: RegisterServer) -> None:
    del port.registers[f"{STAGES[0]}_b"]
    with structlog.testing.capture_logs() as logs:
        async with polled(bus, tor, port.address):
            reason = await complaint(logs)
    assert f"knows no register {STAGES[0]}_b" in reason and "built for BMv2" in reason


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64, b"\xff" * 64, b""])
async def test_what_is_no_thrift_port_is_named(bus: Bus, tor: ServerOnly, said: bytes) -> None:
    with structlog.testing.capture_logs() as logs, answering(said) as address:
        async with polled(bus, tor, address):
            reason = await complaint(logs)
    assert address in reason and "did not answer as BMv2 does" in reason


@contextmanager
def answering(said: bytes, heard: list[bytes] | None = None) -> Iterator[str]:
    """A server that says the same to everybody and hangs up."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(4096)
                if heard is not None:
                    heard.append(request)
                connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"thrift://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


async def test_it_waits_for_the_writer_and_says_so(
    bus: Bus, port: RegisterServer, samples: Samples, tmp_path: Path
) -> None:
    tor = ServerOnly(tmp_path)
    await tor.start()
    with structlog.testing.capture_logs() as logs:
        async with polled(bus, tor, port.address):
            async with asyncio.timeout(10):
                while not any(entry["event"] == "switch runs no program yet" for entry in logs):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert port.reads == []
            async with loaded(tor, PROGRAM):
                await samples.when(lambda got: got != [])
    await tor.stop()


# ---- on the wire, and in the inventory -------------------------------------------------------------------------------


def test_the_request_is_what_bmv2_reads() -> None:
    """Strict binary protocol, and the service's name before the method's: Apache Thrift's multiplexing."""
    heard: list[bytes] = []
    with answering(b"", heard) as address:
        port = ThriftPort(address, 2.0)
        port.connect()
        with pytest.raises(Exception, match="did not answer"):
            port.read("r1")
        port.close()
    method = b"standard:bm_register_read_all"
    head = b"\x80\x01\x00\x01" + len(method).to_bytes(4, "big") + method + bytes(4)
    context, name = b"\x08\x00\x01" + bytes(4), b"\x0b\x00\x02" + (2).to_bytes(4, "big") + b"r1"
    assert heard == [head + context + name + b"\x00"]


@pytest.mark.parametrize(("said", "kind"), [("", P4RuntimeSource), ("    registers: thrift://x:1\n", ThriftSource)])
def test_the_inventory_says_which_adapter_a_switch_gets(said: str, kind: Callable[..., object]) -> None:
    inventory = parse(NETWORK.replace("    rack: r1\n", f"    rack: r1\n{said}"))
    assert type(source_of(inventory.switches[SwitchName("tor1")].config, 1.0)) is kind
