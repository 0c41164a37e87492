"""Which events somebody wants to see: by kind, tenant, endpoint, host, switch and saga. Pure.

Several values of one sort widen, several sorts narrow: ``--tenant red --host h11 --host h12`` is what red does on
either host. What ``--not-…`` names is left out of that, each by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ezpath.catalogue import Event
from ezpath.cli.seen import kind
from ezpath.events import (
    DeadLetter,
    FlowLine,
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TargetState,
)
from ezpath.inventory import Inventory
from ezpath.names import PairId

_NOT_OF_A_PAIR = DeadLetter | FlowSample | FlowsSnapshot | SwitchTables | TargetState


@dataclass(slots=True)
class Filter:
    """Empty collections let everything through."""

    tenants: Collection[str] = ()
    hosts: Collection[str] = ()
    switches: Collection[str] = ()
    inventory: Inventory | None = None
    endpoints: Collection[str] = ()
    sagas: Collection[str] = ()
    """Of a saga (``red.red-1.red-3.2``) or of all of a pair (``red.red-1.red-3``)."""
    kinds: Collection[str] = ()
    never: Sequence[Filter] = ()
    """What each of these is about is left out. They share :attr:`learned`."""
    learned: dict[str, set[str]] = field(default_factory=dict)
    """Targets seen so far for each pair: where an inventory does not say, its sagas do."""

    def leave_out(self, **named: Collection[str]) -> None:
        """What ``named`` would let through, each sort by itself."""
        more = (
            Filter(inventory=self.inventory, learned=self.learned, **{sort: names})  # type: ignore[arg-type]
            for sort, names in named.items()
            if names
        )
        self.never = (*self.never, *more)

    def matches(self, event: Event) -> bool:
        """Whether ``event`` is asked for. Remembers the targets it names."""
        self._learn(event)
        return (
            (not self.kinds or kind(event) in self.kinds)
            and self._is_of_what_is_asked(event)
            and not any(each._is_about(event) for each in self.never)
        )

    def matches_flow(self, flow: FlowLine) -> bool:
        """Whether a line of the flows table is asked for."""
        return self.matches_pair(flow.pair, [f"switch:{name}" for name in flow.switches])

    def matches_pair(self, pair: PairId, places: Iterable[str]) -> bool:
        """Whether a pair is, that is known to be at ``places`` (``switch:tor1``, ``host:h11``)."""
        known = self._places(pair) | set(places)
        return self._matches_pair(pair, known) and not any(
            each._names_places and each._matches_pair(pair, known) for each in self.never
        )

    def _is_about(self, event: Event) -> bool:
        """All of ``event``, not only some of it: a table of flows has others' as well."""
        if self.kinds:
            return kind(event) in self.kinds
        if isinstance(event, FlowsSnapshot):
            return bool(event.flows) and self._names_places and all(map(self.matches_flow, event.flows))
        return self._is_of_what_is_asked(event)

    @property
    def _names_places(self) -> bool:
        """Whether something is asked for that a flow has, and not only its sagas or events."""
        return bool(self.tenants or self.endpoints or self.hosts or self.switches)

    def _is_of_what_is_asked(self, event: Event) -> bool:
        match event:
            case DeadLetter():
                return self._matches_subject(event.subject)
            case FlowsSnapshot():
                return not event.flows or any(map(self.matches_flow, event.flows))
            case SwitchTables() | FlowSample():
                return not self._of_pairs and self._matches_places({f"switch:{event.switch}"})
            case TargetState():
                return not self._of_pairs and self._matches_places({event.target})
            case _:
                places = self._places(event.pair) | _targets(event)
                return self._matches_pair(event.pair, places) and self._matches_saga(event)

    @property
    def _of_pairs(self) -> bool:
        """Whether something is asked for that only pairs have."""
        return bool(self.tenants or self.endpoints or self.sagas)

    def _matches_pair(self, pair: PairId, places: set[str]) -> bool:
        tenant, *ends = pair.split(".")
        named = {*ends, *(f"{tenant}.{end}" for end in ends)}
        return (
            (not self.tenants or tenant in self.tenants)
            and (not self.endpoints or not named.isdisjoint(self.endpoints))
            and self._matches_places(places)
        )

    def _matches_saga(self, event: Event) -> bool:
        if not self.sagas:
            return True
        return {getattr(event, "saga", ""), getattr(event, "pair", "")}.intersection(self.sagas) != set()

    def _matches_places(self, places: set[str]) -> bool:
        return (not self.hosts or any(f"host:{name}" in places for name in self.hosts)) and (
            not self.switches or any(f"switch:{name}" in places for name in self.switches)
        )

    def _matches_subject(self, subject: str) -> bool:
        """A dead letter belongs to whom its subject names."""
        tokens = subject.split(".")
        asked = (self.tenants, self.endpoints, self.hosts, self.switches)
        return not self.sagas and all(not wanted or any(name in tokens for name in wanted) for wanted in asked)

    def _learn(self, event: Event) -> None:
        if not isinstance(event, _NOT_OF_A_PAIR) and (targets := _targets(event)):
            self.learned.setdefault(event.pair, set()).update(targets)

    def _places(self, pair: PairId) -> set[str]:
        places = set(self.learned.get(pair, ()))
        known = self.inventory.pair_by_id(pair) if self.inventory else None
        if known is not None and self.inventory is not None:
            for end in (known.a, known.b):
                places |= {f"host:{end.host}", f"switch:{self.inventory.switch_of(end).name}"}
        return places


def _targets(event: Event) -> set[str]:
    match event:
        case SagaStep():
            return set(event.targets)
        case SwitchCommand():
            return {f"switch:{event.switch}"}
        case HostCommand():
            return {f"host:{event.host}"}
        case StepReport():
            return {event.target}
        case _:
            return set()
