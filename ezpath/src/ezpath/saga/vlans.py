"""Which VLAN id a tenant gets on a host's link, so that a late frame never reaches another tenant (I3).

Pure. A tenant has one tag on a host for all its pairs there. A tag that was let go rests until its last frames must
have arrived; meanwhile only the tenant that had it may have it again.
"""

from __future__ import annotations

from dataclasses import replace

from ezpath.inventory import Inventory
from ezpath.names import HostName, Tenant, VlanId
from ezpath.saga.model import Quarantine, Saga, World


def allocate(world: World, host: HostName, tenant: Tenant, now: float, inventory: Inventory) -> VlanId | None:
    """The tag of ``tenant`` on ``host``, or None where all are taken or at rest."""
    taken = in_use(world, host, inventory)
    for vid, owner in taken.items():
        if owner == tenant:
            return vid
    resting = {vid: rest for (where, vid), rest in world.quarantine.items() if where == host and rest.until > now}
    for vid in sorted(resting):
        if resting[vid].tenant == tenant and vid not in taken:
            return vid
    vlans = inventory.hosts[host].config.vlans
    for number in range(vlans.first, vlans.last + 1):
        if (vid := VlanId(number)) not in taken and vid not in resting:
            return vid
    return None


def in_use(world: World, host: HostName, inventory: Inventory) -> dict[VlanId, Tenant]:
    """The tags of sagas that have not ended, on ``host``."""
    taken: dict[VlanId, Tenant] = {}
    for saga in world.sagas.values():
        if saga.ended or saga.vids is None:
            continue
        pair = inventory.pair_by_id(saga.pair)
        if pair is None:
            continue
        for endpoint, vid in zip((pair.a, pair.b), saga.vids, strict=True):
            if endpoint.host == host:
                taken[vid] = saga.tenant
    return taken


def rest(world: World, saga: Saga, until: float, inventory: Inventory) -> World:
    """``saga`` ended: its tags rest. One that another pair of the tenant still uses is counted as in use anyway."""
    pair = inventory.pair_by_id(saga.pair)
    if pair is None or saga.vids is None:
        return world
    quarantine = dict(world.quarantine)
    for endpoint, vid in zip((pair.a, pair.b), saga.vids, strict=True):
        quarantine[(endpoint.host, vid)] = Quarantine(saga.tenant, until)
    return replace(world, quarantine=quarantine)
