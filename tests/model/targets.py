"""The model's environment, part one: a writer with the switch or the host behind it, as one value.

Small and pure: every method gives a new value. What corresponds to what in the code:

``Command.rank``      a command's generation, as far as this target can tell: which of those it hears is newer
``doc``, ``want``     the target's document in KV ``ezpath_desired``, with the rank of its generation
``inbox``, ``send``   the target's subject in JetStream: kept, in order, until acknowledged. ``stray`` are copies that
                      come out of order: redelivered ones, and ones that were held up
``Switch.serve``      switch-writer: ``guard.Guard.stale`` and ``record``, then ``session.carry_out``: one batch, read
                      back, a command that failed undone (``wave.undo``), a report, the acknowledgement
``Switch.opened``,    ``writer._connected`` and ``writer._audit``: the item tables are brought to the document that
``ready``             ``_reconcile`` reads; commands wait until then (``in_sync``, the lock)
``Host.serve``        host-writer: ``worker._carry_out`` on ``book.Book``: ``enter``, ``staleness``, ``withdraw``; for a
                      host that is not connected it answers at once
``Host.opened``,      ``worker._session``: ``_reconcile`` adopts the document unless the book is newer, then the rules
``ready``             are brought to the book
``installed``         what packets meet: P4 entries, or Open vSwitch rules
``lost``              what a restart took and nobody has put back yet: that loss is the restart's, not EZPath's
``fresh``, ``old``    frames of a send rule that is gone: still on their way, until its drain is over; and those that
                      were held up for longer, until the tag's quarantine is over

What is left out: that a writer may find no room when it puts back what a restart took (it says so and tries again), and
two writers for one host (services/host-writer/README.md forbids it). ``test_model_conforms.py`` holds this module
against the writers' own pure parts, over random histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Literal, NamedTuple, Self

from ezpath.items import Item
from ezpath.names import PairId

Items = frozenset[Item]
Verdict = Literal["ok", "stale", "failed"]
Ask = tuple[bool, Item]
"""Whether it is to be there, and what."""


class Command(NamedTuple):
    """A SwitchCommand or HostCommand on its way."""

    pair: PairId
    put: tuple[Item, ...]
    remove: tuple[Item, ...]
    rank: int
    current: bool = True
    """Its saga still waits for the answer."""

    @property
    def asks(self) -> tuple[Ask, ...]:
        return (*((True, item) for item in self.put), *((False, item) for item in self.remove))

    def answered(self, verdict: Verdict) -> Answer | None:
        """The report, if anybody listens."""
        return Answer(self, verdict) if self.current else None


class Answer(NamedTuple):
    """A StepReport."""

    command: Command
    verdict: Verdict


class Doc(NamedTuple):
    """A desired state."""

    rank: int
    items: Items


class Done(NamedTuple):
    """What the switch-writer remembers of the newest command about an item's key."""

    rank: int
    put: bool
    item: Item

    def agrees(self, put: bool, item: Item) -> bool:
        return (self.put and self.item == item) if put else self.put != (self.item == item)


class Outcome(NamedTuple):
    """One way in which something can go: how many faults it takes, what is then, and what is reported."""

    label: str
    faults: int
    then: Target
    answer: Answer | None = None


EMPTY = Doc(0, frozenset())
NONE: Items = frozenset()


