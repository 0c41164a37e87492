"""Who is too slow for what is said loses samples, which the next poll heals, and never a decision."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from ezpath.bus import Bus, Delivery, bus
from ezpath.events import FlowSample, OffloadRequested
from ezpath.names import PairId, SwitchName, Tenant

FLOWS = 25_000
"""A megabyte a sample: whole in one message, and soon more than anybody keeps for somebody who does not listen."""
COLUMN = np.arange(FLOWS, dtype=np.uint64)
DECISIONS = 40


def sample(sequence: int) -> FlowSample:
    return FlowSample(SwitchName("tor1"), sequence, 2, 3, 1.0, COLUMN, COLUMN, COLUMN, COLUMN, COLUMN)


def offload(number: int) -> OffloadRequested:
    return OffloadRequested(PairId(f"red.a{number}.b{number}"), Tenant("red"), "busy", 1e9, 100.0 + number)


async def test_who_is_busy_misses_samples_and_is_told_and_gets_every_decision(nats_server, monkeypatch):
    # Given somebody who does not come to the samples, and keeps ten megabytes of them at most
    monkeypatch.setattr(bus, "WAITING_BYTES", 10 << 20)
    free, seen, decided = asyncio.Event(), list[int](), list[str]()

    async def on_sample(each: FlowSample) -> None:
        await free.wait()
        seen.append(each.sequence)

    async def on_decisions(batch: list[Delivery[OffloadRequested]]) -> None:
        decided.extend(each.event.pair for each in batch)

    async with (
        await Bus.connect(nats_server.url, "slow", wait_s=10) as slow,
        await Bus.connect(nats_server.url, "collector", wait_s=10) as collector,
    ):
        await slow.subscribe_samples(on_sample)
        consuming = asyncio.create_task(slow.consume("t", "ezpath.decision.>", OffloadRequested, on_decisions))
        # When samples and decisions come
        for number in range(DECISIONS):
            await collector.publish_sample(sample(number))
            await collector.publish(offload(number))
        # Then each decision arrives meanwhile
        async with asyncio.timeout(20):
            while len(decided) < DECISIONS:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert decided == [f"red.a{n}.b{n}" for n in range(DECISIONS)]
        # And samples were dropped, which is counted, and what comes after is heard again
        assert slow.vitals.missed > 0
        free.set()
        await collector.publish_sample(sample(DECISIONS))
        async with asyncio.timeout(20):
            while DECISIONS not in seen:
                await collector.publish_sample(sample(DECISIONS))
                await asyncio.sleep(0.1)
        assert len(set(seen)) < DECISIONS
        consuming.cancel()


LISTENER = """
import asyncio, sys
from ezpath.bus import Bus
from ezpath.events import OffloadRequested

async def main():
    async with await Bus.connect(sys.argv[1], "stalled") as bus:
        async def on_sample(sample):
            print("sample", sample.sequence, flush=True)

        async def on_decisions(batch):
            for each in batch:
                print("decision", each.event.pair, flush=True)

        await bus.subscribe_samples(on_sample)
        await bus.consume("stalled", "ezpath.decision.>", OffloadRequested, on_decisions)

asyncio.run(main())
"""


async def test_who_is_stalled_is_cut_off_by_nats_and_goes_on_with_every_decision(late_nats, tmp_path: Path):
    # Given NATS that keeps less for whoever does not read than it does by itself, and waits for less long
    late_nats.settings = "max_pending: 16MB\nwrite_deadline: 1s\n"
    late_nats.start()
    # And a process that listens, and is stopped in the middle of it
    said = tmp_path / "said"
    with said.open("wb") as file:
        child = subprocess.Popen([sys.executable, "-c", LISTENER, late_nats.url], stdout=file)  # noqa: ASYNC220 - at once
    try:
        async with await Bus.connect(late_nats.url, "collector", wait_s=10) as collector:
            async with asyncio.timeout(20):
                while "sample" not in said.read_text():
                    await collector.publish_sample(sample(0))
                    await asyncio.sleep(0.05)
            child.send_signal(signal.SIGSTOP)
            # When more comes for it than NATS keeps for anybody here
            for number in range(1, 61):
                await collector.publish_sample(sample(number))
                if number <= DECISIONS:
                    await collector.publish(offload(number))
            # And it goes on
            child.send_signal(signal.SIGCONT)
            # Then it gets each decision, and what is said from then on, but not all that was
            wanted = {f"decision red.a{n}.b{n}" for n in range(1, DECISIONS + 1)}
            async with asyncio.timeout(40):
                while not wanted <= set(said.read_text().splitlines()) or "sample 999" not in said.read_text():
                    await collector.publish_sample(sample(999))
                    await asyncio.sleep(0.2)
            samples = {line for line in said.read_text().splitlines() if line.startswith("sample")}
            assert len(samples) < 60
    finally:
        child.kill()
        child.wait()
