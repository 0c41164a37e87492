"""Requests as an operator makes them, and when their outcomes came: what all of this bench's figures are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ezpath.bus import Bus, Saying
from ezpath.events import OffloadRequested, OutcomeName, RevertRequested, SagaOutcome
from ezpath.names import PairId, Tenant

from ezpath_bench.saga.legs import Legs, legs_of

Pairs = Sequence[tuple[PairId, Tenant]]
What = Literal["offload", "revert"]


@dataclass(slots=True)
class Wave:
    """Some pairs that were asked for, and what became of them. Times are of the monotonic clock."""

    asked: dict[PairId, float] = field(default_factory=dict)
    ended: dict[PairId, float] = field(default_factory=dict)
    failed: dict[PairId, str] = field(default_factory=dict)

    @property
    def latencies_ms(self) -> list[float]:
        """From the request to its outcome as it was wanted; in the order of their ends."""
        return [(end - self.asked[pair]) * 1e3 for pair, end in self.ended.items()]

    @property
    def rate(self) -> float:
        """Outcomes a second from the first request to the last outcome."""
        return len(self.ended) / (max(self.ended.values()) - min(self.asked.values())) if self.ended else 0.0

    @property
    def open(self) -> int:
        return len(self.asked) - len(self.ended) - len(self.failed)


class Load:
    """Asks for moves and listens for their outcomes. Run :meth:`listen` beside it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waves: dict[PairId, tuple[Wave, OutcomeName]] = {}
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Until cancelled."""
        async for delivery in self._bus.follow(["ezpath.saga.outcome.>"], await self._bus.last_sequence()):
            event, now = delivery.event, time.monotonic()
            if not isinstance(event, SagaOutcome) or (known := self._waves.pop(event.pair, None)) is None:
                continue
            wave, wanted = known
            if event.outcome == wanted:
                wave.ended[event.pair] = now
            else:
                wave.failed[event.pair] = f"{event.outcome}: {event.reason}"
            self._news.set()

    async def at_once(self, pairs: Pairs, what: What, under_way: int, portion: int = 50) -> Wave:
        """All of ``pairs``, as fast as they end, with at most ``under_way`` of them open. Returns when all ended."""
        wave = Wave()
        for start in range(0, len(pairs), portion):
            await self._until(wave, max(0, under_way - portion))
            await self._ask(wave, pairs[start : start + portion], what)
        await self._until(wave, 0)
        return wave

    async def steadily(self, pairs: Pairs, what: What, rate: float, wave: Wave | None = None) -> Wave:
        """``rate`` of ``pairs`` a second, one at a time, whether or not earlier ones have ended."""
        wave = wave if wave is not None else Wave()
        began = time.monotonic()
        asking: set[asyncio.Task[None]] = set()
        for number, pair in enumerate(pairs):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            # A slow NATS must not slow down those who ask.
            task = asyncio.create_task(self._ask(wave, [pair], what))
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(*asking)
        return wave

    async def settled(self, wave: Wave, within_s: float) -> bool:
        """Wait until nothing of ``wave`` is open; False where that takes longer."""
        try:
            async with asyncio.timeout(within_s):
                await self._until(wave, 0)
        except TimeoutError:
            return False
        return True

    async def legs(self, since: float) -> Legs:
        """Of the offloads that were asked for from Unix time ``since`` on."""
        said = ["ezpath.decision.offload.>", "ezpath.command.>", "ezpath.report.>", "ezpath.saga.outcome.>"]
        return legs_of([(each.published_at, each.event) async for each in self._bus.history(said, since)])

    async def _ask(self, wave: Wave, pairs: Pairs, what: What) -> None:
        now = time.monotonic()
        for pair, _ in pairs:
            wave.asked[pair] = now
            self._waves[pair] = (wave, "active" if what == "offload" else "reverted")
        await self._bus.publish_all(Saying(_request(pair, tenant, what)) for pair, tenant in pairs)

    async def _until(self, wave: Wave, most_open: int) -> None:
        while wave.open > most_open:
            self._news.clear()
            await self._news.wait()


def _request(pair: PairId, tenant: Tenant, what: What) -> OffloadRequested | RevertRequested:
    if what == "offload":
        return OffloadRequested(pair, tenant, "bench", 0.0, time.time())
    return RevertRequested(pair, tenant, "bench", time.time())
