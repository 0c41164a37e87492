"""The transition function: ``(world, input, now) -> (world, events)``.

Four inputs, and for each phase a clear answer to each; ``phases.py`` has the order. Whatever does not fit (a late
report, an older generation, a request for what is already under way) changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ezpath.events import (
    HostCommand,
    JsonEvent,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)
from ezpath.inventory import Inventory, Pair
from ezpath.items import HostItem, Item, SwitchItem
from ezpath.names import HostName, SwitchName
from ezpath.saga import vlans
from ezpath.saga.model import Goal, Saga, Settings, World
from ezpath.saga.phases import BACKWARD, FORWARD, INSTALLS, NEXT, UNDO, Phase
from ezpath.saga.plan import Target, to_put, to_remove

REST = float("inf")
Events = tuple[JsonEvent, ...]
Result = tuple[World, Events]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: deadlines are looked at."""


SagaInput = OffloadRequested | RevertRequested | StepReport | Tick


@dataclass(frozen=True, slots=True)
class _Context:
    now: float
    inventory: Inventory
    settings: Settings


def step(world: World, event: SagaInput, now: float, inventory: Inventory, settings: Settings) -> Result:
    """One transition. ``now`` in seconds; it may stand still but must not go back."""
    context = _Context(now, inventory, settings)
    match event:
        case OffloadRequested():
            return _offload(world, event, context)
        case RevertRequested():
            return _revert(world, event, context)
        case StepReport():
            return _report(world, event, context)
        case Tick():
            return _tick(world, context)


def resume(world: World, now: float, inventory: Inventory, settings: Settings) -> Result:
    """After a restart: every saga that is under way asks again for the step it is in, under a new generation."""
    context = _Context(now, inventory, settings)
    events: Events = ()
    for saga in list(world.sagas.values()):
        if saga.ended and saga.vids is not None:
            world = vlans.rest(world, saga, now + settings.quarantine_s, inventory)
        if saga.phase in FORWARD or saga.phase in BACKWARD:
            world, more = _enter(world, replace(saga, waiting=frozenset()), saga.phase, context, "resumed")
            events += more
    return world, events


# ---- the four inputs -------------------------------------------------------------------------------------------------


def _offload(world: World, event: OffloadRequested, context: _Context) -> Result:
    current = world.sagas.get(event.pair)
    if current is not None and not current.ended:
        return world, ()
    saga = Saga(
        pair=event.pair,
        tenant=event.tenant,
        attempt=current.attempt + 1 if current else 1,
        phase=Phase.REQUESTED,
        goal="active",
        generation=world.generation + 1,
        requested_at=context.now,
        entered_at=context.now,
        deadline=REST,
        reason=event.reason,
    )
    world = world.with_saga(saga)
    pair = context.inventory.pair_by_id(event.pair)
    refusal = _refusal(pair, event)
    if pair is None or refusal:
        return _end(world, saga, "rolled-back", refusal, context)
    vids = tuple(
        vlans.allocate(world, end.host, saga.tenant, context.now, context.inventory) for end in (pair.a, pair.b)
    )
    if vids[0] is None or vids[1] is None:
        host = pair.a.host if vids[0] is None else pair.b.host
        return _end(world, saga, "rolled-back", f"no VLAN id is free on host {host}", context)
    saga = replace(saga, vids=(vids[0], vids[1]))
    first = _step_event(saga, Phase.REQUESTED, (), saga.reason, context)
    world, events = _enter(world.with_saga(saga), saga, NEXT[Phase.REQUESTED], context, "")
    return world, (first, *events)


def _refusal(pair: Pair | None, event: OffloadRequested) -> str:
    if pair is None:
        return f"pair {event.pair} is not in the inventory"
    if pair.tenant != event.tenant:
        return f"pair {event.pair} is not of tenant {event.tenant}"
    if pair.a.host == pair.b.host:
        return f"both endpoints are on host {pair.a.host}: their frames meet no switch"
    return ""


