"""Packets for the flow monitor's benchmark: heavy-tailed, from a seed, one second at a time.

``flows`` flows are alive at any moment, their packet rates by Zipf's law. All the time some end, heavy ones as likely
as light ones, and new ones take their ranks. A flow sends trains of packets, and mostly large or mostly small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
_Function = TypeVar("_Function", bound=Callable[..., Any])

TENANTS = 100
ENDPOINTS = 4096
"""Of each tenant. Addresses are counted up, as a cluster hands them out: a hash has to cope with that."""
FIRST_VNI, FIRST_MAC = 5000, 0x02_00_00_00_00_00
SLICES = 10
"""Of a second. Flows end between two: not only when somebody polls."""
MEAN_TRAIN = 3
"""Packets that a flow sends back to back, on average (geometric)."""
LARGE_OCTETS, SMALL_OCTETS, SPREAD_OCTETS = 1350, 64, 128
"""Frames are of one of two sizes, give or take the spread."""
LARGE_OF_1000 = (50, 50, 500, 950, 950)
"""Large frames in a thousand, by kind of flow: acknowledgements, mixed, bulk."""


def compiled(function: _Function) -> _Function:
    """numba's njit, with the types kept."""
    result: _Function = numba.njit(function)
    return result


@dataclass(frozen=True, slots=True)
class Trace:
    """What to generate. The same values give the same packets on every machine. ``packets_s``: a multiple of SLICES."""

    flows: int
    skew: float
    seconds: int
    packets_s: int
    churn: float
    """Part of the flows that end each second."""
    seed: int

    @property
    def ever(self) -> int:
        """Flows over the whole trace, those that took another's place included."""
        return self.flows + self.seconds * SLICES * self.ending

    @property
    def ending(self) -> int:
        """Flows that end after each slice."""
        return int(self.churn * self.flows / SLICES)


@dataclass(frozen=True, slots=True, eq=False)
class Second:
    """The packets of one second, in order."""

    flows: Integers
    octets: Integers
    times_us: Integers


def seconds(trace: Trace) -> Iterator[Second]:
    """All packets of ``trace``."""
    random = np.random.default_rng(trace.seed)
    probability, alias = alias_table(np.arange(1, trace.flows + 1, dtype=np.float64) ** -trace.skew)
    alive = random.permutation(trace.flows)
    kinds = np.array(LARGE_OF_1000, dtype=np.int64)[random.integers(0, len(LARGE_OF_1000), trace.ever)]
    state = np.array([random.integers(1, 1 << 63)], dtype=np.uint64)
    born = trace.flows
    spaced_us = np.arange(trace.packets_s, dtype=np.int64) * 1_000_000 // trace.packets_s
    for number in range(trace.seconds):
        slices = []
        for _ in range(SLICES):
            slices.append(_draw(trace.packets_s // SLICES, probability, alias, alive, kinds, state))
            alive[random.integers(0, trace.flows, trace.ending)] = np.arange(born, born + trace.ending)
            born += trace.ending
        flows, octets = (np.concatenate(part) for part in zip(*slices, strict=True))
        yield Second(flows, octets, number * 1_000_000 + spaced_us)


def keys(count: int) -> tuple[Integers, Integers, Integers]:
    """VNI, source and destination MAC of flows 0 to ``count``, all different."""
    flow = np.arange(count, dtype=np.int64)
    tenant, of_tenant = flow % TENANTS, flow // TENANTS
    src = of_tenant % ENDPOINTS
    dst = (src + 1 + of_tenant // ENDPOINTS) % ENDPOINTS
    return FIRST_VNI + tenant, FIRST_MAC + src, FIRST_MAC + dst


def hashes(vni: Integers, src: Integers, dst: Integers) -> Integers:
    """CRC-32 of each key's 15 bytes, as the P4 program calculates it."""
    return _hashes(_crc_table(), vni, src, dst)


def _crc_table() -> Integers:
    table = np.arange(256, dtype=np.int64)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ 0xEDB88320, table >> 1)
    return table


@compiled
def _hashes(table: Integers, vni: Integers, src: Integers, dst: Integers) -> Integers:
    out = np.empty(len(vni), np.int64)
    for flow in range(len(vni)):
        crc = 0xFFFFFFFF
        for value, octets in ((vni[flow], 3), (src[flow], 6), (dst[flow], 6)):
            for octet in range(octets - 1, -1, -1):
                crc = table[(crc ^ value >> 8 * octet) & 0xFF] ^ crc >> 8
        out[flow] = crc ^ 0xFFFFFFFF
    return out


@compiled
def alias_table(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], Integers]:
    """Vose's alias method: to draw i with a chance of its weight, take a column, and it or its alias."""
    count = len(weights)
    share = weights / weights.sum() * count
    probability, alias = np.ones(count), np.arange(count)
    small, large = np.empty(count, np.int64), np.empty(count, np.int64)
    smalls = larges = 0
    for index in range(count):
        if share[index] < 1:
            small[smalls] = index
            smalls += 1
        else:
            large[larges] = index
            larges += 1
    while smalls and larges:
        smalls -= 1
        less, more = small[smalls], large[larges - 1]
        probability[less], alias[less] = share[less], more
        share[more] -= 1 - share[less]
        if share[more] < 1:
            larges -= 1
            small[smalls] = more
            smalls += 1
    return probability, alias


@compiled
def _next(state: npt.NDArray[np.uint64]) -> np.int64:
    """Xorshift64*: 63 random bits."""
    value = state[0]
    value ^= value >> np.uint64(12)
    value ^= value << np.uint64(25)
    value ^= value >> np.uint64(27)
    state[0] = value
    return np.int64((value * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(1))


@compiled
def _draw(
    count: int,
    probability: npt.NDArray[np.float64],
    alias: Integers,
    alive: Integers,
    kinds: Integers,
    state: npt.NDArray[np.uint64],
) -> tuple[Integers, Integers]:
    flows, octets = np.empty(count, np.int64), np.empty(count, np.int64)
    flow = -1
    for packet in range(count):
        if flow < 0 or _next(state) % MEAN_TRAIN == 0:
            column = _next(state) % len(probability)
            chance = (_next(state) >> 10) / 9007199254740992.0
            flow = alive[column if chance < probability[column] else alias[column]]
        size = _next(state)
        large = size % 1000 < kinds[flow]
        flows[packet] = flow
        octets[packet] = (LARGE_OCTETS if large else SMALL_OCTETS) + (size >> 32) % SPREAD_OCTETS
    return flows, octets
