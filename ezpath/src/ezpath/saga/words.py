"""What a saga says: its commands, its steps, its outcome, and why. Pure: values in, events out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from ezpath.events import HostCommand, OutcomeName, SagaOutcome, SagaStep, SwitchCommand
from ezpath.inventory import Inventory, Pair
from ezpath.items import HostItem, Item, SwitchItem
from ezpath.names import HostName, PairId, SwitchName
from ezpath.saga.effects import Command
from ezpath.saga.model import Saga
from ezpath.saga.phases import INSTALLS, Phase
from ezpath.saga.plan import Target, sides_of

_OUTCOMES: dict[Phase, OutcomeName] = {
    Phase.ACTIVE: "active",
    Phase.REVERTED: "reverted",
    Phase.ROLLED_BACK: "rolled-back",
}


def command(saga: Saga, target: Target, items: Iterable[Item], shard: int = 0) -> Command:
    """What ``saga`` asks of ``target`` in its phase."""
    kind, name = target.split(":", 1)
    # What a target is asked for is of its kind (``plan.py``): to look at each item for it would double the work.
    if kind == "switch":
        return _switch_command(saga, SwitchName(name), cast(tuple[SwitchItem, ...], tuple(items)), shard)
    return _host_command(saga, HostName(name), cast(tuple[HostItem, ...], tuple(items)), shard)


def _switch_command(saga: Saga, switch: SwitchName, items: tuple[SwitchItem, ...], shard: int) -> SwitchCommand:
    put, remove = (items, ()) if saga.phase in INSTALLS else ((), items)
    return SwitchCommand(saga.id, saga.pair, saga.generation, saga.phase.value, switch, put, remove, shard)


def _host_command(saga: Saga, host: HostName, items: tuple[HostItem, ...], shard: int) -> HostCommand:
    put, remove = (items, ()) if saga.phase in INSTALLS else ((), items)
    return HostCommand(saga.id, saga.pair, saga.generation, saga.phase.value, host, put, remove, shard)


def step_event(saga: Saga, came_from: Saga, now: float, reason: str) -> SagaStep:
    """``saga`` is in its phase, after that of ``came_from``."""
    return SagaStep(
        saga=saga.id,
        pair=saga.pair,
        tenant=saga.tenant,
        generation=saga.generation,
        phase=saga.phase.value,
        previous=came_from.phase.value,
        at=now,
        took_ms=(now - came_from.entered_at) * 1e3,
        targets=tuple(sorted(saga.waiting)),
        reason=reason,
    )


def outcome(saga: Saga) -> SagaOutcome:
    """``saga`` is at rest."""
    took_ms = (saga.entered_at - saga.requested_at) * 1e3
    return SagaOutcome(saga.id, saga.pair, saga.tenant, _OUTCOMES[saga.phase], saga.entered_at, took_ms, saga.reason)


def silence(saga: Saga, now: float) -> str:
    """Why a deadline passed."""
    if saga.phase is Phase.DRAIN:
        return ""
    silent = ", ".join(sorted(saga.waiting))
    if saga.phase in INSTALLS:
        return f"deadline: no answer from {silent} in {now - saga.entered_at:.1f} s"
    return f"waiting: no answer from {silent}, asked again"


def crowded(under_way: int, waiting: int) -> str:
    """Why an offload does not begin yet."""
    return f"{under_way} sagas are under way, {waiting} wait already"


def refusal(pair: Pair | None, saga: Saga) -> str:
    """Why the offload cannot be; empty where it can."""
    if pair is None:
        return f"pair {saga.pair} is not in the inventory"
    if pair.tenant != saga.tenant:
        return f"pair {saga.pair} is not of tenant {saga.tenant}"
    if pair.a.host == pair.b.host:
        return f"both endpoints are on host {pair.a.host}: their frames meet no switch"
    return ""


def not_clear(target: Target, other: PairId) -> str:
    """Why an offload has to wait: an endpoint moved, and what was installed for its old place is still there."""
    return f"{target} still has what pair {other} needed before an endpoint moved: ask again when it is reverted"


def moved(saga: Saga, inventory: Inventory) -> str:
    """Why what was installed for ``saga`` is not what it needs any more; empty where it is."""
    pair = inventory.pair_by_id(saga.pair)
    if pair is None:
        return f"the inventory no longer has pair {saga.pair}"
    if saga.vids is not None and sides_of(pair, saga.vids, inventory) != saga.sides:
        return f"the inventory now has an endpoint of {saga.pair} elsewhere"
    return ""