@dataclass(frozen=True)
class Target:
    """What a switch and a host have in common: a document, messages, a process, a connection."""

    installed: Items = NONE
    lost: Items = NONE
    doc: Doc = EMPTY
    inbox: tuple[Command, ...] = ()
    stray: tuple[Command, ...] = ()
    running: bool = True
    link: Literal["up", "opening", "lost"] = "up"
    at_once: bool = False
    """Nobody else comes between the reading of the document and its carrying out: a reduction, see ``opening``."""

    def but(self, **changes: Any) -> Self:
        """The same with these fields otherwise. (``dataclasses.replace``, without its price.)"""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, **changes)
        return new

    # ---- what comes from the bus --------------------------------------------

    def want(self, doc: Doc) -> Self:
        """The decider writes the document."""
        return self.but(doc=doc)

    def send(self, command: Command, fate: str) -> Self:
        """The decider publishes a command, and this becomes of it."""
        match fate:
            case "arrives":
                return self.but(inbox=(*self.inbox, command))
            case "is held up":
                return self.but(stray=(*self.stray, command))
            case "comes twice":
                return self.but(inbox=(*self.inbox, command), stray=(*self.stray, command))
            case _:
                return self

    def outdate(self, pairs: frozenset[PairId]) -> Self:
        """The sagas of ``pairs`` do not wait any more for what they asked before."""
        if not any(command.current and command.pair in pairs for command in (*self.inbox, *self.stray)):
            return self
        return self.but(inbox=_outdated(self.inbox, pairs), stray=_outdated(self.stray, pairs))

    def drained(self, rules: Items) -> Self:
        """Time enough has passed for frames of these send rules."""
        return self

    def rested(self, rules: Items) -> Self:
        """The quarantine of these rules' tag is over."""
        return self

    # ---- what happens to it -------------------------------------------------

    @property
    def answers(self) -> bool:
        """It takes commands now."""
        return self.running and self.link == "up"

    @property
    def reachable(self) -> bool:
        return True

    @property
    def quiet(self) -> bool:
        """Nothing is on its way to it, and nothing is left to do."""
        return self.running and self.link == "up" and not self.inbox and not self.stray and not self.lost

    def outcomes(self, left: int) -> Iterator[Outcome]:
        """All that can happen to it with ``left`` faults, or that it does by itself."""
        if not self.running:
            yield self.opening("writer starts", 0, self.started())
        elif self.link == "lost" and self.reachable:
            yield self.opening("connected", 0, self.opened())
        elif self.link == "opening":
            yield Outcome("brought to its desired state", 0, self.ready())
        if left:
            yield from self.mishaps()
        if self.answers:
            if self.inbox:
                yield from self.serve(self.inbox[0], self.but(inbox=self.inbox[1:]), left)
            for index, command in enumerate(self.stray):
                rest = self.but(stray=self.stray[:index] + self.stray[index + 1 :])
                yield from self.serve(command, rest, left)

    def mishaps(self) -> Iterator[Outcome]:
        """Faults that befall it whatever it does."""
        if self.running:
            yield Outcome("writer crashes", 1, self.crashed())

    def opening(self, label: str, faults: int, then: Target) -> Outcome:
        """The document is read; it is carried out later.

        Nothing that happens in between can tell the difference: this target takes no command before, and to everybody
        else it is as if it had been a little slower to read. So that step may be left out where states are many, and
        is taken in the smaller scenario, to show it.
        """
        return Outcome(label, faults, then.ready() if self.at_once and then.link == "opening" else then)

    def dealt_with(self, command: Command, done: Target, label: str, verdict: Verdict, left: int) -> Iterator[Outcome]:
        """``done`` is how things are when it was dealt with; and what can go wrong from there on."""
        answer = command.answered(verdict)
        yield Outcome(label, 0, done, answer)
        if left:
            again = done.but(inbox=(command, *done.inbox)).crashed()
            yield Outcome(f"{label}, the writer crashes before it reports", 1, again)
            if answer:
                yield Outcome(f"{label}, the writer crashes before it acknowledges", 1, again, answer)
                yield Outcome(f"{label}, the report is lost", 1, done)

    def crashed(self) -> Self:
        raise NotImplementedError

    def started(self) -> Self:
        raise NotImplementedError

    def opened(self) -> Self:
        raise NotImplementedError

    def ready(self) -> Self:
        raise NotImplementedError

    def serve(self, command: Command, rest: Self, left: int) -> Iterator[Outcome]:
        raise NotImplementedError


def changed(items: Items, asks: Iterable[Ask]) -> Items:
    """What is put replaces what had its key; what is removed is removed if it is exactly that."""
    for put, item in asks:
        if put:
            items = frozenset(other for other in items if other.key != item.key) | {item}
        else:
            items -= {item}
    return items


def parts(asks: tuple[Ask, ...]) -> Iterator[tuple[Ask, ...]]:
    """What a write that was cut off may have done: some of it, and not all."""
    return chain.from_iterable(combinations(asks, count) for count in range(1, len(asks)))


def _outdated(commands: tuple[Command, ...], pairs: frozenset[PairId]) -> tuple[Command, ...]:
    return tuple(command._replace(current=command.current and command.pair not in pairs) for command in commands)
