"""What a simulation counts of each policy, and what it makes of that. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ezpath_decider.columns import F64


@dataclass(slots=True)
class Tally:
    """Of one policy, by round."""

    policy: str
    at: list[float] = field(default_factory=list)
    packets: list[float] = field(default_factory=list)
    """Carried by the switches …"""
    all_packets: list[float] = field(default_factory=list)
    """… of so many."""
    octets: list[float] = field(default_factory=list)
    all_octets: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    """Flows switched over, there and back."""
    table_use: list[float] = field(default_factory=list)
    """Entries held, as part of the budget."""
    refusals: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    decide_s: list[float] = field(default_factory=list)

    def carried(self, at: float, carried: tuple[float, float], everything: tuple[float, float]) -> None:
        """In the interval up to ``at``: packets and octets."""
        self.at.append(at)
        self.packets.append(carried[0])
        self.octets.append(carried[1])
        self.all_packets.append(everything[0])
        self.all_octets.append(everything[1])

    def summary(self, warm_up_s: float) -> Summary:
        """Over the time after the warm-up."""
        counted = np.array(self.at) > warm_up_s
        if not counted.any():
            raise ValueError(f"the warm-up of {warm_up_s:g} s leaves nothing of {max(self.at, default=0):g} s to count")

        def total(column: list[float] | list[int]) -> float:
            return float(np.array(column, np.float64)[counted].sum()) if column else 0.0

        seconds = float(np.array(self.at)[counted].max() - warm_up_s)
        return Summary(
            policy=self.policy,
            packets=total(self.packets) / max(1.0, total(self.all_packets)),
            octets=total(self.octets) / max(1.0, total(self.all_octets)),
            moves_s=total(self.moves) / seconds,
            table_use=total(self.table_use) / np.count_nonzero(counted),
            refusals=int(total(self.refusals)),
            decide_ms=1000 * total(self.decide_s) / np.count_nonzero(counted),
        )

    def share(self) -> F64:
        """Packets carried by the switches, round by round, as part of all."""
        shares: F64 = np.array(self.packets) / np.maximum(1.0, np.array(self.all_packets))
        return shares


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the result."""

    policy: str
    packets: float
    """Part of all packets between hosts that the switches carried."""
    octets: float
    moves_s: float
    """Flows switched over each second, there and back."""
    table_use: float
    refusals: int
    decide_ms: float
