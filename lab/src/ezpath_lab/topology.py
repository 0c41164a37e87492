"""What the lab consists of: racks, hosts, tenants, containers, links and all their addresses.

Pure. Everything else in this package reads names and addresses from here; :func:`inventory_document` is the same
network as EZPath's operator would describe it.

    red-11 blue-11 …   red-12 blue-12 …          red-21 blue-21 …   red-22 blue-22 …
         h11                h12                       h21                h22
          └──── tor1 ────────┘                         └──── tor2 ────────┘
                  └───────────────── spine ─────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

CONTAINER_MTU = 1450
"""The overlay's 50 bytes less than the host link's."""
HOST_LINK_MTU = 1500
FABRIC_MTU = 1600
"""At least 50 bytes more than the host link's: what a ToR's tunnel adds."""
TUNNEL_OCTETS = 50
"""What VXLAN adds to a frame: Ethernet, IPv4, UDP and VXLAN headers."""
UPLINK_PORT = 10
"""Every ToR's port towards the spine."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Tenants have the same addresses on purpose, IP and MAC: only the VNI tells them apart."""

    name: str
    vni: int


@dataclass(frozen=True, slots=True)
class Tor:
    """A top-of-rack switch. Port ``n`` is interface ``eth<n>`` of its namespace."""

    name: str
    rack: str
    device_id: int
    mac: str
    vtep: str
    uplink_address: str
    spine_address: str
    spine_mac: str


@dataclass(frozen=True, slots=True)
class LabHost:
    """A container host. Its link to the ToR is a /31 of which the ToR has the even address."""

    name: str
    tor: str
    port: int
    address: str
    gateway: str
    mac: str


@dataclass(frozen=True, slots=True)
class Container:
    """A network namespace that plays a container, attached to its host's integration bridge."""

    name: str
    tenant: str
    host: str
    ip: str
    mac: str
    ofport: int

    @property
    def interface(self) -> str:
        """The host's end of the veth pair, as OVS knows it."""
        return self.name


