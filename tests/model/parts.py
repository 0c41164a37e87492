"""The parts of a state, each kept once and known by a number, and what can happen to each, worked out once.

A world has millions of states, but only some thousands of deciders and of targets. What a transition does to the few
parts that it touches is looked up here; ``explorer.py`` then only adds numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from ezpath.items import ReceiveRule, SendRule
from ezpath.names import PairId
from ezpath.saga import desired
from ezpath.saga.phases import REMOVES
from model.core import Core
from model.decider import Decider, Mail, Scenario, Turn
from model.packets import View
from model.relative import relative, top
from model.targets import NONE, Target, Verdict
from model.writers import Host

H = TypeVar("H", bound=Hashable)
NO_REPORT = -1
PILED_UP = 2
"""Commands of one pair that wait for a writer that is down. One more of the same would make no difference."""


class Numbers(Generic[H]):
    """Things by number."""

    def __init__(self) -> None:
        self.things: list[H] = []
        self._numbers: dict[H, int] = {}

    def of(self, thing: H) -> int:
        number = self._numbers.get(thing)
        if number is None:
            number = self._numbers[thing] = len(self.things)
            self.things.append(thing)
        return number


class TargetStep(NamedTuple):
    """What can happen to a target: how many faults it takes, the target then, the report that is sent."""

    faults: int
    then: int
    report: int
    label: str


class DeciderStep(NamedTuple):
    """What can happen to the decider: how many faults it takes, the decider then, what each target gets."""

    faults: int
    then: int
    mails: tuple[int, ...]
    asked: bool
    """Somebody asked for it: it does not happen by itself."""
    label: str


class Deadline(NamedTuple):
    """A saga's time may be over, unless somebody is about to answer."""

    pair: int
    """A bit."""
    asks_again: bool
    steps: list[DeciderStep]


