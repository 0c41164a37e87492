"""The saga's state: one record for each pair, and the world they share.

Pure and immutable: a transition makes a new world. What can be worked out from the records (who holds which item, which
tags are taken) is kept beside them as an index and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ezpath.names import PairId, Tenant, VlanId
from ezpath.saga.crowd import UNDER_WAY, Crowd, Stands
from ezpath.saga.holds import Held, Holds
from ezpath.saga.phases import ENDED, FORWARD, Phase
from ezpath.saga.plan import Sides, Target, held
from ezpath.saga.pmap import PMap
from ezpath.saga.vlans import IN_USE, Rest, Tags
from ezpath.shards import WHOLE, Shard

Goal = Literal["active", "reverted", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds."""

    step_timeout_s: float = 10.0
    """A phase on the way forward that is not confirmed by then is undone."""
    retry_first_s: float = 1.0
    """A step on the way back is asked again after this, then after twice this, …"""
    retry_most_s: float = 30.0
    drain_s: float = 2.0
    """From the last host's word that it no longer sends to the first removal of what its frames need."""
    under_way_most: int = 1000
    """Sagas on the way forward at a time: their steps are answered long before they are given up. The others wait."""
    quarantine_s: float = 30.0
    """How long a VLAN id rests on a host before another tenant may have it (I3)."""
    shard: Shard = WHOLE
    """Whose sagas these are: it gives out its own VLAN ids only, and its commands say its number."""


@dataclass(frozen=True)
class Saga:
    """One attempt to offload one pair, from the request to its end."""

    pair: PairId
    tenant: Tenant
    attempt: int
    phase: Phase
    goal: Goal
    generation: int
    """Of the last commands sent. Reports of others are not listened to (I4)."""
    requested_at: float
    """When it was asked for; for a saga on its way back because of a request, when that came."""
    entered_at: float
    """When the phase began."""
    deadline: float
    """When the phase is given up (forward) or asked again (back). Infinite at rest."""
    waiting: frozenset[Target] = frozenset()
    """Targets that have not confirmed the phase. In a record: those that were asked."""
    tries: int = 0
    sides: Sides | None = None
    """What was true of both ends when it was asked for, and so all that was ever installed for it. None at the end."""
    rests: tuple[Rest, ...] = ()
    """Tags that this pair gave back and that may still be on some late frame (I3)."""
    offload_asked_at: float = float("-inf")
    """The time in the request that began it, by the asker's clock: the same one again is a repetition."""
    revert_asked_at: float = float("-inf")
    rate_bps: float = 0.0
    """What the request said: the busiest are first where many wait. None was measured where a person asks."""
    told: bool = False
    """At rest: the outcome is on the bus."""
    reason: str = ""

    @property
    def id(self) -> str:
        return f"{self.pair}.{self.attempt}"

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def vids(self) -> tuple[VlanId, VlanId] | None:
        """The tags on a's and on b's host link."""
        return (self.sides[0].vid, self.sides[1].vid) if self.sides else None


_FIELDS = {field.name for field in fields(Saga)}


def but(saga: Saga, **changes: Any) -> Saga:
    """``dataclasses.replace``, many times as fast (for which a saga has no slots): a transition does little else."""
    assert changes.keys() <= _FIELDS, f"a saga has no {', '.join(changes.keys() - _FIELDS)}"
    new = object.__new__(Saga)
    new.__dict__.update(saga.__dict__, **changes)
    return new


@dataclass(frozen=True, slots=True)
class World:
    """All sagas and what they share. ``generation`` only grows, over all of them."""

    sagas: PMap[PairId, Saga] = field(default_factory=PMap)
    generation: int = 0
    holds: Holds = field(default_factory=Holds)
    tags: Tags = field(default_factory=Tags)
    crowd: Crowd = field(default_factory=Crowd)

    def with_saga(self, saga: Saga) -> World:
        """The world with this record of its pair."""
        before, pair = self.sagas.get(saga.pair), saga.pair
        holds, tags, crowd = self.holds, self.tags, self.crowd
        if before is None or before.phase is not saga.phase:
            crowd = crowd.moved(_stands(before), _stands(saga))
        if before is None or before.phase is not saga.phase or before.sides is not saga.sides:
            holds = holds.moved(pair, held_by(before), held_by(saga))
        if before is None or before.sides is not saga.sides or before.rests is not saga.rests:
            tags = tags.moved(pair, _tags(before), _tags(saga))
        return World(self.sagas.put(pair, saga), max(self.generation, saga.generation), holds, tags, crowd)


def held_by(saga: Saga | None) -> Held:
    """What ``saga`` needs to stay where it is."""
    return held(saga.sides, saga.phase) if saga and saga.sides else frozenset()


def _stands(saga: Saga | None) -> Stands:
    """Where in the crowd: who waits has a turn. A person's wish goes first, then what is busiest, then the oldest."""
    if saga is None or saga.phase not in FORWARD:
        return None
    if saga.phase is not Phase.REQUESTED:
        return UNDER_WAY
    return (-saga.rate_bps if saga.rate_bps else float("-inf"), saga.offload_asked_at, saga.pair)


def _tags(saga: Saga | None) -> tuple[Rest, ...]:
    """The tags that ``saga`` keeps others from: its own, for as long as it has them, and those at rest."""
    if saga is None:
        return ()
    return (*saga.rests, *(Rest(side.host, side.vid, saga.tenant, IN_USE) for side in saga.sides or ()))


def rested_anew(saga: Saga, until: float) -> Saga:
    """The same with all tags at rest until then: whoever wrote it may have had another clock."""
    return replace(saga, rests=tuple(replace(rest, until=until) for rest in saga.rests))


def world_of(sagas: Iterable[Saga], generation: int = 0, foreign: Iterable[Saga] = ()) -> World:
    """The world after a restart, from the records that were kept.

    ``foreign`` are those of other shards: their tags are not to be given away, should the shards once have been
    divided otherwise.
    """
    tags = Tags()
    for saga in foreign:
        tags = tags.moved(saga.pair, (), _tags(saga))
    world = World(generation=generation, tags=tags)
    for saga in sagas:
        world = world.with_saga(saga)
    return world
