"""The poller's beat, with a source that takes its time in place of a switch."""

from __future__ import annotations

import asyncio

import numpy as np
from ezpath.events import FlowSample
from ezpath.names import SwitchName
from ezpath_collector.cells import CELL_BYTES
from ezpath_collector.poller import Poller
from ezpath_collector.source import Reading

READ_S, INTERVAL_S = 0.1, 0.2


class SlowSource:
    async def open(self) -> None: ...

    async def read(self) -> Reading:
        await asyncio.sleep(READ_S)
        return Reading((np.zeros((4, CELL_BYTES), np.uint8),), np.zeros((16, 2), np.uint64))

    async def close(self) -> None: ...


async def test_the_time_a_poll_takes_is_part_of_the_interval():
    # Given a switch that takes half an interval to answer
    samples: list[FlowSample] = []
    done = asyncio.Event()

    async def publish(sample: FlowSample) -> None:
        samples.append(sample)
        if len(samples) == 12:
            done.set()

    poller = Poller(SwitchName("tor1"), SlowSource, publish, "test", INTERVAL_S)
    # When it is polled for a while
    task = asyncio.create_task(poller.run())
    await asyncio.wait_for(done.wait(), 30)
    task.cancel()
    # Then beats are an interval apart, not an interval and a poll, and none is hurried
    beats = sorted(sample.interval_s for sample in samples[1:])
    assert beats[0] < INTERVAL_S + READ_S
    assert beats[len(beats) // 2] > INTERVAL_S * 0.9
    assert [sample.sequence for sample in samples] == list(range(1, 13))
