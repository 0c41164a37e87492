"""One switch, polled on time: cells in, a sample out. Each switch has its own; one that is slow keeps no other waiting.

Switches are polled at different moments of the interval: a collector of many would otherwise look at them all at once,
and find out about the last of them half an interval late. Where many are to begin at once, they take turns.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from zlib import crc32

import numpy as np
import structlog
from ezpath.bus import BusError
from ezpath.events import FlowSample
from ezpath.names import SwitchName

from ezpath_collector import cells
from ezpath_collector.metrics import PollMetrics
from ezpath_collector.source import NoProgram, Reading, RegisterSource, SourceError
from ezpath_collector.turns import Turns
from p4rt import P4RuntimeError

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 10.0
SAY_EVERY_S = 30.0
"""How often an unchanged complaint about a switch is repeated, seconds."""

Publish = Callable[[FlowSample], Awaitable[None]]


class Poller:
    """Runs until cancelled. ``make_source`` is called for each new connection."""

    def __init__(
        self,
        switch: SwitchName,
        make_source: Callable[[], RegisterSource],
        publish: Publish,
        collector: str,
        interval_s: float,
        term: int = 0,
        certain: Callable[[], bool] = lambda: True,
        metrics: PollMetrics | None = None,
        turns: Turns | None = None,
    ) -> None:
        """``term``: of the lease of the switch. ``certain``: whether nobody else can have it by now."""
        self._switch = switch
        self._metrics = metrics or PollMetrics()
        self._metrics.watch(switch)
        self._make_source = make_source
        self._publish = publish
        self._collector = collector
        self._interval_s = interval_s
        self._term = term
        self._certain = certain
        self._turns = turns or Turns()
        self._phase_s = crc32(switch.encode()) / 2**32 * interval_s
        self._sequence = 0
        self._previous_ns: int | None = None
        self._complaint = ""
        self._complained_at = float("-inf")
        self._log = structlog.get_logger().bind(switch=switch)

    async def run(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            before = self._sequence
            source = self._make_source()
            try:
                async with self._turns.mine():
                    await source.open()
                await self._poll(source)
            except NoProgram:
                self._complain("switch runs no program yet", "polled as soon as its writer has loaded one")
                backoff_s = FIRST_BACKOFF_S
            except (P4RuntimeError, SourceError, OSError, ValueError) as error:
                self._metrics.failed(self._switch)
                self._complain("switch not polled", str(error) or type(error).__name__)
            finally:
                await source.close()
            if self._sequence > before:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)

    async def _poll(self, source: RegisterSource) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._turns.mine():
                began = loop.time()
                await self._poll_once(source)
            await asyncio.sleep(max(0.0, self._next(began) - loop.time()))

    async def _poll_once(self, source: RegisterSource) -> None:
        began_ns = time.monotonic_ns()
        reading = await source.read()
        sample = self._sample(reading, began_ns)
        if self._complained_at > float("-inf") or sample.sequence == 1:
            self._log.info("switch polled", flows=len(sample.vni), interval_s=self._interval_s)
            self._complained_at = float("-inf")
        published = await self._send(sample)
        took_s = (time.monotonic_ns() - began_ns) / 1e9
        self._metrics.polled(sample, sum(map(len, reading.stages)), took_s, published)

    def _next(self, began: float) -> float:
        """The switch's next moment, half an interval away or more. What took too long is not made up for."""
        beats = math.ceil((began - self._phase_s) / self._interval_s + 0.5)
        return beats * self._interval_s + self._phase_s

    def _sample(self, reading: Reading, began_ns: int) -> FlowSample:
        # The cells were read somewhere in between: the middle is at most half a read away from each.
        ended_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        monotonic_ns = (began_ns + ended_ns) // 2
        wall_ns -= ended_ns - monotonic_ns
        flows = cells.decode(reading.stages)
        interval_s = 0.0 if self._previous_ns is None else (monotonic_ns - self._previous_ns) / 1e9
        self._previous_ns = monotonic_ns
        self._sequence += 1
        return FlowSample(
            switch=self._switch,
            sequence=self._sequence,
            monotonic_ns=monotonic_ns,
            wall_ns=wall_ns,
            interval_s=interval_s,
            vni=flows.vni,
            src=flows.src,
            dst=flows.dst,
            packets=flows.packets,
            bytes=flows.bytes,
            collector=self._collector,
            term=self._term,
            drops={str(reason): int(reading.drops[reason, 0]) for reason in np.flatnonzero(reading.drops[:, 0])},
        )

    async def _send(self, sample: FlowSample) -> bool:
        """Whether it went."""
        if not self._certain():
            self._complain("sample not published", "NATS does not know of this collector: another may have the switch")
            return False
        try:
            await self._publish(sample)
        except BusError as error:
            # The next poll's counters cover this one's time as well.
            self._complain("sample not published", str(error))
            return False
        return True

    def _complain(self, what: str, reason: str) -> None:
        now = time.monotonic()
        if what != self._complaint or now - self._complained_at > SAY_EVERY_S:
            self._complaint, self._complained_at = what, now
            self._log.warning(what, reason=reason, next="tried again")
