"""The model's writers do what the real ones do: the same random histories through both, step for step.

Real here are the pure parts that decide: the switch-writer's guard and waves (over a table in memory), the
host-writer's book. And the shortening that the explorer relies on (``relative``) changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from ezpath.desired import Desired
from ezpath.events import HostCommand, SwitchCommand
from ezpath.items import EndpointLocal, EndpointRemote, HostItem, Item, ReceiveRule, SendRule, SwitchItem, TenantTag
from ezpath.names import HostName, Mac, PairId, Port, SwitchName, VlanId, Vni
from ezpath_host_writer.book import Book
from ezpath_switch_writer.entries import entry_of, item_of
from ezpath_switch_writer.guard import Guard
from ezpath_switch_writer.wave import EntryKey, needs, undo, updates, verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from model.relative import relative, top
from model.targets import Command, Doc, Items, Outcome, Target
from model.writers import Host, Switch

from p4rt import TableEntry, Update, UpdateFailure, UpdateKind

PAIR = PairId("red.a.b")
ONE, TWO = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")
RED, BLUE, VID = Vni(5001), Vni(5002), VlanId(100)
SWITCH_ITEMS: list[SwitchItem] = [
    TenantTag(Port(1), VID, RED),
    TenantTag(Port(1), VID, BLUE),
    EndpointLocal(RED, ONE, Port(1), VID),
    EndpointRemote(RED, ONE, "10.255.0.1", "10.255.0.2"),
    EndpointRemote(RED, TWO, "10.255.0.1", "10.255.0.2"),
]
HOST_ITEMS: list[HostItem] = [
    ReceiveRule(RED, VID, ONE),
    ReceiveRule(BLUE, VID, ONE),
    SendRule(RED, ONE, TWO, VID),
    SendRule(RED, ONE, TWO, VlanId(101)),
    SendRule(RED, TWO, ONE, VID),
]
"""Some of them have the same key: they cannot stand side by side."""


class History:
    """Turns as a decider makes them: a new document, then a command that follows from it, under one generation."""

    def __init__(self) -> None:
        self.generation = 0
        self.wanted: Items = frozenset()

    def turn(self, data: st.DataObject, items: list[Item]) -> tuple[Doc, Command]:
        self.generation += 1
        put = data.draw(st.booleans(), "put")
        chosen = data.draw(st.lists(st.sampled_from(items), min_size=1, max_size=3, unique_by=lambda i: i.key), "items")
        if put:
            keys = {item.key for item in chosen}
            self.wanted = frozenset(item for item in self.wanted if item.key not in keys) | set(chosen)
        else:
            self.wanted -= set(chosen)
        command = Command(PAIR, tuple(chosen) if put else (), () if put else tuple(chosen), self.generation)
        return Doc(self.generation, self.wanted), command


class RealSwitch:
    """The switch-writer's guard and waves, over a table that may refuse what is new."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.table: dict[EntryKey, TableEntry] = {}

    def look(self, doc: Doc) -> None:
        self.guard.learn(switch_state(doc))

    def reconcile(self, doc: Doc) -> None:
        self.look(doc)
        self.table = {entry.key: entry for entry in map(entry_of, switch_state(doc).items)}

    def carry_out(self, command: SwitchCommand, full: bool) -> str:
        """What ``writer._carry_out`` and ``session.carry_out`` do with one command."""
        if stale := self.guard.stale(command):
            return stale
        self.guard.record(command)
        before = dict(self.table)
        failures = self._write(updates(needs(command), before), full)
        reason = verdict(command, self.table, failures)
        if reason:
            self._write(undo([command], [], before, self.table), full=False)
        return reason

    def _write(self, batch: Iterable[Update], full: bool) -> dict[EntryKey, UpdateFailure]:
        failures = {}
        for update in batch:
            key = update.entry.key
            if update.kind is UpdateKind.DELETE:
                del self.table[key]
            elif full and key not in self.table:
                failures[key] = UpdateFailure(0, update, grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
            else:
                self.table[key] = update.entry
        return failures

    @property
    def installed(self) -> Items:
        return frozenset(item for item in map(item_of, self.table.values()) if item is not None)


def to_switch(command: Command) -> SwitchCommand:
    put, remove = (tuple(i for i in items if isinstance(i, SwitchItem)) for items in (command.put, command.remove))
    return SwitchCommand("s.1", command.pair, command.rank, "switch-send", SwitchName("tor1"), put, remove)


def to_host(command: Command) -> HostCommand:
    put, remove = (tuple(i for i in items if isinstance(i, HostItem)) for items in (command.put, command.remove))
    return HostCommand("s.1", command.pair, command.rank, "host-send", HostName("h1"), put, remove)


def host_state(doc: Doc) -> Desired[HostItem]:
    return Desired(doc.rank, frozenset(item for item in doc.items if isinstance(item, HostItem)))


def switch_state(doc: Doc) -> Desired[SwitchItem]:
    return Desired(doc.rank, frozenset(item for item in doc.items if isinstance(item, SwitchItem)))


def the_one(outcomes: Iterable[Outcome], *words: str) -> Outcome:
    """The outcome that is called so, of those in which nothing else goes wrong."""
    found = [outcome for outcome in outcomes if outcome.label in words]
    assert len(found) == 1, [outcome.label for outcome in found]
    return found[0]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_given_any_history_then_the_model_s_switch_is_the_switch_writer_s(data: st.DataObject) -> None:
    history, real, model, sent = History(), RealSwitch(), Switch(), list[Command]()
    for _ in range(data.draw(st.integers(1, 14), "steps")):
        doc, command = history.turn(data, [*SWITCH_ITEMS])
        model, sent = model.want(doc), [*sent, command]
        match data.draw(st.sampled_from(("serve", "old", "hold", "watch", "crash", "audit")), "what"):
            case "watch":
                real.look(doc)
                model = model.but(known=doc)
            case "crash":
                real.guard = Guard()
                real.reconcile(doc)
                model = model.crashed().started().ready()
            case "audit":
                real.reconcile(doc)
                model = model.opened().ready()
            case "serve" | "old" as which:
                served = command if which == "serve" else data.draw(st.sampled_from(sent), "served")
                full = data.draw(st.booleans(), "full")
                reason = real.carry_out(to_switch(served), full)
                # What the writer knows of the document is what it last looked at.
                assert model.stale(served, model.known) is reason.startswith("stale"), (served, reason)
                if not reason.startswith("stale"):
                    words = "refused: the switch is full" if reason else "done"
                    model = the_one(model.carry_out(served, 1), words).then
        assert model.installed == real.installed


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_given_any_history_then_the_model_s_host_is_the_host_writer_s(data: st.DataObject) -> None:
    history, book, model, sent = History(), Book(), Host(), list[Command]()
    for _ in range(data.draw(st.integers(1, 14), "steps")):
        doc, command = history.turn(data, [*HOST_ITEMS])
        model, sent = model.want(doc), [*sent, command]
        match data.draw(st.sampled_from(("serve", "old", "refuse", "hold", "crash", "reconnect")), "what"):
            case "crash":
                book = Book()
                book.adopt(host_state(doc))
                model = model.crashed().started().ready()
            case "reconnect":
                book.adopt(host_state(doc))
                model = model.opened().ready()
            case "serve" | "old" | "refuse" as which:
                served = command if which == "serve" else data.draw(st.sampled_from(sent), "served")
                before = book.snapshot()
                book.enter([to_host(served)])
                stale = bool(book.staleness(to_host(served)))
                outcomes = list(model.serve(served, model, 1))
                refused = [outcome for outcome in outcomes if outcome.label.startswith("refused")]
                if which == "refuse" and refused:
                    book.withdraw(to_host(served), before)
                    outcome = refused[0]
                else:
                    outcome = the_one(outcomes, "done", "stale")
                assert outcome.answer and (outcome.answer.verdict == "stale") is stale, (served, outcome)
                model = outcome.then
        assert model.installed == frozenset(book.items)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from((Switch, Host)))
