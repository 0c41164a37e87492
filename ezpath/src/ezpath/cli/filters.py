"""Which events somebody wants to see: by tenant, host and switch. Pure.

Several values of one kind widen, several kinds narrow: ``--tenant red --host h11 --host h12`` is what red does on
either host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ezpath.events import (
    DeadLetter,
    FlowLine,
    FlowsSnapshot,
    HostCommand,
    JsonEvent,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TargetState,
)
from ezpath.inventory import Inventory
from ezpath.names import PairId


@dataclass(slots=True)
class Filter:
    """Empty collections let everything through."""

    tenants: Collection[str] = ()
    hosts: Collection[str] = ()
    switches: Collection[str] = ()
    inventory: Inventory | None = None
    _learned: dict[str, set[str]] = field(default_factory=dict)
    """Targets seen so far for each pair: where an inventory does not say, its sagas do."""

    def matches(self, event: JsonEvent) -> bool:
        """Whether ``event`` is asked for. Remembers the targets it names."""
        self._learn(event)
        if isinstance(event, DeadLetter):
            return self._matches_subject(event.subject)
        if isinstance(event, FlowsSnapshot):
            return True
        if isinstance(event, SwitchTables):
            return not self.switches or event.switch in self.switches
        if isinstance(event, TargetState):
            return not self.tenants and self._matches("", {event.target})
        return self._matches(event.pair.split(".", 1)[0], self._places(event.pair) | _targets(event))

    def matches_flow(self, flow: FlowLine) -> bool:
        """Whether a line of the flows table is asked for."""
        places = self._places(flow.pair) | {f"switch:{name}" for name in flow.switches}
        return self._matches(flow.tenant, places)

    def _matches(self, tenant: str, places: set[str]) -> bool:
        return (
            (not self.tenants or tenant in self.tenants)
            and (not self.hosts or any(f"host:{name}" in places for name in self.hosts))
            and (not self.switches or any(f"switch:{name}" in places for name in self.switches))
        )

    def _matches_subject(self, subject: str) -> bool:
        """A dead letter belongs to whom its subject names."""
        tokens = subject.split(".")
        return all(
            not wanted or any(name in tokens for name in wanted) for wanted in (self.tenants, self.hosts, self.switches)
        )

    def _learn(self, event: JsonEvent) -> None:
        if not isinstance(event, DeadLetter | FlowsSnapshot | SwitchTables | TargetState) and (
            targets := _targets(event)
        ):
            self._learned.setdefault(event.pair, set()).update(targets)

    def _places(self, pair: PairId) -> set[str]:
        places = set(self._learned.get(pair, ()))
        known = self.inventory.pair_by_id(pair) if self.inventory else None
        if known is not None and self.inventory is not None:
            for end in (known.a, known.b):
                places |= {f"host:{end.host}", f"switch:{self.inventory.switch_of(end).name}"}
        return places


def _targets(event: JsonEvent) -> set[str]:
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
