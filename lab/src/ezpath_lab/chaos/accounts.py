"""What a run of chaos comes to: rounds, faults, switch-overs, packets, and what was violated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ezpath_lab.chaos.ledger import Account

EXCESS = 1.25
"""Loss in outages with EZPath at work may be this many times that with EZPath idle …"""
REACTION_S = 3.0
"""… and what the pairs concerned send in so many seconds for each outage: until its writer has put things back."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept, and where to look."""

    round: int
    what: str
    detail: str

    def __str__(self) -> str:
        return f"round {self.round}: {self.what}: {self.detail}"


@dataclass(slots=True)
class Outage:
    """One interruption of traffic by a ToR or an Open vSwitch itself, and what it cost."""

    kind: str
    target: str
    down_s: float
    """Until what passes there without EZPath passed again."""
    seconds: float
    """Until everything was as it should be."""
    lost: int
    streams_rate: float
    """Packets a second that pass there, all streams together, both ways."""


@dataclass(slots=True)
class Report:
    """All of it, growing with each round."""

    seed: int
    minutes: float
    rounds: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    """By service and moment."""
    kills_too_late: int = 0
    copies: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    rolled_back: dict[str, int] = field(default_factory=dict)
    packets: Account = field(default_factory=Account)
    overlay: Account = field(default_factory=Account)
    """Before EZPath is asked for anything."""
    idle: Account = field(default_factory=Account)
    """The same outages, with EZPath idle."""
    outages: list[Outage] = field(default_factory=list)
    idle_outages: list[Outage] = field(default_factory=list)
    orphans: int = 0
    died: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @property
    def switch_overs(self) -> int:
        return self.outcomes.get("active", 0) + self.outcomes.get("reverted", 0)

    @property
    def passed(self) -> bool:
        return not self.violations and self.packets.sent > 0 and self.rounds > 0

    def as_json(self) -> dict[str, object]:
        body = asdict(self)
        return body | {
            "passed": self.passed,
            "switch_overs": self.switch_overs,
            "faults_total": sum(self.faults.values()),
            "violations": [str(violation) for violation in self.violations],
        }


def excess(with_ezpath: Sequence[Outage], idle: Sequence[Outage]) -> str:
    """Why the loss in outages is more than the outages' own, with EZPath idle, explains; empty where it is not.

    Both ran the same outages, in the same order. One that took longer to come back, for the machine had other work,
    may lose more in proportion.
    """
    if len(with_ezpath) != len(idle):
        return f"{len(with_ezpath)} outages with EZPath at work, {len(idle)} with it idle: nothing to compare"
    allowed = sum(
        EXCESS * b.lost * max(1.0, a.down_s / b.down_s) + REACTION_S * a.streams_rate
        for a, b in zip(with_ezpath, idle, strict=True)
    )
    lost = sum(outage.lost for outage in with_ezpath)
    if lost <= allowed:
        return ""
    return (
        f"{lost} packets lost in outages with EZPath at work, {sum(o.lost for o in idle)} idle; {allowed:.0f} allowed"
    )


def by_kind(outages: Sequence[Outage]) -> Mapping[str, tuple[int, float, int]]:
    """Kind to number, mean seconds and packets lost."""
    found: dict[str, tuple[int, float, int]] = {}
    for kind in dict.fromkeys(outage.kind for outage in outages):
        these = [outage for outage in outages if outage.kind == kind]
        found[kind] = (len(these), sum(o.seconds for o in these) / len(these), sum(o.lost for o in these))
    return found
