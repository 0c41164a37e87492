"""The model's environment, part two: the decider, its records, and what goes out from it.

What corresponds to what in the code:

``Decider.sagas``    the keeper's world while it runs, and its records in KV while it does not. Times, generations and
                     attempts are made relative, for the core only compares them: an armed deadline is 1 at time 0,
                     one that passed is 0; what was given out so far is generation 1, so that what is new is above it
``Decider.reports``  reports that make a saga move on, from the moment they are published. One that only shortens the
                     list of who is waited for is taken in at once: nothing but the deadline could tell the
                     difference, and a report that comes after the deadline is one that is lost
``core.Core``        ``ezpath.saga.step`` and ``resume``, the real ones, called for one input each
``shell.Shell``      ``keeper._carry_out``: the effects in their order, and everything that can become of them
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ezpath.inventory import Inventory, Pair
from ezpath.items import Item
from ezpath.names import PairId
from ezpath.saga import Saga, Settings
from ezpath.saga.phases import AT_REST
from model.targets import Command, Doc, Target, Verdict

ARMED, PASSED, NEVER = 1.0, 0.0, float("inf")
GIVEN_OUT = 1
SETTINGS = Settings(step_timeout_s=1, retry_first_s=1, retry_most_s=1, drain_s=1, quarantine_s=1)


@dataclass(frozen=True)
class Scenario:
    """A small network, and what is asked for in it."""

    name: str
    inventory: Inventory
    pairs: tuple[PairId, ...]
    asks: tuple[tuple[int, int], ...]
    """For each pair, how often it may be asked to go to the switches, and to come back."""
    active: tuple[PairId, ...] = ()
    """Those that are on the switches when it begins."""
    after: Inventory | None = None
    """What the inventory becomes, at any one time."""
    follow_rests: bool = False
    """With one tenant alone no tag can reach another, and nobody has to follow which of them rest."""
    stale_leaders: bool = False
    """A leader may be paused where it might crash; another takes over, and at any later time it goes on."""

    def pair(self, name: PairId) -> Pair:
        found = self.inventory.pair_by_id(name)
        assert found is not None
        return found

    def places(self, name: PairId) -> tuple[Pair, ...]:
        """The pair where it is at first, and where it is after the inventory has changed."""
        found = self.after.pair_by_id(name) if self.after is not None else None
        return (self.pair(name), found) if found is not None else (self.pair(name),)

    @property
    def targets(self) -> tuple[str, ...]:
        return (*(f"switch:{n}" for n in self.inventory.switches), *(f"host:{n}" for n in self.inventory.hosts))


class Document(NamedTuple):
    """A Want, worked out."""

    target: str
    generation: int
    items: frozenset[Item]


@dataclass(frozen=True)
class Decider:
    sagas: tuple[Saga | None, ...]
    asks: tuple[tuple[int, int], ...]
    """Offloads and reverts still to come, of each pair."""
    changed: bool = False
    """The inventory has changed."""
    running: bool = True
    reports: tuple[tuple[PairId, str, Verdict], ...] = ()
    told: tuple[bool, ...] = ()
    """Whether the outcome was published since the saga came to rest."""
    unwritten: tuple[Document, ...] = ()
    """Documents that it has yet to write, where it sent commands before them. Until then it does nothing else."""

    @property
    def listens(self) -> bool:
        return self.running and not self.unwritten

    def with_saga(self, index: int, saga: Saga) -> Decider:
        return replace(self, sagas=(*self.sagas[:index], saga, *self.sagas[index + 1 :]))

    def stopped(self) -> Decider:
        """Only its records are left. Whom a saga waits for is worked out anew."""
        sagas = tuple(saga and replace(saga, waiting=frozenset()) for saga in self.sagas)
        return replace(self, running=False, reports=(), sagas=sagas, unwritten=())

    @property
    def at_rest(self) -> bool:
        """Nothing is under way, and everybody was told."""
        ended = all(
            saga is None or (saga.phase in AT_REST and told) for saga, told in zip(self.sagas, self.told, strict=True)
        )
        return self.running and ended


class Mail(NamedTuple):
    """What a turn of the decider means to one target."""

    want: tuple[int, frozenset[Item]] | None = None
    """The new document, with the place of its generation among those of this turn."""
    commands: tuple[tuple[int, Command, str], ...] = ()
    """With the place of its generation, and what becomes of it on the way."""
    outdated: frozenset[PairId] = frozenset()
    drained: frozenset[Item] = frozenset()
    rested: frozenset[Item] = frozenset()

    def delivered(self, target: Target, top: int) -> Target:
        """``top`` is the highest rank that the target has heard of."""
        target = target.outdate(self.outdated).drained(self.drained).rested(self.rested)
        if self.want is not None:
            target = target.want(Doc(top + self.want[0], self.want[1]))
        for place, command, fate in self.commands:
            target = target.send(command._replace(rank=top + place), fate)
        return target


class Turn(NamedTuple):
    """One way in which the decider's dealing with one input can go."""

    label: str
    faults: int
    decider: Decider
    mail: tuple[tuple[str, Mail], ...] = ()
