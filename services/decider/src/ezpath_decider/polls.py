"""Which of a switch's samples count: one collector's, in order, each once.

Pure. A sample that counts says how many seconds its counters grew; one that begins anew says only where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ezpath.samples import FlowSample

PATIENCE = 1.5
"""A collector that is silent for so many of its intervals is given up for another one that reports."""
USUAL_INTERVAL_S = 1.0


class Ignored(Enum):
    """Why a sample does not count."""

    LATE = "late or repeated"
    SECOND = "another collector reports this switch"


@dataclass(slots=True)
class Polls:
    """What is known of one switch's polls. ``number`` counts those that were taken."""

    number: int = 0
    heard_at: float = 0.0
    """When a sample last told how much its counters had grown; 0 before that."""
    collector: str = ""
    term: int = 0
    sequence: int = 0
    monotonic_ns: int = 0
    wall_ns: int = 0
    interval_s: float = USUAL_INTERVAL_S
    taken_at: float = 0.0

    def take(self, sample: FlowSample, now: float) -> float | Ignored:
        """The seconds that ``sample`` covers, 0.0 where it is only a start to count from, or why it is ignored."""
        seconds = self._seconds(sample, now)
        if isinstance(seconds, Ignored):
            return seconds
        self.number += 1
        self.collector, self.term = sample.collector, sample.term
        self.sequence, self.monotonic_ns, self.wall_ns = sample.sequence, sample.monotonic_ns, sample.wall_ns
        self.taken_at = now
        if seconds > 0:
            self.interval_s, self.heard_at = seconds, now
        return seconds

    def _seconds(self, sample: FlowSample, now: float) -> float | Ignored:
        if not self.number:
            return 0.0
        if sample.collector != self.collector:
            # Two clocks cannot be compared: the new one's first sample is a start only.
            if sample.term > self.term:
                return 0.0
            patience_s = PATIENCE * self.interval_s
            return 0.0 if now - self.taken_at > patience_s else Ignored.SECOND
        passed_ns = sample.monotonic_ns - self.monotonic_ns
        if sample.sequence > self.sequence and passed_ns > 0:
            return passed_ns / 1e9
        # Either this is an old sample, or the collector started anew under its old name (a container's does).
        return 0.0 if sample.wall_ns > self.wall_ns else Ignored.LATE
