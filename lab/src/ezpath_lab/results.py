"""What a run found out: checks, packets by act, times. Pure; the table and ``summary.json`` are made from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ezpath_lab.workload import StreamResult, Tally


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be so."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(slots=True)
class Results:
    """Filled while the story is told."""

    datapath: str = ""
    setup_s: float = 0.0
    total_s: float = 0.0
    checks: list[Check] = field(default_factory=list)
    acts: dict[int, str] = field(default_factory=dict)
    streams: list[StreamResult] = field(default_factory=list)
    decision_to_active_ms: list[float] = field(default_factory=list)
    rates_bps: dict[str, dict[str, float]] = field(default_factory=dict)
    """By pair: ``overlay`` and ``switch``, measured at the receiving container."""
    rollback_reason: str = ""
    gaps: list[str] = field(default_factory=list)
    drops: dict[str, int] = field(default_factory=dict)
    """Drop counters anywhere in the lab that grew while streams ran."""

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def tally(self, act: int) -> Tally:
        """Packets of one act over all streams."""
        total = Tally()
        for stream in self.streams:
            if act in stream.acts:
                total.add(stream.acts[act])
        return total

    def summary(self) -> dict[str, Any]:
        """The machine-readable form."""
        return {
            "passed": self.passed,
            "datapath": self.datapath,
            "setup_s": round(self.setup_s, 2),
            "total_s": round(self.total_s, 2),
            "checks": [asdict(check) for check in self.checks],
            "acts": [
                {"act": name, **asdict(tally), "lost": tally.lost}
                for act, name in self.acts.items()
                if (tally := self.tally(act)).sent or tally.received
            ],
            "packets_sent": sum(self.tally(act).sent for act in self.acts),
            "packets_lost": sum(self.tally(act).lost for act in self.acts),
            "foreign": sum(stream.foreign for stream in self.streams),
            "refused": sum(stream.refused for stream in self.streams),
            "socket_drops": sum(stream.socket_drops for stream in self.streams),
            "decision_to_active_ms": {
                "count": len(self.decision_to_active_ms),
                "p50": percentile(self.decision_to_active_ms, 50),
                "p99": percentile(self.decision_to_active_ms, 99),
            },
            "rates_bps": self.rates_bps,
            "rollback_reason": self.rollback_reason,
            "gaps": self.gaps,
            "drop_counters": self.drops,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` that at least ``percent`` of them do not exceed; 0 for none."""
    if not values:
        return 0.0
    return round(sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1], 1)
