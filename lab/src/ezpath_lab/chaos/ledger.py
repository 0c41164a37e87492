"""Whose packet is missing, and whose fault it is. Pure, standard library only: it also runs in the containers.

A sender numbers its packets and remembers when it sent each. A receiver remembers the numbers it saw. At a mark both
are brought together: what was sent before the mark and not seen is lost, and the time it was sent says whether a switch
or an Open vSwitch was down just then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ezpath_lab.probe import decode

Range = tuple[int, int]
"""First and last number of a run of packets."""


@dataclass(slots=True)
class Seen:
    """What one receiver saw since the last mark."""

    received: int = 0
    duplicated: int = 0
    late: int = 0
    """Came after it had been counted as lost."""
    reordered: int = 0
    foreign: int = 0
    foreign_senders: tuple[str, ...] = ()
    delay_us_max: int = 0
    missing: tuple[Range, ...] = ()


@dataclass(slots=True)
class Receiver:
    """Keeps numbers from mark to mark; whatever is not of the expected sender is foreign."""

    expected: str
    met: bool = False
    _mark: int = 0
    _numbers: set[int] = field(default_factory=set)
    _lost: set[int] = field(default_factory=set)
    _strangers: set[str] = field(default_factory=set)
    _highest: int = -1
    _now: Seen = field(default_factory=Seen)

    def take(self, payload: bytes, now_ns: int) -> None:
        """Count one packet."""
        probe = decode(payload)
        if probe is None or probe.sender != self.expected:
            self._now.foreign += 1
            self._strangers.add(probe.sender if probe else "unknown")
            return
        self.met = True
        if probe.hello:
            return
        number = probe.sequence
        if number in self._lost:
            self._lost.discard(number)
            self._now.late += 1
        elif number < self._mark or number in self._numbers:
            self._now.duplicated += 1
        else:
            self._numbers.add(number)
            self._now.received += 1
            self._now.delay_us_max = max(self._now.delay_us_max, (now_ns - probe.sent_ns) // 1000)
            if number < self._highest:
                self._now.reordered += 1
            self._highest = max(self._highest, number)

    def settle(self, mark: int) -> Seen:
        """What became of the numbers below ``mark``, and of everything that came since the last mark."""
        missing = [number for number in range(self._mark, mark) if number not in self._numbers]
        self._lost.update(missing)
        self._numbers = {number for number in self._numbers if number >= mark}
        self._mark = mark
        seen, self._now = self._now, Seen()
        seen.missing = ranges(missing)
        seen.foreign_senders, self._strangers = tuple(sorted(self._strangers)), set()
        return seen


def ranges(numbers: Iterable[int]) -> tuple[Range, ...]:
    """Ascending numbers as runs."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return tuple((first, last) for first, last in found)


@dataclass(frozen=True, slots=True)
class Window:
    """From the moment something that carries traffic was taken down until it was as it should be again."""

    what: str
    pairs: frozenset[str]
    """Whose packets pass there."""
    from_ns: int
    """CLOCK_MONOTONIC, as packets have it."""
    to_ns: int

    def covers(self, pair: str, sent_ns: int) -> bool:
        return pair in self.pairs and self.from_ns <= sent_ns <= self.to_ns


@dataclass(slots=True)
class Account:
    """Packets of one round, or of all."""

    sent: int = 0
    lost: int = 0
    """While nothing that carries traffic was down."""
    excused: dict[str, int] = field(default_factory=dict)
    """Lost in a window, by what was down."""
    duplicated: int = 0
    late: int = 0
    reordered: int = 0
    foreign: int = 0
    refused: int = 0
    """A sender's own kernel did not take it: not sent."""
    delay_us_max: int = 0

    def add(self, other: Account) -> None:
        for name in ("sent", "lost", "duplicated", "late", "reordered", "foreign", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for what, count in other.excused.items():
            self.excused[what] = self.excused.get(what, 0) + count
        self.delay_us_max = max(self.delay_us_max, other.delay_us_max)


@dataclass(frozen=True, slots=True)
class Loss:
    """A packet that never came."""

    pair: str
    sender: str
    number: int
    sent_ns: int

    def __str__(self) -> str:
        return f"{self.sender} number {self.number}, sent at {self.sent_ns / 1e9:.3f}"


def judged(losses: Iterable[Loss], windows: Sequence[Window]) -> tuple[list[Loss], dict[str, int]]:
    """Losses that nothing excuses, and how many each kind of window excuses."""
    unexcused: list[Loss] = []
    excused: dict[str, int] = {}
    for loss in losses:
        window = next((window for window in windows if window.covers(loss.pair, loss.sent_ns)), None)
        if window is None:
            unexcused.append(loss)
        else:
            excused[window.what] = excused.get(window.what, 0) + 1
    return unexcused, excused
