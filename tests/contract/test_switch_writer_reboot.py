"""A ToR that comes back empty: the entries of active pairs are in before the first overlay packet passes."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from contract.switch_writer_rig import (
    ITEM_TABLES,
    LOCAL,
    REMOTE,
    TAG,
    TOR1,
    command,
    desire,
    entries,
    inventory_with,
    until_said,
    writing,
)
from ezpath.inventory import parse
from ezpath_switch_writer.base import GATE, base_entries
from ezpath_switch_writer.program import load_program
from ezpath_switch_writer.writer import SwitchWriter
from network import NETWORK
from packet.frames import ethernet, ipv4, tagged, udp, vxlan
from tor_process import Namespace
from tor_server import P4, ServerOnly

from p4rt import Client, TableEntry, Update

pytest_plugins = ["contract.switch_writer_fixture"]

ROUTES = """
    routes:
      - {prefix: 10.1.3.0/24, port: 10, next_hop: "02:00:00:00:fe:01"}
      - {prefix: 10.255.0.2/32, port: 10, next_hop: "02:00:00:00:fe:01"}
"""
FABRIC = "      - {number: 10, address: 10.9.1.1, fabric: true}\n"

STREAM = """
import json, select, socket, sys, time
into, out = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)) for _ in range(2))
into.bind(("q1", 0))
out.bind(("q2", 0))
out.setblocking(False)
frames, seen, number = [bytes.fromhex(text) for text in sys.argv[1:]], {"OVER": [], "TAGG": []}, 0
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    number += 1
    for frame in frames:
        into.send(frame[:-4] + number.to_bytes(4, "big"))
    while select.select([out], [], [], 0)[0]:
        data = out.recv(2048)
        kind = data[-8:-4].decode(errors="replace")
        if kind in seen:
            seen[kind].append(int.from_bytes(data[-4:], "big"))
print(json.dumps({"sent": number, **seen}), flush=True)
"""
CONTAINERS = ("02:00:00:00:00:03", "02:00:00:00:00:01")
_INNER = ethernet(*CONTAINERS, 0x88B5, bytes(46) + b"OVER" + bytes(4))
_OUTER = ipv4("10.1.1.1", "10.1.3.1", udp(5000, 4789, vxlan(5001, _INNER)))
OVERLAY = ethernet("02:00:00:00:ff:01", "02:00:00:00:11:01", 0x0800, _OUTER)
_TENANTS = ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(40) + b"TAGG" + bytes(4)))
TAGGED = tagged(ethernet(*CONTAINERS, 0x0800, _TENANTS), 100)


@dataclass(frozen=True)
class Seen:
    """Numbers of the frames that came out to the fabric."""

    sent: int
    overlay: list[int]
    tagged: list[int]


class Stream:
    """Overlay and tagged frames by turns, without a pause, with numbers; what comes out is noted."""

    def __init__(self, namespace: Namespace) -> None:
        script = (sys.executable, "-c", STREAM, OVERLAY.hex(), TAGGED.hex())
        self._process = namespace.start_command(*script, stdin=True)
        assert self._process.stdout is not None and self._process.stdout.readline() == "begun\n"

    def stop(self) -> Seen:
        out, err = self._process.communicate("stop\n", timeout=20)
        assert out, err
        said = json.loads(out)
        return Seen(said["sent"], said["OVER"], said["TAGG"])


def after_the_outage(numbers: list[int]) -> int:
    """The number behind the widest gap."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    return numbers[gaps.index(max(gaps)) + 1]


@pytest.mark.root
async def test_from_its_first_overlay_packet_on_the_tagged_ones_pass_as_well(bus, namespace, sock):
    # Given a pair that is active through a ToR, and frames of it and of the overlay all the time
    text = NETWORK.replace("unix:/run/tor1.sock", f"unix:{sock}").replace(FABRIC, FABRIC.rstrip() + ROUTES, 1)
    inventory = parse(text)
    ports = ("--listen", f"unix:{sock}", "--port", "1=p1", "--port", "10=p2")
    namespace.tor(*ports)
    await desire(bus, 5, TAG, LOCAL, REMOTE)
    writer = SwitchWriter(inventory.switches[TOR1], inventory, load_program(P4, "ezpath"), bus)
    task = asyncio.create_task(writer.run())
    try:
        await asyncio.wait_for(writer.in_sync.wait(), 60)
        stream = await asyncio.to_thread(Stream, namespace)
        await asyncio.sleep(0.5)
        # When it loses its power, and comes back with nothing in it
        namespace.end(signal.SIGKILL)
        await asyncio.to_thread(namespace.tor, *ports, "--empty")
        while writer.in_sync.is_set():  # noqa: ASYNC110 - it has to notice first
            await asyncio.sleep(0.02)
        await asyncio.wait_for(writer.in_sync.wait(), 60)
        await asyncio.sleep(0.5)
        seen = await asyncio.to_thread(stream.stop)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # Then there was an outage, the ToR's own
    first = after_the_outage(seen.overlay)
    last = min(seen.overlay[-1], seen.tagged[-1])
    assert seen.overlay[0] < first < last
    assert first - seen.overlay[seen.overlay.index(first) - 1] > 10
    # And from the first overlay packet that passed again, none of the tagged ones is missing
    passed = set(seen.tagged)
    assert [number for number in range(first, last + 1) if number not in passed] == []