def test_given_ranks_counted_anew_then_everything_goes_as_before(data: st.DataObject, kind: type[Target]) -> None:
    """The same steps on a target with generations as they are, and on one that is shortened after each step."""
    items: list[Item] = [*(SWITCH_ITEMS if kind is Switch else HOST_ITEMS)]
    history, plain, short = History(), kind(), kind()
    for _ in range(data.draw(st.integers(1, 20), "steps")):
        if data.draw(st.booleans(), "the decider has a turn"):
            doc, command = history.turn(data, items)
            fate = data.draw(st.sampled_from(("arrives", "comes twice", "is held up", "is lost")), "fate")
            plain = plain.want(doc).send(command, fate)
            rank = top(short) + 1
            short = relative(short.want(doc._replace(rank=rank)).send(command._replace(rank=rank), fate))
        else:
            # Strays are kept in some order; who is who is told by what they ask, and by the order of their ranks.
            plain = plain.but(stray=tuple(sorted(plain.stray, key=lambda c: c.rank)))
            short = short.but(stray=tuple(sorted(short.stray, key=lambda c: c.rank)))
            ways, others = list(plain.outcomes(1)), list(short.outcomes(1))
            assert [(o.label, o.faults, _said(o)) for o in ways] == [(o.label, o.faults, _said(o)) for o in others]
            if not ways:
                continue
            number = data.draw(st.integers(0, len(ways) - 1), "way")
            plain, short = ways[number].then, relative(others[number].then)
        assert (plain.installed, plain.lost, plain.quiet) == (short.installed, short.lost, short.quiet)
        assert plain.doc.items == short.doc.items


def _said(outcome: Outcome) -> object:
    return outcome.answer and (outcome.answer.command[:3], outcome.answer.verdict)
