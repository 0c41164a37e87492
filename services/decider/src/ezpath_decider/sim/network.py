"""A data centre to simulate: racks, hosts, containers of tenants, and who talks to whom. Pure, from a seed.

Containers are replicas of services; a service calls a few others of its tenant, each replica a few replicas of them.
That is where flows share endpoints, and where a database's one entry serves a thousand clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ezpath_decider.columns import F64, I32, Indices
from ezpath_decider.directory import Directory

FIRST_MAC = 0x02 << 40
FIRST_VNI = 5000


@dataclass(frozen=True, slots=True)
class Size:
    """How large. ``spare``: empty places beside each container, for those that are started anew."""

    racks: int = 16
    hosts_per_rack: int = 20
    containers_per_host: int = 10
    tenants: int = 40
    peers: float = 4.0
    """Containers that one calls, on average."""
    spare: float = 0.1

    @classmethod
    def of(cls, racks: int, hosts: int, containers: int, tenants: int) -> Size:
        """In all. Raises :class:`ValueError` where racks or hosts would not be alike."""
        if hosts % racks or containers % hosts:
            raise ValueError(
                f"{hosts} hosts in {racks} racks, {containers} containers on {hosts} hosts: give numbers that come out "
                "even, such as 8, 80 and 800"
            )
        return cls(racks, hosts // racks, containers // hosts, min(tenants, containers))

    @property
    def containers(self) -> int:
        return self.racks * self.hosts_per_rack * self.containers_per_host


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Who talks to whom, and how much: one row a pair of containers (not of places)."""

    caller: Indices
    callee: Indices
    weight: F64
    """Its share of all requests; they add up to 1."""


class _Numbered(Sequence[str]):
    """``c0``, ``c1``, …, made when they are asked for."""

    def __init__(self, prefix: str, count: int) -> None:
        self._prefix, self._count = prefix, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        if not 0 <= number < self._count:
            raise IndexError(number)
        return f"{self._prefix}{int(number)}"


def places(size: Size, rng: np.random.Generator) -> tuple[Directory, I32]:
    """Endpoints for all containers and the spare ones, and the tenant of each container.

    Tenants are of very different sizes; where a container runs has nothing to do with whose it is.
    """
    share = rng.permutation(1.0 / np.arange(1, size.tenants + 1) ** 0.8)
    tenant = np.sort(rng.choice(size.tenants, size.containers, p=share / share.sum())).astype(np.int32)
    spare = rng.choice(tenant, max(size.tenants, int(size.containers * size.spare)))
    owners = np.concatenate([tenant, spare]).astype(np.int32)
    hosts = size.racks * size.hosts_per_rack
    host = rng.permutation(np.arange(len(owners)) % hosts).astype(np.int32)
    directory = Directory(
        names=_Numbered("c", len(owners)),
        vni=(FIRST_VNI + owners).astype(np.uint64),
        mac=FIRST_MAC + np.arange(len(owners), dtype=np.uint64),
        tenant=owners,
        host=host,
        importance=np.ones(len(owners), np.float32),
        tenants=_Numbered("t", size.tenants),
        hosts=_Numbered("h", hosts),
        host_switch=(np.arange(hosts) // size.hosts_per_rack).astype(np.int32),
        switches=_Numbered("tor", size.racks),
        switch_rack=np.arange(size.racks, dtype=np.int32),
        racks=_Numbered("r", size.racks),
    )
    return directory, tenant


def calls(tenant: I32, size: Size, rng: np.random.Generator) -> Calls:
    """Services of 1 to 100 replicas with heavy-tailed popularity; each calls one or two others of its tenant."""
    containers = len(tenant)
    service = _services(tenant, rng)
    first = np.flatnonzero(np.append(True, service[1:] != service[:-1]))
    count = np.diff(np.append(first, containers))
    of_tenant = tenant[first]
    # Which services a service calls: any of the same tenant's.
    tenant_first = np.searchsorted(of_tenant, of_tenant, side="left")
    tenant_count = np.searchsorted(of_tenant, of_tenant, side="right") - tenant_first
    fan_out = 1 + rng.poisson(0.5, len(first))
    edge_from = np.repeat(np.arange(len(first)), fan_out)
    edge_to = tenant_first[edge_from] + rng.integers(0, tenant_count[edge_from])
    popularity = rng.lognormal(0.0, 2.0, len(edge_from))
    # Each replica of the caller has a few connections to replicas of the callee.
    per_replica = max(1, round(size.peers / 1.5))
    edge = np.repeat(np.arange(len(edge_from)), count[edge_from] * per_replica)
    within = np.arange(len(edge)) - np.repeat(
        np.cumsum(count[edge_from] * per_replica) - count[edge_from] * per_replica, count[edge_from] * per_replica
    )
    caller = first[edge_from[edge]] + within // per_replica
    callee = first[edge_to[edge]] + rng.integers(0, count[edge_to[edge]])
    weight = popularity[edge] * rng.lognormal(0.0, 1.0, len(edge))
    return _once_each(caller, callee, weight)


def _services(tenant: I32, rng: np.random.Generator) -> Indices:
    """The service of each container: runs of 1 to 100 within a tenant, small ones many, large ones few."""
    sizes = np.minimum(100, rng.pareto(1.2, len(tenant)) * 2 + 1).astype(np.intp)
    ends = np.cumsum(sizes)
    new = np.zeros(len(tenant), np.bool_)
    new[np.append(0, ends[ends < len(tenant)])] = True
    new[1:] |= tenant[1:] != tenant[:-1]
    return np.cumsum(new) - 1


def _once_each(caller: Indices, callee: Indices, weight: F64) -> Calls:
    kept = np.flatnonzero(caller != callee)
    low, high = np.minimum(caller, callee)[kept], np.maximum(caller, callee)[kept]
    _, first = np.unique(low.astype(np.int64) << 32 | high, return_index=True)
    chosen = kept[first]
    return Calls(caller[chosen], callee[chosen], weight[chosen] / weight[chosen].sum())
