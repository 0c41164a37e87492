"""The collector's adapter for BMv2, against BMv2 itself: the service's name, the registers' names, and real frames."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from bmv2 import Bmv2, need_bmv2
from collector_rig import FLOW, PASSED_ON, Samples, loaded, polling, send_vxlan
from ezpath.bus import Bus
from ezpath_collector.source import STAGES, SourceError
from ezpath_collector.thrift_port import ThriftPort
from ezpath_collector.thrift_source import ThriftSource

from p4rt import Update


@pytest.fixture(autouse=True)
def installed() -> None:
    need_bmv2()


@pytest_asyncio.fixture
async def bmv2(tmp_path: Path) -> AsyncIterator[Bmv2]:
    """Without ports, its Thrift port over TCP."""
    bmv2 = Bmv2(tmp_path)
    await bmv2.start()
    yield bmv2
    await bmv2.stop()


@pytest_asyncio.fixture
async def wired(tmp_path: Path, needs: Callable[..., None]) -> AsyncIterator[Bmv2]:
    """With ports in a namespace of its own, its Thrift port behind the lab's relay."""
    needs("ip", root=True)
    wired = Bmv2(tmp_path, f"ezt-cb-{os.getpid()}")
    await wired.start()
    yield wired
    await wired.stop()
    wired.remove()


def source(bmv2: Bmv2) -> ThriftSource:
    return ThriftSource(bmv2.address, bmv2.device_id, bmv2.registers, 5.0)


async def test_it_waits_for_the_program_and_then_reads_an_empty_monitor(bus: Bus, bmv2: Bmv2, samples: Samples) -> None:
    with structlog.testing.capture_logs() as logs:
        async with polling(bus, {"tor1": lambda: source(bmv2)}):
            async with asyncio.timeout(10):
                while not any(entry["event"] == "switch runs no program yet" for entry in logs):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            async with loaded(bmv2, bmv2.program):
                first, *_ = await samples.when(lambda got: len(got) >= 2)
    assert (len(first.vni), first.drops) == (0, {})


async def test_the_other_program_is_refused_by_the_name_of_what_it_lacks(bmv2: Bmv2) -> None:
    reader = source(bmv2)
    async with loaded(bmv2, "ezpath"):
        with pytest.raises(ValueError, match=f"no register {STAGES[0]}_a.*Is it the program built for BMv2"):
            await reader.open()
    await reader.close()


async def test_a_register_it_does_not_have_is_named(bmv2: Bmv2) -> None:
    port = ThriftPort(bmv2.registers, 5.0)
    async with loaded(bmv2, bmv2.program):
        port.connect()
        with pytest.raises(SourceError, match=r"knows no register EzIngress\.monitor\.nowhere"):
            port.read("EzIngress.monitor.nowhere")
    port.close()


async def test_real_frames_are_counted(bus: Bus, wired: Bmv2, samples: Samples) -> None:
    # Given BMv2 with the program, a route, and the collector at work
    poll = polling(bus, {"tor1": lambda: source(wired)}, interval_s=0.2)
    async with loaded(wired, wired.program) as writer, poll:
        assert await writer.write([Update.insert(entry) for entry in PASSED_ON]) == []
        await samples.when(lambda got: got != [])
        # When frames of a flow come in
        await send_vxlan(wired, 25)
        got = await samples.when(lambda got: got[-1].packets.sum() >= 25)
    # Then they are counted as they are on the software ToR
    last = got[-1]
    assert (last.vni.tolist(), last.src.tolist(), last.dst.tolist()) == ([FLOW[0]], [FLOW[1]], [FLOW[2]])
    assert (last.packets.tolist(), last.bytes.tolist()) == ([25], [25 * 60])
    # And no poll in between had more than came, or less than the one before
    seen = [int(sample.packets.sum()) for sample in got]
    assert seen == sorted(seen)
