"""What breaks, when, and in which round: all of it from one seed. Pure.

Every kind has a deck of cards: each target, and for services each moment of a saga, once. A deck is shuffled and dealt
to its end before it is shuffled again, so that nothing is left out however short the luck.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Kind = Literal[
    "kill",
    "grpc-cut",
    "duplicates",
    "partition",
    "clock-jump",
    "bus-restart",
    "disk-full",
    "tor-restart",
    "tor-empty",
    "ovs-restart",
]
When = Literal["before", "after"]

WEIGHTS: Mapping[Kind, int] = {
    "kill": 34,
    "grpc-cut": 18,
    "duplicates": 18,
    "clock-jump": 14,
    "partition": 8,
    "bus-restart": 3,
    "tor-restart": 3,
    "disk-full": 2,
}
"""Of a hundred faults that fall among each other. Outages are apart: :data:`OUTAGES`."""
OUTAGES: tuple[Kind, ...] = ("tor-empty", "ovs-restart")
"""What interrupts traffic by itself: one at a time, at the end of a round, its loss accounted apart."""
KINDS: tuple[Kind, ...] = (*WEIGHTS, *OUTAGES)
PHASES = (
    "switch-receive",
    "switch-send",
    "host-receive",
    "host-send",
    "active",
    "host-send-off",
    "drain",
    "host-receive-off",
    "switch-off",
    "reverted",
)
"""The steps of a saga that services are killed before and after."""
DAY_S = 86_400.0
Card = TypeVar("Card")


@dataclass(frozen=True, slots=True)
class Moment:
    """Before or after some saga's step; whichever pair gets there first."""

    when: When
    phase: str

    def __str__(self) -> str:
        return f"{self.when} {self.phase}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken once."""

    number: int
    kind: Kind
    target: str
    at_s: float
    """From the start of its round; outages come when all else has been done."""
    size: float
    """Kill, restart: seconds until it is started again. Partition, full disk: how long. Cut: bytes that still get
    through. Clock: seconds forward or back. Duplicates: how many messages are repeated."""
    moment: Moment | None = None
    silent: bool = False
    """A partition that swallows everything, instead of closing connections."""

    def __str__(self) -> str:
        details = [str(self.moment)] if self.moment else []
        details.append(f"{self.size:+.0f} s" if self.kind == "clock-jump" else _UNITS[self.kind].format(self.size))
        if self.kind == "partition":
            details.append("silent" if self.silent else "closed")
        return f"{self.kind} {self.target} ({', '.join(details)})"


_UNITS: Mapping[Kind, str] = {
    "kill": "down {:.1f} s",
    "grpc-cut": "after {:.0f} bytes",
    "duplicates": "{:.0f} messages",
    "partition": "{:.1f} s",
    "bus-restart": "down {:.1f} s",
    "disk-full": "{:.1f} s",
    "tor-restart": "down {:.1f} s",
    "tor-empty": "down {:.1f} s",
    "ovs-restart": "down {:.1f} s",
}


@dataclass(frozen=True, slots=True)
class Round:
    """Faults that fall among each other while tunnels move, then at most one outage. Then all is checked."""

    number: int
    faults: tuple[Fault, ...]
    outage: Fault | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """What there is to break."""

    services: tuple[str, ...]
    switches: tuple[str, ...]
    hosts: tuple[str, ...]
    servers: tuple[str, ...] = ("nats-server",)
    """Of NATS."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How dense faults are."""

    faults: int = 16
    """A round."""
    seconds: float = 8.0
    """Over which they fall."""
    outage_every: int = 3
    """Rounds from one outage to the next."""


USUAL = Rate()


def rounds(seed: int, targets: Targets, kinds: Sequence[Kind] = KINDS, rate: Rate = USUAL) -> Iterator[Round]:
    """Round after round, for ever. The same arguments give the same rounds."""
    dice = random.Random(seed)
    cards = {kind: _deck(_cards(kind, targets), dice) for kind in KINDS}
    mixed = _deck([kind for kind, weight in WEIGHTS.items() if kind in kinds for _ in range(weight)], dice)
    outages = _deck([kind for kind in OUTAGES if kind in kinds], dice)
    numbers = itertools.count(1)
    for number in itertools.count(1):
        times = sorted(round(dice.uniform(0, rate.seconds), 2) for _ in range(rate.faults))
        faults = [_fault(next(numbers), kind, at_s, cards, dice) for at_s in times if (kind := next(mixed, None))]
        due = number % rate.outage_every == 0
        outage = next(outages, None) if due else None
        yield Round(number, tuple(faults), _fault(next(numbers), outage, 0.0, cards, dice) if outage else None)


def _deck(cards: Sequence[Card], dice: random.Random) -> Iterator[Card]:
    """All cards, shuffled, again and again; nothing where there are none."""
    while cards:
        dealt = list(cards)
        dice.shuffle(dealt)
        yield from dealt


def _cards(kind: Kind, targets: Targets) -> list[tuple[str, Moment | None]]:
    """What the faults of ``kind`` have to choose from."""
    match kind:
        case "kill":
            moments = [Moment(when, phase) for phase in PHASES for when in _WHENS]
            return [(service, moment) for service in targets.services for moment in moments]
        case "partition" | "clock-jump":
            return [(service, None) for service in targets.services]
        case "grpc-cut" | "tor-restart" | "tor-empty":
            return [(switch, None) for switch in targets.switches]
        case "ovs-restart":
            return [(host, None) for host in targets.hosts]
        case "duplicates":
            return [(subject, None) for subject in ("command", "report", "decision")]
        case "bus-restart" | "disk-full":
            return [(server, None) for server in targets.servers]


_WHENS: tuple[When, ...] = ("before", "after")
_SIZES: Mapping[Kind, Callable[[random.Random], float]] = {
    "kill": lambda dice: dice.choice((0.0, 0.0, 0.3, 1.5)),
    "grpc-cut": lambda dice: float(dice.randint(1, 700)),
    "duplicates": lambda dice: float(dice.randint(10, 40)),
    "partition": lambda dice: dice.choice((0.5, 1.5, 3.0, 6.0)),
    "clock-jump": lambda dice: dice.choice((-1, 1)) * dice.choice((1.0, 60.0, 3600.0, DAY_S, 30 * DAY_S)),
    "bus-restart": lambda dice: dice.choice((0.0, 0.5, 2.0)),
    "disk-full": lambda dice: dice.choice((1.0, 2.0)),
    "tor-restart": lambda dice: dice.choice((0.0, 1.0)),
    "tor-empty": lambda dice: dice.choice((0.0, 1.0)),
    "ovs-restart": lambda dice: dice.choice((0.0, 0.5)),
}


def _fault(
    number: int, kind: Kind, at_s: float, cards: Mapping[Kind, Iterator[tuple[str, Moment | None]]], dice: random.Random
) -> Fault:
    target, moment = next(cards[kind])
    return Fault(number, kind, target, at_s, _SIZES[kind](dice), moment, silent=dice.random() < 0.5)