def _revert(world: World, event: RevertRequested, context: _Context) -> Result:
    saga = world.sagas.get(event.pair)
    if saga is None or saga.phase not in UNDO:
        return world, ()
    # The outcome's time is that of what was asked last: the way back, not the whole stay on the switch.
    return _undo(world, replace(saga, requested_at=context.now), "reverted", event.reason, context)


def _report(world: World, event: StepReport, context: _Context) -> Result:
    saga = world.sagas.get(event.pair)
    if saga is None or not _fits(saga, event):
        return world, ()
    if event.ok:
        saga = replace(saga, waiting=saga.waiting - {event.target})
        world = world.with_saga(saga)
        return _advance(world, saga, context) if not saga.waiting else (world, ())
    if event.reason.startswith("stale"):
        # A newer command on something shared overtook this one. Nothing is wrong: ask again.
        return _enter(world, saga, saga.phase, context, event.reason, again=True)
    reason = f"{event.target}: {event.reason}"
    if saga.phase in FORWARD:
        return _undo(world, saga, "rolled-back", reason, context)
    # The way back has no way back: say so, and ask again when the deadline comes.
    return world, (_step_event(saga, saga.phase, tuple(sorted(saga.waiting)), f"waiting: {reason}", context),)


def _fits(saga: Saga, event: StepReport) -> bool:
    return (
        event.saga == saga.id
        and event.generation == saga.generation
        and event.phase == saga.phase
        and event.target in saga.waiting
    )


def _tick(world: World, context: _Context) -> Result:
    events: Events = ()
    for saga in list(world.sagas.values()):
        if saga.deadline > context.now:
            continue
        silent = ", ".join(sorted(saga.waiting))
        if saga.phase is Phase.DRAIN:
            world, more = _advance(world, saga, context)
        elif saga.phase in FORWARD:
            waited = context.now - saga.entered_at
            world, more = _undo(
                world, saga, "rolled-back", f"deadline: no answer from {silent} in {waited:.1f} s", context
            )
        else:
            again = f"waiting: no answer from {silent}, asked again"
            world, more = _enter(world, saga, saga.phase, context, again, again=True)
        events += more
    return _forget_rested(world, context.now), events


def _forget_rested(world: World, now: float) -> World:
    resting = {key: rest for key, rest in world.quarantine.items() if rest.until > now}
    return world if len(resting) == len(world.quarantine) else replace(world, quarantine=resting)


# ---- moving between phases -------------------------------------------------------------------------------------------


def _advance(world: World, saga: Saga, context: _Context) -> Result:
    """All targets have confirmed the phase."""
    if saga.phase is Phase.SWITCH_OFF:
        return _end(world, saga, saga.goal, saga.reason, context)
    return _enter(world, saga, NEXT[saga.phase], context, "")


def _undo(world: World, saga: Saga, goal: Goal, reason: str, context: _Context) -> Result:
    saga = replace(saga, goal=goal, reason=reason)
    return _enter(world, saga, UNDO[saga.phase], context, reason)


def _enter(world: World, saga: Saga, phase: Phase, context: _Context, reason: str, *, again: bool = False) -> Result:
    """Begin ``phase`` (or ask for it ``again``) under a new generation, and send its commands.

    A phase with nothing to do for anybody is left at once.
    """
    if phase is Phase.ACTIVE:
        return _activate(world, saga, context)
    previous, took_ms = saga.phase, (context.now - saga.entered_at) * 1e3
    tries = saga.tries + 1 if again else 0
    began = saga.entered_at if again else context.now
    saga = replace(saga, phase=phase, generation=world.generation + 1, entered_at=began, tries=tries)
    world = world.with_saga(saga)
    work = _work(world, saga, context.inventory)
    # Asked again, only those that have not answered are asked; what they are asked is worked out anew.
    targets = frozenset(work) & saga.waiting if again else frozenset(work)
    saga = replace(saga, waiting=targets, deadline=_deadline(saga, context))
    world = world.with_saga(saga)
    note = _step_event(saga, previous, tuple(sorted(targets)), reason, context, took_ms)
    if not targets and phase is not Phase.DRAIN:
        world, more = _advance(world, saga, context)
        return world, (note, *more)
    return world, (note, *(_command(saga, target, work[target]) for target in sorted(targets)))


