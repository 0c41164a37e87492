"""One input on its way through the table: what an event does to a saga, and what comes out of it in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ezpath.inventory import Inventory
from ezpath.items import Item
from ezpath.names import PairId
from ezpath.saga import words
from ezpath.saga.effects import Effects, Keep, Said, Want
from ezpath.saga.model import Saga, Settings, World, but, held_by
from ezpath.saga.phases import INSTALLS, TABLE, Do, Move, On, Phase
from ezpath.saga.plan import Target, to_put, to_remove
from ezpath.saga.vlans import Rest, merged

NEVER = float("inf")


class Turn:
    """It changes while it lasts; the worlds that go in and come out do not."""

    def __init__(self, world: World, now: float, inventory: Inventory, settings: Settings) -> None:
        self.world = world
        self.now = now
        self.inventory = inventory
        self.settings = settings
        self._before = world
        self._moved: dict[PairId, None] = {}
        self._touched: set[tuple[Target, Item]] = set()
        self._said: list[Said] = []

    def result(self, wants: Iterable[Target] = ()) -> tuple[World, Effects]:
        """The new world, and the effects in their order. ``wants`` are targets to write all about in any case."""
        if not self._moved and not wants:  # one of several answers that a saga waits for
            return self.world, tuple(self._said)
        holds, generation = self.world.holds, self.world.generation
        moved = [self.world.sagas[pair] for pair in self._moved]
        touched: dict[Target, frozenset[str] | None] = {
            target: frozenset(names) for target, names in holds.changed(self._before.holds, self._touched).items()
        }
        touched |= dict.fromkeys(wants)
        return self.world, (
            *(Keep(but(saga, told=False) if saga.told else saga) for saga in moved),
            *(Want(target, generation, holds, touched[target]) for target in sorted(touched)),
            *self._said,
            *(Keep(saga) for saga in moved if saga.told),
        )

    def happen(self, saga: Saga, on: On, reason: str = "") -> None:
        """Look up what follows, and do it."""
        move = TABLE.get((saga.phase, on))
        if move is None:
            return
        came_from = saga
        if move.then is not saga.phase:
            saga = but(saga, phase=move.then, entered_at=self.now, deadline=NEVER, told=False)
        for do in move.do:
            saga = self._done(do, saga, reason)
        if saga is not came_from:
            self.world = self.world.with_saga(saga)
            self._moved[saga.pair] = None
            if saga.phase is not came_from.phase or saga.sides is not came_from.sides:
                self._touched |= held_by(saga) ^ held_by(came_from)
        self._say(move, saga, came_from, reason)
        if Do.ASK in move.do or Do.ASK_AGAIN in move.do:
            self.confirmed(saga)  # at once, where there was nobody to ask

    def enter(self, saga: Saga) -> None:
        """It is there from now on, and nothing follows yet."""
        self.world = self.world.with_saga(saga)
        self._moved[saga.pair] = None

    def say(self, said: Said) -> None:
        self._said.append(said)

    def confirmed(self, saga: Saga) -> None:
        if saga.waiting:
            return
        undone = saga.phase is Phase.SWITCH_OFF and saga.goal != "reverted"
        self.happen(saga, On.UNDONE if undone else On.CONFIRMED)

    def _done(self, do: Do, saga: Saga, reason: str) -> Saga:
        generation = self.world.generation + 1
        match do:
            case Do.ASK:
                asked, now = frozenset(self._work(saga)), self.now
                deadline = self._deadline(saga.phase, now, 0)
                return but(saga, generation=generation, waiting=asked, tries=0, entered_at=now, deadline=deadline)
            case Do.ASK_AGAIN:
                # What they are asked is worked out anew: others may hold it by now.
                silent, tries = saga.waiting & frozenset(self._work(saga)), saga.tries + 1
                deadline = self._deadline(saga.phase, saga.entered_at, tries)
                return but(saga, generation=generation, waiting=silent, tries=tries, deadline=deadline)
            case Do.DRAIN:
                until = self.now + self.settings.drain_s
                return but(saga, generation=generation, waiting=frozenset(), entered_at=self.now, deadline=until)
            case Do.GIVE_UP:
                return but(saga, goal="rolled-back", reason=reason)
            case Do.TURN_BACK:
                return but(saga, goal="reverted", reason=reason)
            case Do.REST:
                until = self.now + self.settings.quarantine_s
                mine = (Rest(side.host, side.vid, saga.tenant, until) for side in saga.sides or ())
                return but(saga, sides=None, rests=merged((*saga.rests, *mine), self.now))
            case Do.TELL:
                return but(saga, told=True)
            case Do.SAY:
                return saga

    def _work(self, saga: Saga) -> Mapping[Target, tuple[Item, ...]]:
        """What the saga's phase asks, by target. Nobody is asked to take off what another saga holds."""
        assert saga.sides is not None, f"{saga.id} has nothing to do in {saga.phase}"
        if saga.phase in INSTALLS:
            return to_put(saga.sides, saga.phase)
        work: dict[Target, tuple[Item, ...]] = {}
        for target, item in to_remove(saga.sides, saga.phase):
            if self.world.holds.is_free(target, item, but_for=saga.pair):
                work[target] = (*work.get(target, ()), item)
        return work

    def _deadline(self, phase: Phase, entered_at: float, tries: int) -> float:
        settings = self.settings
        if phase in INSTALLS:
            return entered_at + settings.step_timeout_s
        return self.now + min(settings.retry_most_s, settings.retry_first_s * 2.0 ** min(tries, 16))

    def _say(self, move: Move, saga: Saga, came_from: Saga, reason: str) -> None:
        if Do.TELL in move.do:
            if saga.phase is not came_from.phase:
                self._said.append(words.step_event(saga, came_from, self.now, saga.reason))
            self._said.append(words.outcome(saga))
            return
        if Do.SAY in move.do:
            reason = f"waiting: {reason}"
        self._said.append(words.step_event(saga, came_from, self.now, reason))
        if Do.ASK in move.do or Do.ASK_AGAIN in move.do:
            work, shard = self._work(saga), self.settings.shard.number
            self._said.extend(words.command(saga, target, work[target], shard) for target in sorted(saga.waiting))