@pytest.mark.root
async def test_a_tor_without_a_program_forwards_nothing(namespace, sock):
    namespace.tor("--listen", f"unix:{sock}", "--port", "1=p1", "--port", "10=p2", "--empty")
    for frame in (OVERLAY, TAGGED):
        namespace.send("q1", frame.hex(), 5)
    assert (namespace.sent("p2"), namespace.sent("p1")) == (0, 0)


class Recorder:
    """What goes to the switch and when it is read, in order; everything really goes there."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def listening(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
        write, read = Client.write, Client.read_table

        async def noted_write(client: Client, updates: list[Update], *args: object) -> object:
            tables = {update.entry.table for update in updates}
            self.steps.append("write " + " ".join(sorted(tables)))
            return await write(client, updates, *args)  # type: ignore[arg-type]

        async def noted_read(client: Client, *args: object) -> list[TableEntry]:
            self.steps.append("read")
            return await read(client, *args)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(Client, "write", noted_write)
            patch.setattr(Client, "read_table", noted_read)
            yield self


async def test_entries_first_then_a_read_back_then_the_base_and_the_gate_last(bus, tor, monkeypatch):
    await desire(bus, 5, TAG, LOCAL, REMOTE)
    with Recorder().listening(monkeypatch) as recorder:
        async with writing(bus, tor):
            steps = list(recorder.steps)
    items = steps.index("write endpoint tenant_tag")
    (base,) = [index for index, step in enumerate(steps) if "tunnel_source" in step]
    gate = steps.index(f"write {GATE}")
    assert items < base < gate
    assert "read" in steps[items:base]
    assert not [step for step in steps[:items] if step.startswith("write")]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    server = ServerOnly(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def until_passing(server: ServerOnly) -> None:
    base = set(base_entries(inventory_with(server), TOR1))
    async with asyncio.timeout(20):
        while not base <= await server.entries():  # noqa: ASYNC110 - a switch tells nobody
            await asyncio.sleep(0.05)


async def test_where_kv_is_silent_the_overlay_waits_a_while_and_not_for_ever(bus, server, nats_server):
    # Given a NATS that does not answer any more
    await desire(bus, 5, TAG)
    nats_server.freeze()
    try:
        with structlog.testing.capture_logs() as logs:
            async with writing(bus, server, in_sync=False, kv_wait_s=1.0) as writer:
                await asyncio.sleep(0.5)
                assert await server.entries() == set(), "nothing passes yet"
                # Then after a while the base configuration goes in, and the log says why
                said = await until_said(logs, "what is offloaded could not be read")
                assert "1 s" in str(said["reason"]) and "overlay goes first" in str(said["next"])
                await until_passing(server)
                assert not writer.in_sync.is_set(), "it is not known to be as it should be"
                # And when NATS answers again, the entries too
                nats_server.thaw()
                await asyncio.wait_for(writer.in_sync.wait(), 60)
                assert await server.entries(*ITEM_TABLES) == entries(TAG)
    finally:
        nats_server.thaw()


async def test_what_is_known_goes_in_first_while_kv_is_silent_and_nothing_is_removed_by_an_old_word(
    bus, server, nats_server, reports, monkeypatch
):
    # Given a writer that knows of a pair by KV, and of another by a command alone
    await desire(bus, 5, TAG)
    async with writing(bus, server, kv_wait_s=1.0, audit_s=600):
        (report,) = await reports.ask(command(put=(LOCAL, REMOTE), generation=6000))
        assert report.ok
        # When NATS falls silent, and then the switch restarts empty
        nats_server.freeze()
        try:
            await server.stop()
            with Recorder().listening(monkeypatch) as recorder:
                await server.start()
                await until_passing(server)
                steps = list(recorder.steps)
            # Then all of it is back, and was before the overlay passes
            assert steps.index("write endpoint tenant_tag") < steps.index(f"write {GATE}")
            assert await server.entries(*ITEM_TABLES) == entries(TAG, LOCAL, REMOTE)
        finally:
            nats_server.thaw()