class Parts:
    """All that one scenario is made of."""

    def __init__(self, scenario: Scenario, start: tuple[Decider, list[Target]]) -> None:
        self.core = Core(scenario)
        self.names = scenario.targets
        self.deciders: Numbers[Decider] = Numbers()
        self.targets: list[Numbers[Target]] = [Numbers() for _ in self.names]
        self.views: Numbers[View] = Numbers()
        self._scenario = scenario
        self._bits = {pair: 1 << number for number, pair in enumerate(scenario.pairs)}
        self._mails: Numbers[Mail] = Numbers()
        self._reports: Numbers[tuple[PairId, str, Verdict]] = Numbers()
        self.delivered: list[dict[tuple[int, int], int]] = [{} for _ in self.names]
        self._heard: dict[tuple[int, int], int] = {}
        self._checked: set[object] = set()
        decider, targets = start
        self.first = (self.deciders.of(decider), *(n.of(t) for n, t in zip(self.targets, targets, strict=True)))

    # ---- the decider --------------------------------------------------------

    def decider_steps(self, number: int, left: int) -> tuple[list[DeciderStep], list[Deadline]]:
        """All that can happen to it with ``left`` faults; that which waits for a deadline apart."""
        core, decider = self.core, self.deciders.things[number]
        if decider.running and decider.sagas not in self._checked:
            self._checked.add(decider.sagas)
            core.check(decider)
        asked = (*core.requests(decider, left), *core.changes(decider, left))
        steps = [self._step(turn, asked=True) for turn in asked]
        for turns in (core.progress(decider, left), core.rests(decider), core.crash(decider, left)):
            steps += [self._step(turn) for turn in turns]
        deadlines = [
            Deadline(self._bits[pair], phase in REMOVES, _once(self._step(turn) for turn in turns))
            for pair, phase, turns in core.deadlines(decider, left)
        ]
        return _once(steps), deadlines

    def _step(self, turn: Turn, *, asked: bool = False) -> DeciderStep:
        mail = dict(turn.mail)
        mails = tuple(self._mails.of(mail.get(name, Mail())) for name in self.names)
        return DeciderStep(turn.faults, self.deciders.of(turn.decider), mails, asked, turn.label)

    def hear(self, decider: int, report: int) -> int:
        """The decider after a writer's report."""
        key = (decider, report)
        then = self._heard.get(key)
        if then is None:
            heard = self.core.hear(self.deciders.things[decider], *self._reports.things[report])
            then = self._heard[key] = self.deciders.of(heard)
        return then

    # ---- a target -----------------------------------------------------------

    def target_steps(self, index: int, number: int, left: int) -> list[TargetStep]:
        """All that can happen to it with ``left`` faults."""
        steps = []
        for label, faults, then, answer in self.targets[index].things[number].outcomes(left):
            report = self._reports.of((answer.command.pair, self.names[index], answer.verdict)) if answer else NO_REPORT
            steps.append(TargetStep(faults, self._number(index, then), report, f"{self.names[index]}: {label}"))
        return _once(steps)

    def deliver(self, index: int, number: int, mail: int) -> int:
        """The target after what the decider sent it."""
        key = (number, mail)
        then = self.delivered[index].get(key)
        if then is None:
            target = self.targets[index].things[number]
            then = self._number(index, self._mails.things[mail].delivered(target, top(target)))
            self.delivered[index][key] = then
        return then

    def _number(self, index: int, target: Target) -> int:
        if isinstance(target, Host) and target.old and not self._scenario.follow_rests:
            target = target.but(old=NONE)
        return self.targets[index].of(relative(target))

    def hurry(self, index: int, number: int) -> tuple[int, int]:
        """Pairs that this target is about to answer; and those for which so much waits that no more is asked. Bits."""
        target = self.targets[index].things[number]
        soon = piled = 0
        for pair, bit in self._bits.items():
            mine = [command for command in target.inbox if command.pair == pair]
            if any(command.current for command in mine):
                soon |= bit if target.answers else 0
                piled |= bit if not target.answers and len(mine) >= PILED_UP else 0
        return soon, piled

    def comes_first(self, index: int, number: int) -> bool:
        """What this target does next may be done before all else, where no fault can come in between.

        A host begins to send, or stops to receive. Whatever somebody else does meanwhile leads to the same state
        afterwards (the command was given; a host's writer looks at nothing but its commands), and any frame that is
        lost without this is lost with it as well. With rests to follow, late frames may be lost but not go astray:
        there a receive rule may hide something.
        """
        target = self.targets[index].things[number]
        if not isinstance(target, Host) or not target.inbox or target.link != "up" or not target.running:
            return False
        return any(
            isinstance(item, SendRule) if put else isinstance(item, ReceiveRule) and not self._scenario.follow_rests
            for put, item in target.inbox[0].asks
        )

    def view(self, index: int, number: int) -> int:
        target = self.targets[index].things[number]
        fresh, old = (target.fresh, target.old) if isinstance(target, Host) else (NONE, NONE)
        return self.views.of(View(target.installed, target.lost, fresh, old))

    # ---- an end -------------------------------------------------------------

    def is_quiet(self, index: int, number: int) -> bool:
        """Nothing is left to do, as far as this part knows. The decider is number 0, then the targets."""
        return self.targets[index - 1].things[number].quiet if index else self.deciders.things[number].at_rest

    def difference(self, decider: int, targets: Iterable[int]) -> str:
        """Where a target holds something else than it ought to; empty where none does."""
        wanted = desired(self.core.world(self.deciders.things[decider]), self._scenario.inventory)
        for name, numbers, number in zip(self.names, self.targets, targets, strict=True):
            held, doc = numbers.things[number].installed, numbers.things[number].doc.items
            if not held == doc == wanted[name]:
                return f"{name} holds {set(held)}, KV says {set(doc)}, the sagas {set(wanted[name])}"
        return ""


S = TypeVar("S", TargetStep, DeciderStep)


def _once(steps: Iterable[S]) -> list[S]:
    """Steps that lead to the same are one."""
    found: dict[tuple[object, ...], S] = {}
    for step in steps:
        found.setdefault(step[:-1], step)
    return list(found.values())
