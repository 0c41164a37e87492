"""The collector against the software ToR's P4Runtime server, and, as root, against frames through the whole ToR."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import structlog
from ezpath.bus import Bus
from ezpath.events import FlowSample
from ezpath.names import SwitchName
from ezpath_collector.poller import Poller
from ezpath_collector.source import P4RuntimeSource
from tor_server import ServerOnly, WholeTor

from p4rt import Client, P4Info, TableEntry, Update

ROOT = Path(__file__).parents[2]
STAGE1, STAGE4, DROPS = "EzIngress.monitor.stage1", "EzIngress.monitor.stage4", "EzIngress.drops"
FLOW = (5001, 0x020000000001, 0x020000000003)


class Samples:
    def __init__(self, bus: Bus) -> None:
        self.all: list[FlowSample] = []
        self._bus = bus

    async def keep(self, sample: FlowSample) -> None:
        self.all.append(sample)

    def of(self, switch: str) -> list[FlowSample]:
        return [sample for sample in self.all if sample.switch == switch]

    async def when(self, condition: Callable[[list[FlowSample]], bool], switch: str = "tor1") -> list[FlowSample]:
        """Wait until ``condition`` holds for the samples of ``switch``."""
        async with asyncio.timeout(20):
            while not condition(self.of(switch)):  # noqa: ASYNC110 - what is waited for is anything
                await asyncio.sleep(0.02)
        return self.of(switch)


@pytest_asyncio.fixture
async def samples(bus: Bus) -> Samples:
    samples = Samples(bus)
    await bus.subscribe_samples(samples.keep)
    return samples


@pytest_asyncio.fixture
async def tor(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    tor = ServerOnly(tmp_path)
    await tor.start()
    yield tor
    await tor.stop()


@asynccontextmanager
async def loaded(tor: ServerOnly | WholeTor) -> AsyncIterator[Client]:
    """A switch whose writer has been there, and still is."""
    async with Client(tor.address, tor.device_id) as writer:
        await writer.become_primary(1)
        info = P4Info.load(ROOT / "p4" / "ezpath.p4info.txtpb")
        await writer.set_pipeline(info, (ROOT / "p4" / "ezpath.json").read_bytes(), cookie=1)
        yield writer


@asynccontextmanager
async def polling(bus: Bus, *tors: ServerOnly | WholeTor, interval_s: float = 0.1) -> AsyncIterator[None]:
    pollers = [
        Poller(
            SwitchName(f"tor{tor.device_id}"),
            lambda tor=tor: P4RuntimeSource(tor.address, tor.device_id, 2.0),
            bus.publish_sample,
            "test",
            interval_s,
        )
        for tor in tors
    ]
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def put_cell(tor: ServerOnly, register: str, index: int, packets: int, octets: int) -> None:
    value = 1
    for field, bits in zip((*FLOW, octets, 12, packets, 34), (24, 48, 48, 48, 16, 40, 24), strict=True):
        value = value << bits | field
    tor.plane.registers[register][index] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)


async def test_a_poll_becomes_a_sample(bus, tor, samples):
    async with loaded(tor):
        put_cell(tor, STAGE1, 7, 5, 500)
        put_cell(tor, STAGE4, 9, 2, 200)
        tor.plane.counters[DROPS][4] = 3, 180
        async with polling(bus, tor):
            first, second, *_ = await samples.when(lambda got: len(got) >= 2)
    assert (first.sequence, second.sequence, first.collector) == (1, 2, "test")
    assert (first.interval_s, first.drops) == (0.0, {"4": 3})
    assert second.interval_s == pytest.approx((second.monotonic_ns - first.monotonic_ns) / 1e9)
    assert abs(first.wall_ns / 1e9 - time.time()) < 20
    assert [column.tolist() for column in (first.vni, first.src, first.dst)] == [[FLOW[0]], [FLOW[1]], [FLOW[2]]]
    assert (first.packets.tolist(), first.bytes.tolist()) == ([5], [500])


async def test_it_waits_for_the_writer_and_says_so(bus, tor, samples):
    with structlog.testing.capture_logs() as logs:
        async with polling(bus, tor):
            await asyncio.sleep(1)
            assert samples.all == []
            assert [entry["switch"] for entry in logs if entry["event"] == "switch runs no program yet"] == ["tor1"]
            async with loaded(tor):
                await samples.when(lambda got: got != [])


async def test_it_never_takes_the_switch_from_its_writer(bus, tor, samples):
    async with loaded(tor) as writer:
        async with polling(bus, tor):
            await samples.when(lambda got: len(got) >= 3)
        assert writer.primary


async def test_a_dead_switch_is_named_and_taken_up_again_and_others_go_on(bus, tmp_path, samples):
    dead, alive = ServerOnly(tmp_path, 1), ServerOnly(tmp_path, 2)
    await dead.start()
    await alive.start()
    with structlog.testing.capture_logs() as logs:
        async with polling(bus, dead, alive), loaded(alive):
            async with loaded(dead):
                await samples.when(lambda got: got != [])
            await dead.stop()
            before, polled = len(samples.of("tor2")), len(samples.of("tor1"))
            await samples.when(lambda got: len(got) > before + 10, "tor2")
            complaint = next(entry for entry in logs if entry["event"] == "switch not polled")
            assert complaint["switch"] == "tor1" and "UNAVAILABLE" in complaint["reason"]
            await dead.start()
            async with loaded(dead):
                again = await samples.when(lambda got: len(got) > polled)
                # The time it was away is in the interval: rates stay right
                assert again[polled].interval_s > 0.5
    await dead.stop()
    await alive.stop()


async def test_a_slow_switch_does_not_hold_up_another(bus, tmp_path, samples):
    slow, quick = ServerOnly(tmp_path, 1), ServerOnly(tmp_path, 2)
    for tor in (slow, quick):
        await tor.start()
    async with loaded(slow), loaded(quick):
        slow.plane.hang_s = 1.0
        async with polling(bus, slow, quick):
            got = await samples.when(lambda got: len(got) >= 10, "tor2")
        assert max(sample.interval_s for sample in got) < 1.5  # a poll of the slow one takes 2 s
    for tor in (slow, quick):
        await tor.stop()


TO_HOST3 = (
    TableEntry("router_mac", {"mac": 0x02000000FF01}, "for_router"),
    TableEntry("route", {"prefix": (0x0A010301, 32)}, "next_hop", {"port": 2, "src": 1, "dst": 2}),
)
"""What the frame below needs to be passed on: only that counts."""
SEND_VXLAN = """
import socket, struct, sys
def mac(n): return n.to_bytes(6, "big")
inner = mac(0x020000000003) + mac(0x020000000001) + b"\\x08\\x00" + bytes(46)
vxlan = bytes([8, 0, 0, 0]) + (5001).to_bytes(3, "big") + b"\\0" + inner
udp = struct.pack("!HHHH", 50000, 4789, 8 + len(vxlan), 0) + vxlan
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10,1,1,1]), bytes([10,1,3,1]))
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]
frame = mac(0x02000000ff01) + mac(0x020000001101) + b"\\x08\\x00" + head + udp
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("q1", 0))
for _ in range(int(sys.argv[1])):
    raw.send(frame)
"""


async def test_real_frames_are_counted(bus, tmp_path, samples, needs):
    needs("clang", "ip", root=True)
    tor = WholeTor(tmp_path, f"ezt-co-{os.getpid()}")
    try:
        await tor.start()
        async with loaded(tor) as writer, polling(bus, tor):
            await writer.write([Update.insert(entry) for entry in TO_HOST3])
            await samples.when(lambda got: got != [])
            command = ["ip", "netns", "exec", tor.namespace, sys.executable, "-c", SEND_VXLAN, "25"]
            await asyncio.to_thread(subprocess.run, command, check=True)
            *_, last = await samples.when(lambda got: got[-1].packets.sum() >= 25)
        assert (last.vni.tolist(), last.src.tolist(), last.dst.tolist()) == ([FLOW[0]], [FLOW[1]], [FLOW[2]])
        assert (last.packets.tolist(), last.bytes.tolist()) == ([25], [25 * 60])
    finally:
        await tor.stop()
        tor.remove()
