"""What a pair needs on which target: the items of each installing phase, and what a target should hold in all.

Pure functions of the inventory, the pair and the VLAN ids given to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ezpath.inventory import Endpoint, Inventory, Pair
from ezpath.items import EndpointLocal, EndpointRemote, Item, ReceiveRule, SendRule, TenantTag
from ezpath.names import VlanId
from ezpath.saga.model import Saga, World
from ezpath.saga.phases import HOLDS, REMOVES, Phase

Target = str
"""``switch:<name>`` or ``host:<name>``."""

Steps = Mapping[Phase, Mapping[Target, tuple[Item, ...]]]


def steps(pair: Pair, vids: tuple[VlanId, VlanId], inventory: Inventory) -> Steps:
    """Everything that offloading ``pair`` installs. ``vids`` are the tags on a's and on b's host link."""
    plan: dict[Phase, dict[Target, tuple[Item, ...]]] = {}

    def add(phase: Phase, target: Target, *items: Item) -> None:
        at = plan.setdefault(phase, {})
        at[target] = (*at.get(target, ()), *items)

    for (me, my_vid), peer in (((pair.a, vids[0]), pair.b), ((pair.b, vids[1]), pair.a)):
        for phase, target, item in _one_side(me, my_vid, peer, inventory):
            add(phase, target, item)
    return plan


def _one_side(me: Endpoint, vid: VlanId, peer: Endpoint, inventory: Inventory) -> Iterator[tuple[Phase, Target, Item]]:
    host, here, there = inventory.hosts[me.host], inventory.switch_of(me), inventory.switch_of(peer)
    switch_target, host_target = f"switch:{here.name}", f"host:{host.name}"
    yield Phase.SWITCH_RECEIVE, switch_target, EndpointLocal(me.vni, me.mac, host.port, vid)
    yield Phase.SWITCH_SEND, switch_target, TenantTag(host.port, vid, me.vni)
    if here.name != there.name:
        remote = EndpointRemote(me.vni, peer.mac, here.config.vtep, there.config.vtep)
        yield Phase.SWITCH_SEND, switch_target, remote
    yield Phase.HOST_RECEIVE, host_target, ReceiveRule(me.vni, vid, me.mac)
    yield Phase.HOST_SEND, host_target, SendRule(me.vni, me.mac, peer.mac, vid)


def steps_of(saga: Saga, inventory: Inventory) -> Steps:
    """The plan that ``saga`` follows. Raises KeyError where the inventory no longer knows the pair."""
    pair = inventory.pair_by_id(saga.pair)
    if pair is None:
        raise KeyError(f"pair {saga.pair} is not in the inventory")
    return steps(pair, saga.vids, inventory) if saga.vids else {}


def held(saga: Saga, inventory: Inventory) -> Iterator[tuple[Target, Item]]:
    """What ``saga`` needs to stay where it is."""
    phases = HOLDS[saga.phase]
    if not phases:
        return
    plan = steps_of(saga, inventory)
    for phase in phases:
        for target, items in plan.get(phase, {}).items():
            for item in items:
                yield target, item


def to_put(saga: Saga, inventory: Inventory) -> Mapping[Target, tuple[Item, ...]]:
    """What the saga's phase installs, by target."""
    return steps_of(saga, inventory).get(saga.phase, {})


def to_remove(saga: Saga, world: World, inventory: Inventory) -> Mapping[Target, tuple[Item, ...]]:
    """What the saga's phase takes off, by target: its own items that no other saga holds."""
    kept = {entry for other in world.sagas.values() if other.pair != saga.pair for entry in held(other, inventory)}
    plan = steps_of(saga, inventory)
    removed: dict[Target, tuple[Item, ...]] = {}
    for phase in REMOVES.get(saga.phase, ()):
        for target, items in plan.get(phase, {}).items():
            free = tuple(item for item in items if (target, item) not in kept)
            if free:
                removed[target] = (*removed.get(target, ()), *free)
    return removed


def desired(world: World, inventory: Inventory) -> Mapping[Target, frozenset[Item]]:
    """All that ought to be installed now, by target: what a writer that starts from nothing puts there."""
    wanted: dict[Target, set[Item]] = {f"switch:{name}": set() for name in inventory.switches}
    wanted.update({f"host:{name}": set() for name in inventory.hosts})
    for saga in world.sagas.values():
        for target, item in held(saga, inventory):
            wanted[target].add(item)
    return {target: frozenset(items) for target, items in wanted.items()}