def _work(world: World, saga: Saga, inventory: Inventory) -> Mapping[Target, tuple[Item, ...]]:
    return to_put(saga, inventory) if saga.phase in INSTALLS else to_remove(saga, world, inventory)


def _deadline(saga: Saga, context: _Context) -> float:
    settings = context.settings
    if saga.phase is Phase.DRAIN:
        return saga.entered_at + settings.drain_s
    if saga.phase in FORWARD:
        return saga.entered_at + settings.step_timeout_s
    return context.now + min(settings.retry_most_s, settings.retry_first_s * 2.0 ** min(saga.tries, 16))


def _activate(world: World, saga: Saga, context: _Context) -> Result:
    took_ms = (context.now - saga.entered_at) * 1e3
    active = replace(saga, phase=Phase.ACTIVE, entered_at=context.now, deadline=REST, waiting=frozenset(), tries=0)
    note = _step_event(active, saga.phase, (), active.reason, context, took_ms)
    return world.with_saga(active), (note, _outcome(active, "active", active.reason, context))


def _end(world: World, saga: Saga, goal: Goal, reason: str, context: _Context) -> Result:
    took_ms = (context.now - saga.entered_at) * 1e3
    phase = Phase.REVERTED if goal == "reverted" else Phase.ROLLED_BACK
    ended = replace(
        saga,
        phase=phase,
        goal=goal,
        reason=reason,
        entered_at=context.now,
        deadline=REST,
        waiting=frozenset(),
        tries=0,
    )
    world = vlans.rest(world.with_saga(ended), ended, context.now + context.settings.quarantine_s, context.inventory)
    note = _step_event(ended, saga.phase, (), reason, context, took_ms)
    outcome: Goal = "reverted" if phase is Phase.REVERTED else "rolled-back"
    return world, (note, _outcome(ended, outcome, reason, context))


# ---- what is said ----------------------------------------------------------------------------------------------------


def _command(saga: Saga, target: Target, items: tuple[Item, ...]) -> SwitchCommand | HostCommand:
    put, remove = (items, ()) if saga.phase in INSTALLS else ((), items)
    kind, name = target.split(":", 1)
    if kind == "switch":
        return SwitchCommand(
            saga.id,
            saga.pair,
            saga.generation,
            saga.phase.value,
            SwitchName(name),
            _switch(put),
            _switch(remove),
        )
    return HostCommand(saga.id, saga.pair, saga.generation, saga.phase.value, HostName(name), _host(put), _host(remove))


def _switch(items: tuple[Item, ...]) -> tuple[SwitchItem, ...]:
    return tuple(item for item in items if isinstance(item, SwitchItem))


def _host(items: tuple[Item, ...]) -> tuple[HostItem, ...]:
    return tuple(item for item in items if isinstance(item, HostItem))


def _step_event(
    saga: Saga,
    previous: Phase,
    targets: tuple[str, ...],
    reason: str,
    context: _Context,
    took_ms: float = 0.0,
) -> SagaStep:
    return SagaStep(
        saga=saga.id,
        pair=saga.pair,
        tenant=saga.tenant,
        generation=saga.generation,
        phase=saga.phase.value,
        previous=previous.value,
        at=context.now,
        took_ms=took_ms,
        targets=targets,
        reason=reason,
    )


def _outcome(saga: Saga, outcome: Goal, reason: str, context: _Context) -> SagaOutcome:
    took_ms = (context.now - saga.requested_at) * 1e3
    return SagaOutcome(saga.id, saga.pair, saga.tenant, outcome, context.now, took_ms, reason)