@dataclass(frozen=True)
class Topology:
    """The whole lab, as a value. Names of namespaces begin with ``prefix``."""

    prefix: str
    tenants: tuple[Tenant, ...]
    tors: tuple[Tor, ...]
    hosts: tuple[LabHost, ...]
    containers: tuple[Container, ...]
    spine: str = "spine"
    container_prefix_len: int = 24

    def namespace(self, node: str) -> str:
        """The namespace of a ToR, a host or the spine."""
        return f"{self.prefix}{node}"

    def container_namespace(self, container: str) -> str:
        return f"{self.prefix}c-{container}"

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces of the lab, switches and hosts first."""
        nodes = (*(tor.name for tor in self.tors), self.spine, *(host.name for host in self.hosts))
        return (
            *(self.namespace(node) for node in nodes),
            *(self.container_namespace(container.name) for container in self.containers),
        )

    def tor(self, name: str) -> Tor:
        return next(tor for tor in self.tors if tor.name == name)

    def host(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)

    def tenant(self, name: str) -> Tenant:
        return next(tenant for tenant in self.tenants if tenant.name == name)

    def container(self, name: str) -> Container:
        return next(container for container in self.containers if container.name == name)

    def on_host(self, host: str) -> tuple[Container, ...]:
        return tuple(container for container in self.containers if container.host == host)

    def of_tenant(self, tenant: str) -> tuple[Container, ...]:
        return tuple(container for container in self.containers if container.tenant == tenant)

    def hosts_of(self, tor: str) -> tuple[LabHost, ...]:
        return tuple(host for host in self.hosts if host.tor == tor)

    def ports_of(self, tor: str) -> tuple[tuple[int, str], ...]:
        """Number and interface of each port of a ToR."""
        numbers = (*(host.port for host in self.hosts_of(tor)), UPLINK_PORT)
        return tuple((number, f"eth{number}") for number in numbers)

    def vni_of(self, container: str) -> int:
        return self.tenant(self.container(container).tenant).vni


def two_racks(prefix: str = "ez-") -> Topology:
    """Two racks of two hosts; for each tenant a container on every host, and two more for short flows."""
    tenants = (Tenant("red", 5001), Tenant("blue", 5002))
    tors = tuple(
        Tor(
            name=f"tor{number}",
            rack=f"r{number}",
            device_id=number,
            mac=f"02:00:00:00:ff:{number:02x}",
            vtep=f"10.255.0.{number}",
            uplink_address=f"10.0.{number}.1",
            spine_address=f"10.0.{number}.0",
            spine_mac=f"02:00:00:00:fe:{number:02x}",
        )
        for number in (1, 2)
    )
    hosts = tuple(
        LabHost(
            name=f"h{rack}{place}",
            tor=f"tor{rack}",
            port=place,
            address=f"10.1.{rack}{place}.1",
            gateway=f"10.1.{rack}{place}.0",
            mac=f"02:00:00:00:{rack:02x}:{place:02x}",
        )
        for rack in (1, 2)
        for place in (1, 2)
    )
    places = [(host.name, host.name[1:], int(host.name[1:])) for host in hosts]
    # A few addresses of each tenant are the other's not: pinging one of those must fail.
    mice = {"red": ("11", "21"), "blue": ("12", "22")}
    containers: list[Container] = []
    for tenant in tenants:
        wanted = [(f"{tenant.name}-{digits}", host, last) for host, digits, last in places]
        wanted += [(f"{tenant.name}-m{digits}", f"h{digits}", 100 + int(digits)) for digits in mice[tenant.name]]
        for name, host, last in wanted:
            ofport = 1 + sum(other.host == host for other in containers)
            containers.append(_container(name, tenant.name, host, last, ofport))
    return Topology(prefix, tenants, tors, hosts, tuple(containers))


def crowded(per_host: int, prefix: str = "ez-") -> Topology:
    """The same racks and tenants, with ``per_host`` containers of each tenant on every host: many pairs."""
    plain = two_racks(prefix)
    containers: list[Container] = []
    for tenant in plain.tenants:
        for host in plain.hosts:
            for place in range(per_host):
                last = int(host.name[1:]) + 40 * place
                name = f"{tenant.name}-{host.name[1:]}" + (f"-{place + 1}" if place else "")
                ofport = 1 + sum(other.host == host.name for other in containers)
                containers.append(_container(name, tenant.name, host.name, last, ofport))
    return replace(plain, containers=tuple(containers))


def _container(name: str, tenant: str, host: str, last: int, ofport: int) -> Container:
    """As container runtimes do, the MAC is made of the address: two tenants have the same MACs too."""
    return Container(name, tenant, host, f"192.168.7.{last}", f"02:42:c0:a8:07:{last:02x}", ofport)


def inventory_document(topology: Topology, run_dir: Path) -> dict[str, Any]:
    """The lab as an EZPath inventory (see :mod:`ezpath.inventory`); sockets are under ``run_dir``."""
    return {
        "tenants": {tenant.name: {"vni": tenant.vni} for tenant in topology.tenants},
        "switches": {tor.name: _switch_document(topology, tor, run_dir) for tor in topology.tors},
        "hosts": {
            host.name: {
                "switch": host.tor,
                "port": host.port,
                "vtep": host.address,
                "ovsdb": f"unix:{ovs_dir(run_dir, host.name) / 'db.sock'}",
                "run_dir": str(ovs_dir(run_dir, host.name)),
            }
            for host in topology.hosts
        },
        "endpoints": [
            {
                "name": container.name,
                "tenant": container.tenant,
                "mac": container.mac,
                "ip": container.ip,
                "host": container.host,
                "interface": container.interface,
            }
            for container in topology.containers
        ],
    }


def _switch_document(topology: Topology, tor: Tor, run_dir: Path) -> dict[str, Any]:
    hosts = topology.hosts_of(tor.name)
    ports: list[dict[str, Any]] = [{"number": host.port, "address": host.gateway} for host in hosts]
    ports.append({"number": UPLINK_PORT, "address": tor.uplink_address, "fabric": True})
    routes = [{"prefix": f"{host.address}/32", "port": host.port, "next_hop": host.mac} for host in hosts]
    routes.append({"prefix": "0.0.0.0/0", "port": UPLINK_PORT, "next_hop": tor.spine_mac})
    return {
        "rack": tor.rack,
        "device_id": tor.device_id,
        "address": f"unix:{tor_socket(run_dir, tor.name)}",
        "vtep": tor.vtep,
        "mac": tor.mac,
        "ports": ports,
        "routes": routes,
    }


def tor_socket(run_dir: Path, tor: str) -> Path:
    """Where a ToR's P4Runtime server listens."""
    return run_dir / f"{tor}.sock"


def ovs_dir(run_dir: Path, host: str) -> Path:
    """A host's Open vSwitch run directory: OVSDB socket, management sockets, database."""
    return run_dir / host
