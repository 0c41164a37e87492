"""A ToR whose table is smaller than anybody knows: the decider learns it, and uses what there is for the best.

All of it runs: the monitor's cells over P4Runtime to the collector, samples to the decider, sagas through both writers
to the ToR's tables and two Open vSwitches. Only the packets are missing: the test counts them into the cells itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from collector_rig import cell
from contract.ovs_machine import OvsMachine
from contract.services_rig import End, Services, running
from ezpath.bus import Bus
from ezpath.events import JsonEvent, OffloadRequested, RevertRequested, SagaOutcome
from ezpath.names import Mac, mac_to_int
from tor_server import ServerOnly

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(200)]

PAIRS = 5
ROOM = 6
"""Entries of the table ``endpoint``: a pair needs two."""
STAGE = "EzIngress.monitor.stage1"
BEAT_S = 0.2
POLICY = """
strategy: value
budget: {headroom: 0.34}
half_life_s: 1
retry_after_s: 0.2
"""
"""A third of the room is for moves only: so that of three pairs that fit two stay, and a better one can come first."""
QUIET_S = 4.0
"""Twenty rounds."""


def ends() -> list[End]:
    """red-aN on one host talks to red-bN on the other."""
    return [
        (f"red-{side}{number}", Mac(f"02:00:00:00:0{host}:0{number}"), f"h{host}")
        for number in range(1, PAIRS + 1)
        for side, host in (("a", 1), ("b", 2))
    ]


def pair(number: int) -> str:
    return f"red.red-a{number}.red-b{number}"


class Traffic:
    """Counts packets into the ToR's monitor. ``rates``: packets a second of each pair, both ways."""

    def __init__(self, tor: ServerOnly) -> None:
        self.rates = dict.fromkeys(range(1, PAIRS + 1), 0.0)
        self._tor = tor
        self._sent = Counter[int]()

    async def flow(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.05)
            now = time.monotonic()
            for number, rate in self.rates.items():
                self._sent[number] += round(rate * (now - last))
                self._write(number, self._sent[number])
            last = now

    def _write(self, number: int, packets: int) -> None:
        one, other = (mac_to_int(mac) for _, mac, _ in ends()[2 * number - 2 : 2 * number])
        cells = self._tor.plane.registers.get(STAGE)
        if cells is None or not packets:
            return
        for way, (source, target) in enumerate(((one, other), (other, one))):
            data = cell((5001, source, target), packets, packets * 1000)
            cells[2 * number + way] = np.frombuffer(data, np.uint8)


class Watch:
    """What is said of pairs, in its order, and what the ToR held meanwhile."""

    def __init__(self, tor: ServerOnly) -> None:
        self.events: list[JsonEvent] = []
        self.held: list[int] = []
        """Entries in the table, every few milliseconds."""
        self._tor = tor

    async def listen(self, bus: Bus) -> None:
        async for delivery in bus.follow(["ezpath.decision.>", "ezpath.saga.outcome.>"], 0):
            self.events.append(delivery.event)

    async def look(self) -> None:
        while True:
            self.held += [len(held) for name, held in self._tor.plane.tables.items() if name.endswith(".endpoint")]
            await asyncio.sleep(0.005)

    def outcomes(self, outcome: str) -> list[SagaOutcome]:
        return [each for each in self.events if isinstance(each, SagaOutcome) and each.outcome == outcome]

    def offloaded(self) -> set[str]:
        """The pairs that are on the ToR, by what was said."""
        now: set[str] = set()
        for event in self.events:
            if isinstance(event, SagaOutcome):
                now = now | {event.pair} if event.outcome == "active" else now - {event.pair}
        return now

    def when(self, true: Callable[[JsonEvent], bool], after: int) -> int:
        """The place of the first such event behind ``after``."""
        return next(place for place, event in enumerate(self.events) if place >= after and true(event))


@asynccontextmanager
async def small_tor(
    directory: Path, url: str, make_machine: Callable[[], OvsMachine], bus: Bus
) -> AsyncIterator[tuple[Services, Traffic, Watch]]:
    policy = directory / "policy.yaml"
    policy.write_text(POLICY)
    decider = ("--interval", str(BEAT_S), "--drain-s", "0.2", "--step-timeout-s", "30", "--policy", str(policy))
    options = {"collector": ("--interval", str(BEAT_S)), "decider": decider}
    async with running(directory, url, make_machine, ends(), {"endpoint": ROOM}, **options) as services:
        traffic, watch = Traffic(services.tor), Watch(services.tor)
        tasks = [asyncio.create_task(work) for work in (traffic.flow(), watch.listen(bus), watch.look())]
        try:
            yield services, traffic, watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_given_a_full_table_then_no_error_loop_and_the_cheapest_makes_room_for_a_better_one(
    tmp_path, nats_server, make_machine, bus
):
    async with small_tor(tmp_path, nats_server.url, make_machine, bus) as (services, traffic, watch):
        # given a table that is full, and nobody who knows
        traffic.rates |= {2: 400.0, 3: 800.0, 4: 1600.0}
        await services.until(lambda: watch.offloaded() == {pair(2), pair(3), pair(4)}, "three pairs fit", 60)

        # when one more becomes busy
        traffic.rates[1] = 200.0
        await services.until(lambda: watch.outcomes("rolled-back"), "the ToR refuses a pair", 60)
        (first, *_) = watch.outcomes("rolled-back")
        assert "switch:tor1" in first.reason and "RESOURCE_EXHAUSTED" in first.reason

        # then the best of them stay, with room to move in, and the ToR is not asked again and again
        best = {pair(3), pair(4)}
        await services.until(lambda: watch.offloaded() == best, "the two best pairs are on the ToR", 60)
        refused, said = len(watch.outcomes("rolled-back")), len(watch.events)
        await asyncio.sleep(QUIET_S)
        assert watch.events[said:] == []
        assert refused <= 2 * PAIRS and watch.held[-1] == 4

        # when another becomes busier than both
        said, looks = len(watch.events), len(watch.held)
        traffic.rates[5] = 8000.0
        await services.until(lambda: watch.offloaded() == {pair(4), pair(5)}, "it has the cheapest one's place", 60)

        # then it came before the cheapest one went, which was not asked to go before that
        came = watch.when(lambda event: isinstance(event, SagaOutcome) and event.outcome == "active", said)
        asked_to_go = watch.when(lambda event: isinstance(event, RevertRequested), said)
        assert isinstance(watch.events[came], SagaOutcome) and watch.events[came].pair == pair(5)
        assert watch.events[asked_to_go].pair == pair(3) and came < asked_to_go
        assert min(watch.held[looks:]) == 4 and max(watch.held) <= ROOM
        moved = [event.pair for event in watch.events[said:] if isinstance(event, OffloadRequested)]
        assert moved == [pair(5)] and len(watch.outcomes("rolled-back")) == refused

        # and what is installed is what ought to be, everywhere
        code, said_of_it, _ = await services.ezpath("diff")
        assert code == 0, said_of_it
