"""The model's environment: a switch and a host, each with its writer. ``targets.py`` says what is what in the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from ezpath.items import Item, ReceiveRule, SendRule
from model.targets import EMPTY, NONE, Command, Doc, Done, Items, Outcome, Target, Verdict, changed, parts


@dataclass(frozen=True)
class Switch(Target):
    """A ToR and its writer."""

    known: Doc = EMPTY
    """What the writer knows of the document: as of when it last looked."""
    done: tuple[Done, ...] = ()
    reads_back: bool = True
    """Without it (a mutation), what the switch took and does not hold counts as done."""

    def mishaps(self) -> Iterator[Outcome]:
        yield from super().mishaps()
        if self.installed:
            empty = self.but(installed=NONE, lost=self.lost | self.installed, link="lost")
            yield Outcome("switch restarts empty", 1, empty)
        if self.answers:
            yield self.opening("audit", 1, self.opened())

    def crashed(self) -> Self:
        return self.but(running=False, link="lost", known=EMPTY, done=())

    def started(self) -> Self:
        return self.but(running=True).opened()

    def opened(self) -> Self:
        return self.but(link="opening", known=self.doc)

    def ready(self) -> Self:
        return self.but(link="up", installed=self.known.items, lost=NONE)

    def serve(self, command: Command, rest: Self, left: int) -> Iterator[Outcome]:
        # The watch on KV may or may not have told the writer of the newest document by now.
        told = rest.but(known=self.doc)
        for stale, then in {self.stale(command, self.doc): told, self.stale(command, self.known): rest}.items():
            if stale:
                yield from then.dealt_with(command, then, "stale", "stale", left)
            else:
                yield from then.carry_out(command, left)

    def stale(self, command: Command, known: Doc) -> bool:
        """``Guard.stale``: something newer, or the document, contradicts it."""
        newest = {entry.item.key: entry for entry in self.done}
        for put, item in command.asks:
            entry = newest.get(item.key)
            if entry and command.rank < entry.rank and not entry.agrees(put, item):
                return True
            if command.rank <= known.rank and put != (item in known.items):
                return True
        return False

    def carry_out(self, command: Command, left: int) -> Iterator[Outcome]:
        noted = self.recorded(command)
        full = changed(self.installed, command.asks)
        if left:
            for part in parts(command.asks):
                some = changed(self.installed, part)
                if some != self.installed:
                    half = self.but(installed=some, inbox=(command, *self.inbox)).crashed()
                    yield Outcome("done in part, the writer crashes", 1, half)
            if full - self.installed:
                yield Outcome("refused: the switch is full", 1, noted, command.answered("failed"))
            if not self.reads_back and full - self.installed:
                yield Outcome("taken by the switch and not held", 1, noted, command.answered("ok"))
        yield from self.dealt_with(command, noted.but(installed=full), "done", "ok", left)

    def recorded(self, command: Command) -> Self:
        """``Guard.record``."""
        newest = {entry.item.key: entry for entry in self.done}
        for put, item in command.asks:
            if item.key not in newest or command.rank >= newest[item.key].rank:
                newest[item.key] = Done(command.rank, put, item)
        return self.but(done=tuple(newest.values()))


@dataclass(frozen=True)
class Host(Target):
    """A host's Open vSwitch and its writer."""

    gone: bool = False
    """It cannot be reached; what is installed goes on working."""
    book: Items = NONE
    floor: int = 0
    spoken: tuple[tuple[tuple[object, ...], int], ...] = ()
    ahead: bool = False
    """The newest command that the book heard of is newer than the document."""
    fresh: Items = NONE
    old: Items = NONE
    honest: bool = True
    """Without it (a mutation), what could not be done counts as done."""

    @property
    def answers(self) -> bool:
        return self.running and self.link != "opening"

    @property
    def reachable(self) -> bool:
        return not self.gone

    def outcomes(self, left: int) -> Iterator[Outcome]:
        yield from super().outcomes(left)
        if self.gone:
            yield Outcome("host reachable again", 0, self.but(gone=False))

    def mishaps(self) -> Iterator[Outcome]:
        yield from super().mishaps()
        if not self.gone:
            yield Outcome("host unreachable", 1, self.but(gone=True, link="lost"))
            if self.installed:
                lost = self.lost | {item for item in self.installed if isinstance(item, ReceiveRule)}
                yield Outcome("Open vSwitch restarts empty", 1, self.rules(NONE).but(lost=lost, link="lost"))

    def crashed(self) -> Self:
        return self.but(running=False, link="lost", book=NONE, floor=0, spoken=(), ahead=False)

    def started(self) -> Self:
        return self.but(running=True, link="lost" if self.gone else "opening").adopted()

    def opened(self) -> Self:
        return self.but(link="opening").adopted()

    def ready(self) -> Self:
        return self.rules(self.book).but(link="up", lost=NONE)

    def adopted(self) -> Self:
        """``Book.adopt``: the document is what counts, unless newer commands were carried out."""
        if self.ahead:
            return self
        return self.but(book=self.doc.items, floor=self.doc.rank, spoken=())

    def want(self, doc: Doc) -> Self:
        return self.but(doc=doc, ahead=False)

    def rules(self, now: Items) -> Self:
        """The rules are these now; what was sent by those that are gone is still on its way."""
        sent = {item for item in self.installed - now if isinstance(item, SendRule)}
        return self.but(installed=now, fresh=(self.fresh | sent) - now)

    def drained(self, rules: Items) -> Self:
        return self.but(fresh=self.fresh - rules, old=self.old | (self.fresh & rules)) if rules else self

    def rested(self, rules: Items) -> Self:
        return self.but(old=self.old - rules) if rules else self

    def serve(self, command: Command, rest: Self, left: int) -> Iterator[Outcome]:
        entered = rest.entered(command)
        stale = entered.is_stale(command)
        if self.link == "lost":
            verdict: Verdict = "stale" if stale else "failed" if self.honest else "ok"
            kept = entered.withdrawn(command, self.book)
            yield from self.dealt_with(command, kept, f"not reachable, {verdict}", verdict, left)
            return
        done = entered.rules(entered.book)
        if left and done.installed - self.installed:
            refused = entered.withdrawn(command, self.book)
            answer = command.answered("stale" if stale else "failed")
            yield Outcome("refused by Open vSwitch", 1, refused.rules(refused.book), answer)
        yield from self.dealt_with(command, done, *(("stale", "stale") if stale else ("done", "ok")), left)

    def of(self, key: tuple[object, ...]) -> int:
        return next((rank for spoken, rank in self.spoken if spoken == key), self.floor)

    def overtakes(self, rank: int, put: bool, item: Item) -> bool:
        """``Generations.is_stale``."""
        return (item in self.book) is not put and rank < self.of(item.key)

    def is_stale(self, command: Command) -> bool:
        return any(self.overtakes(command.rank, put, item) for put, item in command.asks)

    def entered(self, command: Command) -> Self:
        """``Book.enter``."""
        host = self
        for put, item in command.asks:
            if host.overtakes(command.rank, put, item):
                continue
            spoken = dict(host.spoken)
            if command.rank >= host.of(item.key):
                spoken[item.key] = command.rank
            host = host.but(
                book=changed(host.book, ((put, item),)),
                spoken=tuple(spoken.items()),
                ahead=host.ahead or command.rank > host.doc.rank,
            )
        return host

    def withdrawn(self, command: Command, before: Items) -> Self:
        """``Book.withdraw``: what it put is as it was; what it removed stays removed."""
        book = self.book
        for item in command.put:
            if item in book and self.of(item.key) == command.rank:
                book = changed(book, ((False, item),)) | {was for was in before if was.key == item.key}
        return self.but(book=book)
