"""Two switches, or more, that are given the same: do they do the same? And if not, what is the least that shows it?"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from conformance.frames import Frames
from conformance.grammar import MOST_TAGS, tags
from conformance.parser import Branch, Parser
from conformance.shrink import Case, shrink
from conformance.states import States
from conformance.target import Target
from conformance.vector import Outcome, Vector

from p4rt import P4Info


@dataclass(frozen=True)
class Difference:
    """The minimal vector, with the first switch's outcome as what is expected, and each switch's own outcome."""

    vector: Vector
    outcomes: dict[str, Outcome]


@dataclass
class Tally:
    """What a run was made of: how much it means that there was no difference."""

    batches: int = 0
    packets: int = 0
    frames_out: int = 0
    flows: int = 0
    """In the monitor, after each batch."""
    unmonitored: int = 0
    monitors_once: int = 0
    """Differences of monitors alone that were not there when the batch was run again: an epoch ended in it."""
    frames_once: list[str] = field(default_factory=list)
    """The same of frames and drops. There is no reason for any."""
    drops: Counter[int] = field(default_factory=Counter)
    branches: Counter[Branch] = field(default_factory=Counter)


def cases(seed: int, info: P4Info, packets: int, batch: int, first: int = 0) -> Iterator[tuple[int, Case]]:
    """Batches of frames, each with a table state of its own. A batch depends on its number and the seed alone."""
    number = first
    while packets > 0:
        source = random.Random(f"{seed}/{number}")
        tables = States(source, info).state()
        frames = itertools.islice(Frames(source, tables), min(batch, packets))
        # Ordered by port: what comes in through two ports at once has no order that switches could agree on.
        sent = sorted(frames, key=lambda one: one[0])
        yield number, Case(tables, tuple(sent))
        packets -= len(sent)
        number += 1


class Differ:
    """Holds switches, with their programs loaded, against the first of them; with ``monitor`` their monitors too."""

    def __init__(self, targets: Sequence[Target], parser: Parser, *, monitor: bool) -> None:
        self._targets = targets
        self._parser = parser
        self._monitor = monitor
        self.tally = Tally()

    def check(self, name: str, case: Case) -> Difference | None:
        """The difference that the case shows, made small."""
        outcomes = self._outcomes(case, monitor=self._monitor)
        self._count(case, outcomes[0])
        if not _differ(outcomes):
            return None
        if self._differs(case):
            case, monitor = shrink(case, self._differs), False
        elif self._monitors_differ(case):
            case, monitor = shrink(case, self._monitors_differ), True
        else:
            self._count_once(name, outcomes)
            return None
        outcomes = self._outcomes(case, monitor=monitor)
        vector = Vector(name, case.sent, replace(outcomes[0], monitored={}), case.tables)
        names = [target.label for target in self._targets]
        return Difference(vector, dict(zip(names, outcomes, strict=True)))

    def _count_once(self, name: str, outcomes: Sequence[Outcome]) -> None:
        if _differ([replace(outcome, monitored={}) for outcome in outcomes]):
            self.tally.frames_once.append(name)
        else:
            self.tally.monitors_once += 1

    def _differs(self, case: Case) -> bool:
        return _is_comparable(case) and _differ(self._outcomes(case, monitor=False))

    def _monitors_differ(self, case: Case) -> bool:
        """Twice, for what a monitor holds depends on the clock too, where an epoch ends between two packets."""
        return _is_comparable(case) and all(_differ(self._outcomes(case, monitor=True)) for _ in range(2))

    def _outcomes(self, case: Case, *, monitor: bool) -> list[Outcome]:
        return [self._outcome(target, case, monitor=monitor) for target in self._targets]

    def _outcome(self, target: Target, case: Case, *, monitor: bool) -> Outcome:
        target.install(case.tables)
        if not monitor:
            return target.observe(case.sent)
        target.forget()
        outcome = target.observe(case.sent)
        return replace(outcome, monitored=target.monitored())

    def _count(self, case: Case, outcome: Outcome) -> None:
        self.tally.batches += 1
        self.tally.packets += len(case.sent)
        self.tally.frames_out += sum(len(frames) for frames in outcome.out.values())
        self.tally.flows += max(0, len(outcome.monitored) - 1)
        self.tally.unmonitored += outcome.monitored.get("unmonitored", 0)
        self.tally.drops.update({reason: packets for reason, (packets, _) in outcome.drops.items()})
        for _, frame in case.sent:
            self.tally.branches.update(self._parser.walk(frame).branches)


def _differ(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome != outcomes[0] for outcome in outcomes[1:])


def _is_comparable(case: Case) -> bool:
    return all(tags(frame) <= MOST_TAGS for _, frame in case.sent)
