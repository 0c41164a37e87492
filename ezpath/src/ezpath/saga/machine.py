"""The transition function: ``(world, input, now) -> (world, effects)``.

An input is turned into what happened to which saga; the table in ``phases.py`` says what follows, and ``turn.py`` does
it. What is not in the table (a late report, a request for what is under way) changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ezpath.events import OffloadRequested, RevertRequested, StepReport
from ezpath.inventory import Inventory, Pair
from ezpath.items import Item
from ezpath.saga import words
from ezpath.saga.effects import Effects
from ezpath.saga.model import Saga, Settings, World, but, rested_anew
from ezpath.saga.phases import FORWARD, On, Phase
from ezpath.saga.plan import Sides, Target, needed, sides_of
from ezpath.saga.turn import NEVER, Turn
from ezpath.saga.vlans import merged

Result = tuple[World, Effects]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: deadlines are looked at."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Those that wait go on, as far as there is room. A turn of its own: it takes up what others let go in theirs."""


@dataclass(frozen=True, slots=True)
class InventoryChanged:
    """The inventory that comes with it is another one: who is no longer where the record says is brought back."""


SagaInput = OffloadRequested | RevertRequested | StepReport | Tick | Admit | InventoryChanged


def step(world: World, event: SagaInput, now: float, inventory: Inventory, settings: Settings) -> Result:
    """One transition. ``now`` in seconds; it may stand still but must not go back."""
    turn = Turn(world, now, inventory, settings)
    match event:
        case OffloadRequested():
            _offload(turn, event)
        case RevertRequested():
            _revert(turn, event)
        case StepReport():
            _report(turn, event)
        case InventoryChanged():
            for pair in sorted(world.sagas):
                _bring_back(turn, replace(world.sagas[pair], requested_at=now))
        case Admit():
            while (waiting := turn.world.crowd.next(settings.under_way_most)) is not None:
                _grant(turn, turn.world.sagas[waiting])
        case Tick():
            for saga in [saga for saga in world.sagas.values() if saga.deadline <= now]:
                turn.happen(saga, On.DEADLINE, words.silence(saga, now))
    return turn.result()


def resume(world: World, now: float, inventory: Inventory, settings: Settings) -> Result:
    """A decider starts, with the records that were kept. Every saga under way asks again for the phase it is in."""
    turn = Turn(world, now, inventory, settings)
    for pair in sorted(world.sagas):
        saga = _by_the_new_clock(turn, world.sagas[pair])
        if not _bring_back(turn, saga) and not saga.told:
            turn.happen(saga, On.RESUMED, "resumed")
    return turn.result(wants=desired(turn.world, inventory))


def desired(world: World, inventory: Inventory) -> Mapping[Target, frozenset[Item]]:
    """All that ought to be installed now, by target: what a writer that starts from nothing puts there."""
    known = [f"switch:{name}" for name in inventory.switches] + [f"host:{name}" for name in inventory.hosts]
    return {target: world.holds.items(target) for target in dict.fromkeys((*known, *sorted(world.holds.by_target)))}


def _offload(turn: Turn, event: OffloadRequested) -> None:
    current = turn.world.sagas.get(event.pair)
    if current is not None and (not current.ended or current.offload_asked_at == event.at):
        return
    saga = Saga(
        pair=event.pair,
        tenant=event.tenant,
        attempt=current.attempt + 1 if current else 1,
        phase=Phase.REQUESTED,
        goal="active",
        generation=turn.world.generation + 1,
        requested_at=turn.now,
        entered_at=turn.now,
        deadline=NEVER,
        rests=merged(current.rests, turn.now) if current else (),
        offload_asked_at=event.at,
        revert_asked_at=current.revert_asked_at if current else float("-inf"),
        rate_bps=event.rate_bps,
        reason=event.reason,
    )
    crowd = turn.world.crowd
    if crowd.waiting or crowd.under_way >= turn.settings.under_way_most:
        turn.enter(saga)
        turn.happen(saga, On.CROWDED, words.crowded(crowd.under_way, len(crowd.waiting)))
        return
    _grant(turn, saga)


def _grant(turn: Turn, saga: Saga) -> None:
    """It is its turn: if it can be, it begins."""
    pair = turn.inventory.pair_by_id(saga.pair)
    refusal = words.refusal(pair, saga)
    granted = _tags(turn, pair) if pair is not None and not refusal else refusal
    if isinstance(granted, str):
        turn.happen(saga, On.REFUSED, granted)
        return
    if blocked := turn.world.holds.in_the_way(needed(granted)):
        turn.happen(saga, On.REFUSED, words.not_clear(*blocked))
        return
    saga = but(saga, sides=granted)
    turn.say(words.step_event(saga, saga, turn.now, saga.reason))
    turn.happen(saga, On.GRANTED)


def _tags(turn: Turn, pair: Pair) -> Sides | str:
    """Both sides of ``pair``, tags and all; or why not."""
    vids = []
    for end in (pair.a, pair.b):
        vlans = turn.inventory.hosts[end.host].config.vlans
        numbers = turn.settings.shard.vlan_ids(vlans.first, vlans.last)
        vid = turn.world.tags.allocate(end.host, pair.tenant, turn.now, numbers)
        if vid is None:
            return f"no VLAN id is free on host {end.host}"
        vids.append(vid)
    return sides_of(pair, (vids[0], vids[1]), turn.inventory)


def _revert(turn: Turn, event: RevertRequested) -> None:
    saga = turn.world.sagas.get(event.pair)
    if saga is None or saga.revert_asked_at == event.at:
        return
    # The outcome's time is that of what was asked last: the way back, not the whole stay on the switch.
    asked = but(saga, revert_asked_at=event.at, requested_at=turn.now)
    turn.happen(asked, On.REVERT, event.reason)


def _bring_back(turn: Turn, saga: Saga) -> bool:
    """Revert it where the inventory no longer has its ends where its record says. Says whether it had to."""
    moved = words.moved(saga, turn.inventory) if saga.phase in FORWARD or saga.phase is Phase.ACTIVE else ""
    if moved:
        turn.happen(saga, On.REVERT, moved)
    return bool(moved)


def _report(turn: Turn, event: StepReport) -> None:
    saga = turn.world.sagas.get(event.pair)
    if saga is None or not _fits(saga, event):
        return
    if event.ok:
        saga = but(saga, waiting=saga.waiting - {event.target})
        turn.world = turn.world.with_saga(saga)
        turn.confirmed(saga)
    elif event.reason.startswith("stale"):
        # So the writers say that a newer command spoke about something shared.
        turn.happen(saga, On.OVERTAKEN, event.reason)
    else:
        turn.happen(saga, On.FAILED, f"{event.target}: {event.reason}")


def _by_the_new_clock(turn: Turn, saga: Saga) -> Saga:
    """Another decider's clock may have stood elsewhere: nothing lies in the future, and all tags rest anew."""
    saga = replace(
        rested_anew(saga, turn.now + turn.settings.quarantine_s),
        requested_at=min(saga.requested_at, turn.now),
        entered_at=min(saga.entered_at, turn.now),
    )
    turn.world = turn.world.with_saga(saga)
    return saga


def _fits(saga: Saga, event: StepReport) -> bool:
    """It answers what was asked last. Anything else is late, or of somebody else, and is not listened to (I4)."""
    return (
        event.saga == saga.id
        and event.generation == saga.generation
        and event.phase == saga.phase
        and event.target in saga.waiting
    )
