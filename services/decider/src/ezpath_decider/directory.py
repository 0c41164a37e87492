"""Who is where, as columns: endpoints by number, with their tenant, host, switch and weight.

Pure. Made from the inventory, or from bare columns where a million endpoints are only simulated. The decider's inner
parts know endpoints by these numbers; names are for the edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from ezpath.inventory import Endpoint, Inventory
from ezpath.names import EndpointName, PairId, mac_to_int, pair_id

from ezpath_decider.columns import F32, I32, NOWHERE, U64, Indices, KeyIndex

HALF = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)
_VNI_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_MAC_FACTOR = np.uint64(0x165667B19E3779F9)


@dataclass(frozen=True, eq=False)
class Directory:
    """Endpoint columns, and what their numbers mean. Equal lengths: ``names`` to ``importance``."""

    names: Sequence[str]
    vni: U64
    mac: U64
    tenant: I32
    host: I32
    importance: F32
    tenants: Sequence[str]
    hosts: Sequence[str]
    host_switch: I32
    """The switch of each host."""
    switches: Sequence[str]
    switch_rack: I32
    racks: Sequence[str]
    kinds: Sequence[str] = ()
    """Of application, by endpoint; none where nobody says."""

    @cached_property
    def switch(self) -> I32:
        """The switch of each endpoint."""
        return self.host_switch[self.host]

    @cached_property
    def tag(self) -> I32:
        """Which (host, tenant) an endpoint belongs to, numbered from 0: those of one share a tag on their port."""
        _, numbers = np.unique(self.host.astype(np.int64) * len(self.tenants) + self.tenant, return_inverse=True)
        return cast(I32, numbers.astype(np.int32))

    @cached_property
    def switch_number(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.switches)}

    @cached_property
    def _number(self) -> dict[tuple[str, str], int]:
        return {(self.tenants[self.tenant[number]], name): number for number, name in enumerate(self.names)}

    @cached_property
    def _addresses(self) -> tuple[KeyIndex, U64]:
        keys = digest(self.vni, self.mac)
        if len(np.unique(keys)) != len(keys):
            raise ValueError("two endpoints have the same VNI and MAC, or two pairs of them the same 64-bit digest")
        index = KeyIndex()
        index.rebuild(keys)
        return index, keys

    def prepare(self) -> None:
        """Make the look-up tables now, and not when they are first asked."""
        _ = self._number, self._addresses

    def weights(self, kinds: Mapping[str, float]) -> F32:
        """The importance of each endpoint, times that of its kind of application."""
        if not kinds or not self.kinds:
            return self.importance
        return self.importance * np.array([kinds.get(kind, 1.0) for kind in self.kinds], np.float32)

    def find(self, vni: U64, mac: U64) -> I32:
        """The endpoint of each address, :data:`NOWHERE` for those of nobody."""
        index, keys = self._addresses
        found = index.find(digest(vni, mac), keys)
        known = found != NOWHERE
        known[known] = (self.vni[found[known]] == vni[known]) & (self.mac[found[known]] == mac[known])
        return np.where(known, found, np.int32(NOWHERE))

    def number(self, tenant: str, name: str) -> int | None:
        """Of the endpoint that ``tenant`` calls ``name``; None where it has none."""
        return self._number.get((tenant, name))

    def pair_name(self, key: np.uint64 | int) -> PairId:
        """``tenant.a.b`` of a pair's key."""
        one, other = int(key) >> 32, int(key) & 0xFFFFFFFF
        return pair_id(self.tenants[self.tenant[one]], self.names[one], self.names[other])

    def pair_key(self, pair: PairId) -> int | None:
        """The reverse of :meth:`pair_name`; None where the directory does not know both ends."""
        tenant, _, names = pair.partition(".")
        one, _, other = names.partition(".")
        a, b = self._number.get((tenant, one)), self._number.get((tenant, other))
        return None if a is None or b is None or a == b else min(a, b) << 32 | max(a, b)


def succeed(before: Directory, inventory: Inventory) -> tuple[Directory, I32]:
    """The directory after ``before``, and the number there of each endpoint before; :data:`NOWHERE` for those gone.

    Who stayed comes first and in the same order, so that the smaller number of a pair is still that of the same end.
    """
    stayed: list[Endpoint] = []
    numbers = np.full(len(before.names), NOWHERE, np.int32)
    for number, name in enumerate(before.names):
        endpoint = inventory.endpoints.get(EndpointName(name))
        if endpoint is not None and endpoint.tenant == before.tenants[before.tenant[number]]:
            numbers[number] = len(stayed)
            stayed.append(endpoint)
    names = {endpoint.name for endpoint in stayed}
    new = [endpoint for name, endpoint in inventory.endpoints.items() if name not in names]
    directory = directory_of(inventory, [*stayed, *new])
    directory.prepare()
    return directory, numbers


def renumbered(keys: U64, numbers: I32) -> tuple[Indices, U64]:
    """Which pairs still have both ends, and their new keys. ``numbers`` as :func:`succeed` has them."""
    one, other = (numbers[each] for each in ends(keys))
    kept = np.flatnonzero((one != NOWHERE) & (other != NOWHERE))
    return kept, pair_keys(one[kept], other[kept])


def pair_keys(one: I32, other: I32) -> U64:
    """The key of each pair of endpoints: the smaller number, then the larger."""
    low, high = np.minimum(one, other).astype(np.uint64), np.maximum(one, other).astype(np.uint64)
    keys: U64 = low << HALF | high
    return keys


def ends(keys: U64) -> tuple[Indices, Indices]:
    """Both endpoints of each pair."""
    return (keys >> HALF).astype(np.intp), (keys & LOW).astype(np.intp)


def digest(vni: U64, mac: U64) -> U64:
    """An address in 64 bits of 72: equal ones of different addresses are as good as impossible, and looked for."""
    return vni * _VNI_FACTOR ^ mac * _MAC_FACTOR


def directory_of(inventory: Inventory, endpoints: Sequence[Endpoint] | None = None) -> Directory:
    """The inventory's endpoints, in its order or in that of ``endpoints``."""
    tenants, hosts, switches = list(inventory.tenants), list(inventory.hosts), list(inventory.switches)
    racks = list(dict.fromkeys(switch.rack for switch in inventory.switches.values()))
    tenant_number = {name: number for number, name in enumerate(tenants)}
    host_number = {name: number for number, name in enumerate(hosts)}
    switch_number = {name: number for number, name in enumerate(switches)}
    endpoints = list(inventory.endpoints.values()) if endpoints is None else endpoints
    return Directory(
        names=[e.name for e in endpoints],
        vni=np.array([e.vni for e in endpoints], np.uint64),
        mac=np.array([mac_to_int(e.mac) for e in endpoints], np.uint64),
        tenant=np.array([tenant_number[e.tenant] for e in endpoints], np.int32),
        host=np.array([host_number[e.host] for e in endpoints], np.int32),
        importance=np.array([e.importance for e in endpoints], np.float32),
        tenants=tenants,
        hosts=hosts,
        host_switch=np.array([switch_number[inventory.hosts[name].switch] for name in hosts], np.int32),
        switches=switches,
        switch_rack=np.array([racks.index(inventory.switches[name].rack) for name in switches], np.int32),
        racks=racks,
        kinds=[e.kind for e in endpoints],
    )
