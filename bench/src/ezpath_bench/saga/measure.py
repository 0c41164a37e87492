"""The three measurements. Each leaves the network as it found it: what it offloaded is reverted in the end."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ezpath.names import Tenant

from ezpath_bench.saga.legs import Legs
from ezpath_bench.saga.load import Load, Pairs, Wave
from ezpath_bench.saga.network import Network
from ezpath_bench.saga.proxy import Proxy
from ezpath_bench.saga.shares import OTHERS, Shares
from ezpath_bench.saga.tables import use

UNDER_WAY = 1500
"""Sagas that are open at a time where the most are to end a second."""
STEADY_RATE = 100.0
VICTIM_RATE = 10.0
SLOW_S = 10.0
RECOVERY_S = 90.0
FAULTS = ("none", "slow", "dead")
"""Of the last rack's switch: answers come :data:`SLOW_S` late, or nothing comes through."""


class NotMeasured(Exception):
    """Something did not come to its end; the message says what."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Sagas that came to their end a second."""

    offload: float
    revert: float
    pairs: int
    shares: Mapping[str, float]
    """Cores in use while offloading, by process."""
    racks: int
    """Among which they were."""
    entries: int
    """On the fullest ToR when all were active, …"""
    room: int
    """… and how many its table holds."""

    @property
    def most(self) -> float:
        """Offloads a second if this machine's cores did nothing else, and each offload cost what it did here."""
        ours = sum(share for kind, share in self.shares.items() if kind != OTHERS)
        return self.offload * (os.cpu_count() or 1) / ours


@dataclass(slots=True)
class Latencies:
    """Milliseconds from request to outcome."""

    values: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    legs: Legs = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    """Cores in use meanwhile, by process."""

    def percentile(self, share: float) -> float:
        """The smallest value that ``share`` of all do not pass; infinite where more than the rest failed."""
        return percentile(self.values + [math.inf] * len(self.failed), share)

    def add(self, wave: Wave) -> None:
        self.values += wave.latencies_ms
        self.failed += wave.failed.values()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them do not pass."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf


class Measurements:
    """On a network that is up."""

    def __init__(self, network: Network, load: Load, proxy: Proxy, shares: Shares) -> None:
        self._network = network
        self._load = load
        self._proxy = proxy
        self._shares = shares
        self._used: Counter[tuple[int, int]] = Counter()

    async def rates(self, count: int) -> Rates:
        """As many as will go, among all racks but the last."""
        racks = self._network.all_racks()[:-1]
        pairs = self._among([rack.number for rack in racks], count)
        self._shares.begin()
        wave = await self._load.at_once(pairs, "offload", UNDER_WAY)
        shares = self._shares.read()
        _check(wave, count)
        full = await use(racks)
        back = await self._load.at_once(pairs, "revert", len(pairs) + UNDER_WAY)
        _check(back, count)
        return Rates(wave.rate, back.rate, count, shares, len(racks), full.entries, full.room)

    async def latencies(self, seconds: float) -> Latencies:
        """At :data:`STEADY_RATE`."""
        began = time.time()
        self._shares.begin()
        wave = await self._load.steadily(self._pairs(1, 2, round(STEADY_RATE * seconds)), "offload", STEADY_RATE)
        await self._ended(wave)
        found = Latencies(shares=self._shares.read(), legs=await self._load.legs(began))
        found.add(wave)
        await self._back([wave])
        return found

    async def isolation(self, rounds: int, seconds: float) -> dict[str, Latencies]:
        """Of pairs whose racks are well, by what ails a third rack's switch; in turn, ``seconds`` each."""
        found = {fault: Latencies() for fault in FAULTS}
        for number in range(rounds):
            for fault in FAULTS if number % 2 == 0 else reversed(FAULTS):
                found[fault].add(await self._window(fault, seconds))
        return found

    async def _window(self, fault: str, seconds: float) -> Wave:
        well, victims = Wave(), Wave()
        self._proxy.delay_s, self._proxy.hole = (SLOW_S if fault == "slow" else 0.0), fault == "dead"
        await asyncio.gather(
            self._load.steadily(self._pairs(1, 2, round(STEADY_RATE * seconds)), "offload", STEADY_RATE, well),
            self._load.steadily(
                self._pairs(1, self._network.racks, round(VICTIM_RATE * seconds)), "offload", VICTIM_RATE, victims
            ),
        )
        await self._ended(well)
        self._proxy.delay_s, self._proxy.hole = 0.0, False
        await self._ended(victims)
        await self._back([well, victims])
        return well

    async def _ended(self, wave: Wave) -> None:
        if not await self._load.settled(wave, RECOVERY_S):
            raise NotMeasured(
                f"{wave.open} of {len(wave.asked)} sagas had no outcome {RECOVERY_S:.0f} s after the last"
            )

    async def _back(self, waves: Sequence[Wave]) -> None:
        pairs = [(pair, Tenant(pair.partition(".")[0])) for wave in waves for pair in wave.ended]
        _check(await self._load.at_once(pairs, "revert", len(pairs) + UNDER_WAY), len(pairs))

    def _among(self, racks: Sequence[int], count: int) -> Pairs:
        """Between each rack and the next one, in turn."""
        couples = list(pairwise(racks))
        shares = [self._pairs(one, other, -(-count // len(couples))) for one, other in couples]
        return [pair for turn in zip(*shares, strict=True) for pair in turn][:count]

    def _pairs(self, one: int, other: int, count: int) -> Pairs:
        """Pairs that were not used yet, from the beginning again when all were."""
        skip = self._used[(one, other)]
        pairs = self._network.pairs(one, other, skip, count)
        self._used[(one, other)] += count
        if len(pairs) < count:
            raise NotMeasured(
                f"there are no {skip + count} pairs between two racks of {self._network.endpoints} endpoints"
            )
        return pairs


def _check(wave: Wave, count: int) -> None:
    if len(wave.ended) != count:
        pair, reason = next(iter(wave.failed.items()), ("none of them", "no outcome"))
        raise NotMeasured(f"{len(wave.ended)} of {count} sagas ended as was asked. {pair}: {reason}")
