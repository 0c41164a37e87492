"""The collector against the software ToR's P4Runtime server, and, as root, against frames through the whole ToR."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import structlog
from collector_rig import FLOW, PASSED_ON, cell, loaded, polling, send_vxlan
from ezpath.bus import Bus
from ezpath_collector.source import P4RuntimeSource
from tor_server import ServerOnly, Tor, WholeTor

from p4rt import Update

STAGE1, STAGE4, DROPS = "EzIngress.monitor.stage1", "EzIngress.monitor.stage4", "EzIngress.drops"


@pytest_asyncio.fixture
async def tor(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    tor = ServerOnly(tmp_path)
    await tor.start()
    yield tor
    await tor.stop()


def polling_over_p4runtime(bus: Bus, *tors: Tor) -> AbstractAsyncContextManager[None]:
    return polling(
        bus, {f"tor{tor.device_id}": lambda tor=tor: P4RuntimeSource(tor.address, tor.device_id, 2.0) for tor in tors}
    )


def put_cell(tor: ServerOnly, register: str, index: int, packets: int, octets: int) -> None:
    tor.plane.registers[register][index] = np.frombuffer(cell(FLOW, packets, octets), np.uint8)


async def test_a_poll_becomes_a_sample(bus, tor, samples):
    async with loaded(tor):
        put_cell(tor, STAGE1, 7, 5, 500)
        put_cell(tor, STAGE4, 9, 2, 200)
        tor.plane.counters[DROPS][4] = 3, 180
        async with polling_over_p4runtime(bus, tor):
            first, second, *_ = await samples.when(lambda got: len(got) >= 2)
    assert (first.sequence, second.sequence, first.collector) == (1, 2, "test")
    assert (first.interval_s, first.drops) == (0.0, {"4": 3})
    assert second.interval_s == pytest.approx((second.monotonic_ns - first.monotonic_ns) / 1e9)
    assert abs(first.wall_ns / 1e9 - time.time()) < 20
    assert [column.tolist() for column in (first.vni, first.src, first.dst)] == [[FLOW[0]], [FLOW[1]], [FLOW[2]]]
    assert (first.packets.tolist(), first.bytes.tolist()) == ([5], [500])


async def test_it_waits_for_the_writer_and_says_so(bus, tor, samples):
    with structlog.testing.capture_logs() as logs:
        async with polling_over_p4runtime(bus, tor):
            await asyncio.sleep(1)
            assert samples.all == []
            assert [entry["switch"] for entry in logs if entry["event"] == "switch runs no program yet"] == ["tor1"]
            async with loaded(tor):
                await samples.when(lambda got: got != [])


async def test_it_never_takes_the_switch_from_its_writer(bus, tor, samples):
    async with loaded(tor) as writer:
        async with polling_over_p4runtime(bus, tor):
            await samples.when(lambda got: len(got) >= 3)
        assert writer.primary


async def test_a_dead_switch_is_named_and_taken_up_again_and_others_go_on(bus, tmp_path, samples):
    dead, alive = ServerOnly(tmp_path, 1), ServerOnly(tmp_path, 2)
    await dead.start()
    await alive.start()
    with structlog.testing.capture_logs() as logs:
        async with polling_over_p4runtime(bus, dead, alive), loaded(alive):
            async with loaded(dead):
                await samples.when(lambda got: got != [])
            await dead.stop()
            before, polled = len(samples.of("tor2")), len(samples.of("tor1"))
            await samples.when(lambda got: len(got) > before + 10, "tor2")
            complaint = next(entry for entry in logs if entry["event"] == "switch not polled")
            assert complaint["switch"] == "tor1"
            # A read that was under way is cancelled by the switch that ends; the next one finds nobody
            assert "UNAVAILABLE" in complaint["reason"] or "CANCELLED" in complaint["reason"]
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
        async with polling_over_p4runtime(bus, slow, quick):
            got = await samples.when(lambda got: len(got) >= 10, "tor2")
        assert max(sample.interval_s for sample in got) < 1.5  # a poll of the slow one takes 2 s
    for tor in (slow, quick):
        await tor.stop()


async def test_real_frames_are_counted(bus, tmp_path, samples, needs):
    needs("clang", "ip", root=True)
    tor = WholeTor(tmp_path, f"ezt-co-{os.getpid()}")
    try:
        await tor.start()
        async with loaded(tor) as writer, polling_over_p4runtime(bus, tor):
            await writer.write([Update.insert(entry) for entry in PASSED_ON])
            await samples.when(lambda got: got != [])
            await send_vxlan(tor, 25)
            *_, last = await samples.when(lambda got: got[-1].packets.sum() >= 25)
        assert (last.vni.tolist(), last.src.tolist(), last.dst.tolist()) == ([FLOW[0]], [FLOW[1]], [FLOW[2]])
        assert (last.packets.tolist(), last.bytes.tolist()) == ([25], [25 * 60])
    finally:
        await tor.stop()
        tor.remove()
