"""Is all well? What `ezpath status` makes of the services' answers. Pure.

An alarm is what an operator should look at: a service that does not answer, a switch or host that is not as it ought to
be, a saga that waits for somebody who has been asked before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ezpath.answers import SagaUnderWay, ServiceStatus
from ezpath.cli.lines import duration
from ezpath.events import SwitchTables, TargetState
from ezpath.lag import Backlog, StreamUse

SERVICES = ("collector", "decider", "switch-writer", "host-writer")
MUCH = 1000
"""Messages that wait for one consumer: more than a burst leaves for a moment."""
_BEST_FIRST = ("in-sync", "differs", "starting", "unreachable", "standby")
"""Of several writers' words on one target the best is believed: one of them has it, the others stand by."""


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that is shown, in order."""

    at: float
    services: tuple[ServiceStatus, ...]
    targets: tuple[TargetState, ...]
    tables: tuple[SwitchTables, ...]
    stream: StreamUse | None
    active: int
    under_way: int
    sagas: tuple[SagaUnderWay, ...]
    alarms: tuple[str, ...]
    owners: Mapping[str, Mapping[str, str]]
    """Switch or host to service to the instance of it that has it: that polls it, or writes it."""

    @property
    def well(self) -> bool:
        return not self.alarms


def judge(
    answers: Iterable[ServiceStatus], expected: Collection[str], at: float, stream: StreamUse | None = None
) -> Health:
    """``expected``: the switches and hosts that somebody has to write. ``at``: now, Unix time."""
    services = tuple(sorted(answers, key=lambda each: (each.service, each.instance)))
    states = _best(state for each in services for state in each.targets)
    sagas = tuple(sorted((saga for each in services for saga in each.sagas), key=lambda saga: saga.since))
    owners = owners_of(services)
    alarms = (
        *_of_services(services, at),
        *_of_polling(services, {*expected, *(state.target for state in states)}, owners),
        *(f"{target}: no writer answers for it" for target in sorted(set(expected) - {s.target for s in states})),
        *_of_targets(states, at),
        *_of_sagas(sagas, at),
        *_of_backlogs(stream.backlogs if stream else ()),
    )
    tables = _newest(tables for each in services for tables in each.tables)
    active, under_way = sum(each.active for each in services), sum(each.under_way for each in services)
    return Health(at, services, states, tables, stream, active, under_way, sagas, alarms, owners)


def owners_of(services: Iterable[ServiceStatus]) -> dict[str, dict[str, str]]:
    """Who has what; where two say so, for one may just have lost it, both."""
    owners: dict[str, dict[str, str]] = {}
    for each in services:
        for target in each.owns:
            named = owners.setdefault(target, {})
            named[each.service] = " ".join(filter(None, (named.get(each.service), each.instance)))
    return owners


def complete(answers: Collection[ServiceStatus], expected: Collection[str]) -> bool:
    """Whether everybody has answered who has to."""
    told = {state.target for answer in answers for state in answer.targets}
    polled = {target for answer in answers if answer.service == "collector" for target in answer.owns}
    switches = {target for target in expected if target.startswith("switch:")}
    return (
        {answer.service for answer in answers}.issuperset(SERVICES)
        and told.issuperset(expected)
        and polled.issuperset(switches)
    )


def _best(states: Iterable[TargetState]) -> tuple[TargetState, ...]:
    best: dict[str, TargetState] = {}
    for state in states:
        other = best.get(state.target)
        if other is None or _BEST_FIRST.index(state.state) < _BEST_FIRST.index(other.state):
            best[state.target] = state
    return tuple(sorted(best.values(), key=lambda state: (state.target.startswith("host:"), state.target)))


def _newest(told: Iterable[SwitchTables]) -> tuple[SwitchTables, ...]:
    """One word for each switch: of several writers', the last."""
    newest: dict[str, SwitchTables] = {}
    for tables in told:
        if tables.switch not in newest or newest[tables.switch].at < tables.at:
            newest[tables.switch] = tables
    return tuple(newest[name] for name in sorted(newest))


def _of_backlogs(backlogs: Iterable[Backlog]) -> Iterator[str]:
    for each in backlogs:
        if each.waiting >= MUCH:
            idle = "" if each.hungry else ", and nobody asks for them"
            yield f"{each.consumer}: {each.waiting} messages wait{idle}. See that its service runs and keeps up"


def _of_services(services: Collection[ServiceStatus], at: float) -> Iterator[str]:
    answering = {each.service for each in services}
    for name in SERVICES:
        if name not in answering:
            yield f"{name}: no answer. See that ezpath-{name} runs"
    for each in services:
        if not each.ready:
            yield f"{each.service} {each.instance}: not ready for {_for(at, each.started_at)}"


def _of_polling(
    services: Iterable[ServiceStatus], targets: Iterable[str], owners: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    if any(each.service == "collector" for each in services):
        for target in sorted(targets):
            if target.startswith("switch:") and "collector" not in owners.get(target, {}):
                yield f"{target}: no collector polls it"


def _of_targets(states: Iterable[TargetState], at: float) -> Iterator[str]:
    for state in states:
        if state.state != "in-sync":
            for_ms = max(0.0, at - state.since) * 1000
            yield f"{state.target}: {state.state} for {duration(for_ms)}" + (
                f": {state.reason}" if state.reason else ""
            )


def _of_sagas(sagas: Iterable[SagaUnderWay], at: float) -> Iterator[str]:
    for saga in sagas:
        if saga.tries:
            whom = ", ".join(saga.waiting) or "nobody"
            why = f" ({saga.reason})" if saga.reason else ""
            yield f"{saga.pair}: waits in {saga.phase} for {whom}, {_for(at, saga.since)}{why}"


def _for(at: float, since: float) -> str:
    return duration(max(0.0, at - since) * 1000)
