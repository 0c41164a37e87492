"""A checked inventory: plain values, and the look-ups that services need. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from ezpath.inventory.document import Document, EndpointConfig, HostConfig, SwitchConfig
from ezpath.names import EndpointName, HostName, Mac, PairId, Port, SwitchName, Tenant, Vni, pair_id

FILE = "file"


@dataclass(frozen=True)
class Endpoint:
    name: EndpointName
    tenant: Tenant
    vni: Vni
    mac: Mac
    ip: str
    host: HostName
    interface: str
    importance: float = 1.0
    kind: str = ""
    source: str = FILE
    """Who told of it: a source's name, or the file itself."""


@dataclass(frozen=True)
class Switch:
    name: SwitchName
    rack: str
    config: SwitchConfig


@dataclass(frozen=True)
class Host:
    name: HostName
    switch: SwitchName
    port: Port
    config: HostConfig


@dataclass(frozen=True)
class Pair:
    """Two endpoints of one tenant, in the order of their names: the unit that is offloaded."""

    id: PairId
    tenant: Tenant
    vni: Vni
    a: Endpoint
    b: Endpoint


class Inventory:
    """A checked inventory with the look-ups that services need."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.tenants: Mapping[Tenant, Vni] = {Tenant(n): Vni(t.vni) for n, t in document.tenants.items()}
        self.switches: Mapping[SwitchName, Switch] = {
            SwitchName(n): Switch(SwitchName(n), s.rack, s) for n, s in document.switches.items()
        }
        self.hosts: Mapping[HostName, Host] = {
            HostName(n): Host(HostName(n), SwitchName(h.switch), Port(h.port), h) for n, h in document.hosts.items()
        }
        self.endpoints: Mapping[EndpointName, Endpoint] = {
            EndpointName(e.name): endpoint_of(e, self.tenants[Tenant(e.tenant)]) for e in document.endpoints
        }

    def with_endpoints(self, endpoints: Iterable[Endpoint]) -> Inventory:
        """The same network with these endpoints instead, which may bring tenants that it did not know.

        Those on hosts that it does not know are left out.
        """
        other = copy(self)
        other.__dict__.pop("by_address", None)
        other.endpoints = {endpoint.name: endpoint for endpoint in endpoints if endpoint.host in self.hosts}
        other.tenants = {**self.tenants, **{endpoint.tenant: endpoint.vni for endpoint in other.endpoints.values()}}
        return other

    @cached_property
    def by_address(self) -> Mapping[tuple[Vni, Mac], Endpoint]:
        """(VNI, MAC) to endpoint: what a monitor cell's key means."""
        return {(endpoint.vni, endpoint.mac): endpoint for endpoint in self.endpoints.values()}

    def pair(self, one: Endpoint, other: Endpoint) -> Pair:
        """The pair of two endpoints of one tenant. Raises ValueError for two tenants or twice the same endpoint."""
        if one.tenant != other.tenant or one.name == other.name:
            raise ValueError(f"{one.name} and {other.name} are no pair of one tenant")
        a, b = sorted((one, other), key=lambda endpoint: endpoint.name)
        return Pair(pair_id(one.tenant, a.name, b.name), one.tenant, one.vni, a, b)

    def pair_by_id(self, pair: PairId) -> Pair | None:
        """The pair named ``tenant.a.b``, or None where an endpoint of it is unknown."""
        parts = pair.split(".")
        if len(parts) != 3:
            return None
        one, other = self.endpoints.get(EndpointName(parts[1])), self.endpoints.get(EndpointName(parts[2]))
        if one is None or other is None or one.tenant != parts[0] or one.tenant != other.tenant or one == other:
            return None
        return self.pair(one, other)

    def switch_of(self, endpoint: Endpoint) -> Switch:
        return self.switches[self.hosts[endpoint.host].switch]


def endpoint_of(config: EndpointConfig, vni: Vni, source: str = FILE) -> Endpoint:
    """A checked endpoint, as services know it."""
    return Endpoint(
        name=EndpointName(config.name),
        tenant=Tenant(config.tenant),
        vni=vni,
        mac=Mac(config.mac),
        ip=config.ip,
        host=HostName(config.host),
        interface=config.interface,
        importance=config.importance,
        kind=config.kind,
        source=source,
    )
