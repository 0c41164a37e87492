"""The saga's state: one record for each pair, and the world they share.

Pure and immutable: a transition makes a new world.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ezpath.names import HostName, PairId, Tenant, VlanId
from ezpath.saga.phases import ENDED, Phase

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
    quarantine_s: float = 30.0
    """How long a VLAN id rests on a host before another tenant may have it (I3)."""


@dataclass(frozen=True, slots=True)
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
    waiting: frozenset[str] = frozenset()
    """Targets that have not confirmed the phase."""
    tries: int = 0
    vids: tuple[VlanId, VlanId] | None = None
    """The tags on a's and on b's host link."""
    reason: str = ""

    @property
    def id(self) -> str:
        return f"{self.pair}.{self.attempt}"

    @property
    def ended(self) -> bool:
        return self.phase in ENDED


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A VLAN id at rest: only ``tenant`` may have it on that host before ``until``."""

    tenant: Tenant
    until: float


@dataclass(frozen=True, slots=True)
class World:
    """All sagas and what they share. ``generation`` only grows, over all of them."""

    sagas: Mapping[PairId, Saga] = field(default_factory=dict)
    generation: int = 0
    quarantine: Mapping[tuple[HostName, VlanId], Quarantine] = field(default_factory=dict)

    def with_saga(self, saga: Saga) -> World:
        return replace(self, sagas={**self.sagas, saga.pair: saga}, generation=max(self.generation, saga.generation))


_SAGA: TypeAdapter[Saga] = TypeAdapter(Saga)


def saga_to_json(saga: Saga) -> bytes:
    """One record, as KV keeps it and people read it."""
    raw: dict[str, Any] = asdict(saga)
    raw["waiting"] = sorted(saga.waiting)
    raw["deadline"] = None if saga.deadline == float("inf") else saga.deadline
    return json.dumps(raw, separators=(",", ":")).encode()


def saga_from_json(data: bytes) -> Saga:
    """The reverse of :func:`saga_to_json`. Raises ValueError saying what is wrong."""
    try:
        raw = json.loads(data)
        if isinstance(raw, dict) and raw.get("deadline") is None:
            raw["deadline"] = float("inf")
        return _SAGA.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"saga record: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def world_of(sagas: Iterable[Saga], generation: int = 0) -> World:
    """The world after a restart, from the records that were kept."""
    records = {saga.pair: saga for saga in sagas}
    return World(records, max([generation, *(saga.generation for saga in records.values())]))
