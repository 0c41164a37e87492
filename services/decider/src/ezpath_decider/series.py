"""Time series per pair of endpoints, built from the switches' flow samples.

Pure: no clock of its own. Samples bring the collector's monotonic clock, rounds bring ``now``. A flow is seen by every
ToR on its way and counted once: by its sender's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from ezpath.events import FlowSample
from ezpath.inventory import Inventory, Pair
from ezpath.names import Mac, PairId, SwitchName, Vni, mac_to_int


@dataclass(frozen=True, slots=True)
class Rate:
    """Both directions together."""

    bits_s: float = 0.0
    packets_s: float = 0.0

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.bits_s + other.bits_s, self.packets_s + other.packets_s)


@dataclass(slots=True)
class _Switch:
    """What one switch said last."""

    collector: str
    sequence: int
    monotonic_ns: int
    counted: dict[tuple[int, int, int], tuple[int, int]]
    """(VNI, source, destination) to (packets, bytes) so far."""
    rates: dict[tuple[int, int, int], Rate] = field(default_factory=dict)
    heard_at: float = 0.0


class Series:
    """The rates of all flows. Feed it samples; ask it for pairs."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._switches: dict[SwitchName, _Switch] = {}
        self._endpoints = {(e.vni, mac_to_int(e.mac)): e for e in inventory.endpoints.values()}

    def add(self, sample: FlowSample, now: float) -> bool:
        """Take a sample in. False where it is late, repeated or of an unknown switch, and changes nothing."""
        if sample.switch not in self._inventory.switches:
            return False
        counted = _counted(sample)
        last = self._switches.get(sample.switch)
        if last is None or last.collector != sample.collector:
            # Another collector's clock cannot be compared with the one before: begin anew from its counters.
            rates = last.rates if last else {}
            heard = last.heard_at if last else 0.0
            self._switches[sample.switch] = _Switch(
                sample.collector, sample.sequence, sample.monotonic_ns, counted, rates, heard
            )
            return True
        seconds = (sample.monotonic_ns - last.monotonic_ns) / 1e9
        if sample.sequence <= last.sequence or seconds <= 0:
            return False
        last.rates = {flow: _rate(last.counted.get(flow), count, seconds) for flow, count in counted.items()}
        last.sequence, last.monotonic_ns, last.counted, last.heard_at = (
            sample.sequence,
            sample.monotonic_ns,
            counted,
            now,
        )
        return True

    def pairs(self) -> Iterator[tuple[Pair, Rate, float]]:
        """Each pair that a monitor holds: the pair, its rate, and when its switches were last heard (the older).

        Flows whose addresses are not in the inventory are nobody's to move and are left out.
        """
        directions: dict[PairId, tuple[Pair, dict[Mac, Rate]]] = {}
        for switch, last in self._switches.items():
            for (vni, src, dst), rate in last.rates.items():
                one, other = self._endpoints.get((Vni(vni), src)), self._endpoints.get((Vni(vni), dst))
                if one is None or other is None or one == other:
                    continue
                pair = self._inventory.pair(one, other)
                _, seen = directions.setdefault(pair.id, (pair, {}))
                # The sender's own ToR has the word; another's counts only where that one has no cell for the flow.
                # (The larger of the two would turn the jitter of two collectors' clocks into a bias.)
                if self._inventory.switch_of(one).name == switch or one.mac not in seen:
                    seen[one.mac] = rate
        for pair, seen in directions.values():
            yield pair, sum(seen.values(), Rate()), self.heard(pair)

    def heard(self, pair: Pair) -> float:
        """When both switches of ``pair`` had last been heard; 0 before that."""
        names = {self._inventory.switch_of(end).name for end in (pair.a, pair.b)}
        return min(self._switches[name].heard_at if name in self._switches else 0.0 for name in names)


def _counted(sample: FlowSample) -> dict[tuple[int, int, int], tuple[int, int]]:
    columns = np.stack([sample.vni, sample.src, sample.dst, sample.packets, sample.bytes], axis=1)
    return {(vni, src, dst): (packets, octets) for vni, src, dst, packets, octets in columns.tolist()}


def _rate(before: tuple[int, int] | None, now: tuple[int, int], seconds: float) -> Rate:
    """The rate between two counts. A flow that is new, or lost its cell and is back, counts from zero.

    So does one whose counter wrapped (48 bits of bytes, 40 of packets): too little once in days, never too much.
    """
    packets0, octets0 = before or (0, 0)
    packets1, octets1 = now
    if octets1 < octets0 or packets1 < packets0:
        packets0, octets0 = 0, 0
    return Rate((octets1 - octets0) * 8 / seconds, (packets1 - packets0) / seconds)
