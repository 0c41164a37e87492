"""The network as the operator describes it: tenants, switches, hosts, endpoints, and whether it makes sense.

One YAML file. :func:`load` refuses it as a whole with every mistake it finds, each with file, line, field and remedy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ezpath.names import EndpointName, HostName, Mac, PairId, Port, SwitchName, Tenant, Vni, pair_id


def _mac(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _ipv4(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("an IPv4 address is a string such as 10.0.0.1")
    return str(ipaddress.IPv4Address(value))


def _prefix(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("an IPv4 prefix is a string such as 10.0.0.0/24")
    return str(ipaddress.IPv4Network(value))


NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME)]
MacField = Annotated[str, BeforeValidator(_mac), Field(pattern=r"^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$")]
IPv4Field = Annotated[str, BeforeValidator(_ipv4)]
PrefixField = Annotated[str, BeforeValidator(_prefix)]
PortField = Annotated[int, Field(ge=1, le=510)]
VniField = Annotated[int, Field(ge=1, le=0xFFFFFF)]
VlanField = Annotated[int, Field(ge=1, le=4094)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TenantConfig(_Strict):
    vni: VniField


class RouteConfig(_Strict):
    """Frames for ``prefix`` leave by ``port``, from the ToR's MAC to ``next_hop``."""

    prefix: PrefixField
    port: PortField
    next_hop: MacField


class PortConfig(_Strict):
    """A ToR port. ``address`` is what the ToR answers ARP for there."""

    number: PortField
    address: IPv4Field
    fabric: bool = False
    """Towards the spine: tunnels from other ToRs are accepted here, and only here."""


class SwitchConfig(_Strict):
    rack: Name
    device_id: Annotated[int, Field(ge=1)]
    address: str
    """gRPC target of its P4Runtime server: ``unix:/run/tor1.sock`` or ``host:port``."""
    vtep: IPv4Field
    mac: MacField
    """The router's MAC on all its ports."""
    ports: tuple[PortConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()


class VlanRange(_Strict):
    first: VlanField = 100
    last: VlanField = 4000


class HostConfig(_Strict):
    switch: Name
    port: PortField
    vtep: IPv4Field
    """The host's own address in the underlay, where its OVS ends VXLAN."""
    ovsdb: str
    """OVSDB remote: ``unix:/path/db.sock`` or ``tcp:address:port``."""
    run_dir: str = ""
    """Where ovs-vswitchd keeps its bridges' management sockets; beside the OVSDB socket when empty."""
    integration_bridge: str = "br-int"
    physical_bridge: str = "br-phy"
    uplink: str = "eth0"
    vlans: VlanRange = VlanRange()
    """Tags that EZPath may use on this host's link."""


class EndpointConfig(_Strict):
    name: Name
    tenant: Name
    mac: MacField
    ip: IPv4Field
    host: Name
    interface: str
    """The OVS interface's name, or its ``external_ids:iface-id``."""


class _Document(_Strict):
    tenants: dict[Name, TenantConfig]
    switches: dict[Name, SwitchConfig]
    hosts: dict[Name, HostConfig]
    endpoints: tuple[EndpointConfig, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    name: EndpointName
    tenant: Tenant
    vni: Vni
    mac: Mac
    ip: str
    host: HostName
    interface: str


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


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    line: int
    field: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.cause}. {self.remedy}"


class InventoryError(ValueError):
    """A configuration was refused. ``problems`` has every mistake found; the message has them all, one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Inventory:
    """A checked inventory with the look-ups that services need."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self.tenants: Mapping[Tenant, Vni] = {Tenant(n): Vni(t.vni) for n, t in document.tenants.items()}
        self.switches: Mapping[SwitchName, Switch] = {
            SwitchName(n): Switch(SwitchName(n), s.rack, s) for n, s in document.switches.items()
        }
        self.hosts: Mapping[HostName, Host] = {
            HostName(n): Host(HostName(n), SwitchName(h.switch), Port(h.port), h) for n, h in document.hosts.items()
        }
        self.endpoints: Mapping[EndpointName, Endpoint] = {
            EndpointName(e.name): Endpoint(
                name=EndpointName(e.name),
                tenant=Tenant(e.tenant),
                vni=self.tenants[Tenant(e.tenant)],
                mac=Mac(e.mac),
                ip=e.ip,
                host=HostName(e.host),
                interface=e.interface,
            )
            for e in document.endpoints
        }

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


def load(path: str | Path) -> Inventory:
    """Read and check ``path``. Raises :class:`InventoryError` with everything that is wrong with it."""
    path = Path(path)
    try:
        text = path.read_text()
    except OSError as error:
        raise InventoryError(
            [Problem(str(path), 0, "file", f"cannot be read: {error.strerror}", "Give the path of a readable file")]
        ) from None
    return parse(text, str(path))


def parse(text: str, file: str = "<string>") -> Inventory:
    """Check YAML ``text``. Raises :class:`InventoryError`."""
    try:
        tree = yaml.compose(text)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        cause = f"not YAML: {getattr(error, 'problem', None) or error}"
        line = mark.line + 1 if mark else 1
        raise InventoryError([Problem(file, line, "file", cause, "Correct the syntax there")]) from None
    lines = _Lines(tree)
    doubled = list(lines.doubled_keys())
    if doubled:
        raise InventoryError(
            [Problem(file, line, ".".join(path), "is given twice", "Keep one of them") for path, line in doubled]
        )
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        raise InventoryError([_problem_of(dict(e), lines, file) for e in error.errors(include_url=False)]) from None
    problems = [
        Problem(file, lines.of(where), ".".join(map(str, where)), cause, remedy)
        for where, cause, remedy in _contradictions(document)
    ]
    if problems:
        raise InventoryError(problems)
    return Inventory(document)


Where = tuple[str | int, ...]
_REMEDIES = {
    "missing": "Add it",
    "extra_forbidden": "Remove it or correct its name",
    "string_pattern_mismatch": (
        "Names are lower case letters, digits and dashes; MACs are unicast, like 02:00:00:00:00:01"
    ),
}


def _problem_of(error: dict[str, Any], lines: _Lines, file: str) -> Problem:
    where = tuple(part for part in error["loc"] if part != "[key]")
    remedy = _REMEDIES.get(error["type"], "Correct the value")
    cause = error["msg"].removeprefix("Value error, ")
    return Problem(file, lines.of(where), ".".join(map(str, where)) or "file", cause, remedy)


def _contradictions(document: _Document) -> Iterator[tuple[Where, str, str]]:
    """What each part allows and the whole does not: (field, cause, remedy)."""
    yield from _vni_overlaps(document)
    yield from _switch_mistakes(document)
    yield from _host_mistakes(document)
    yield from _endpoint_mistakes(document)


def _vni_overlaps(document: _Document) -> Iterator[tuple[Where, str, str]]:
    owners: dict[int, str] = {}
    for name, tenant in document.tenants.items():
        if tenant.vni in owners:
            cause = f"VNI {tenant.vni} is tenant {owners[tenant.vni]}'s already"
            yield ("tenants", name, "vni"), cause, "Give each tenant a VNI of its own"
        owners.setdefault(tenant.vni, name)


def _switch_mistakes(document: _Document) -> Iterator[tuple[Where, str, str]]:
    vteps: dict[str, str] = {}
    devices: dict[tuple[str, int], str] = {}
    for name, switch in document.switches.items():
        if switch.vtep in vteps:
            cause = f"VTEP {switch.vtep} is {vteps[switch.vtep]}'s already"
            yield ("switches", name, "vtep"), cause, "Give each VTEP an address of its own"
        vteps.setdefault(switch.vtep, f"switch {name}")
        device = (switch.address, switch.device_id)
        if device in devices:
            cause = f"device {switch.device_id} at {switch.address} is switch {devices[device]} already"
            yield ("switches", name, "address"), cause, "Give each switch its own address or device id"
        devices.setdefault(device, name)
        numbers: set[int] = set()
        for index, port in enumerate(switch.ports):
            if port.number in numbers:
                yield ("switches", name, "ports", index, "number"), f"port {port.number} is listed twice", "Keep one"
            numbers.add(port.number)
        for index, route in enumerate(switch.routes):
            if route.port not in numbers:
                cause = f"port {route.port} is not among the ports of {name}"
                yield ("switches", name, "routes", index, "port"), cause, "List the port or correct the number"
    for name, host in document.hosts.items():
        if host.vtep in vteps:
            cause = f"VTEP {host.vtep} is {vteps[host.vtep]}'s already"
            yield ("hosts", name, "vtep"), cause, "Give each VTEP an address of its own"
        vteps.setdefault(host.vtep, f"host {name}")


def _host_mistakes(document: _Document) -> Iterator[tuple[Where, str, str]]:
    places: dict[tuple[str, int], str] = {}
    for name, host in document.hosts.items():
        if host.switch not in document.switches:
            known = ", ".join(document.switches) or "none"
            yield ("hosts", name, "switch"), f"unknown switch {host.switch}", f"Known switches: {known}"
            continue
        ports = {port.number: port for port in document.switches[host.switch].ports}
        if host.port not in ports:
            cause = f"switch {host.switch} has no port {host.port}"
            yield ("hosts", name, "port"), cause, f"List it under switches.{host.switch}.ports or correct it"
        elif ports[host.port].fabric:
            cause = f"port {host.port} of {host.switch} is a fabric port"
            yield ("hosts", name, "port"), cause, "A host is on a port that is not marked fabric"
        place = (host.switch, host.port)
        if place in places:
            cause = f"port {host.port} of {host.switch} is host {places[place]}'s already"
            yield ("hosts", name, "port"), cause, "One host a port"
        places.setdefault(place, name)
        if host.vlans.first > host.vlans.last:
            yield ("hosts", name, "vlans"), "first is greater than last", "Swap them"


def _endpoint_mistakes(document: _Document) -> Iterator[tuple[Where, str, str]]:
    names: dict[str, int] = {}
    macs: dict[tuple[str, str], str] = {}
    ips: dict[tuple[str, str], str] = {}
    interfaces: dict[tuple[str, str], str] = {}
    for index, endpoint in enumerate(document.endpoints):
        where: Where = ("endpoints", index)
        if endpoint.host not in document.hosts:
            known = ", ".join(document.hosts) or "none"
            yield (*where, "host"), f"unknown host {endpoint.host}", f"Known hosts: {known}"
        if endpoint.tenant not in document.tenants:
            known = ", ".join(document.tenants) or "none"
            yield (*where, "tenant"), f"unknown tenant {endpoint.tenant}", f"Known tenants: {known}"
        if endpoint.name in names:
            yield (*where, "name"), f"endpoint {endpoint.name} is listed twice", "Names are unique"
        names.setdefault(endpoint.name, index)
        for taken, key, what in (
            (macs, (endpoint.tenant, endpoint.mac), "mac"),
            (ips, (endpoint.tenant, endpoint.ip), "ip"),
            (interfaces, (endpoint.host, endpoint.interface), "interface"),
        ):
            if key in taken:
                cause = f"{key[1]} is endpoint {taken[key]}'s already ({key[0]})"
                yield (*where, what), cause, f"An endpoint's {what} stands in one place only"
            taken.setdefault(key, endpoint.name)


class _Lines:
    """Field path to line number, from the YAML tree."""

    def __init__(self, tree: yaml.Node | None) -> None:
        self._tree = tree

    def of(self, where: Where) -> int:
        """The line of the field, or of the nearest thing around it that exists. Lines count from 1."""
        node, line = self._tree, 1
        for part in where:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line

    def doubled_keys(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """YAML lets the last of two equal keys win in silence; we do not."""
        stack: list[tuple[tuple[str, ...], yaml.Node]] = [((), self._tree)] if self._tree else []
        while stack:
            path, node = stack.pop()
            if isinstance(node, yaml.SequenceNode):
                stack.extend(((*path, str(index)), child) for index, child in enumerate(node.value))
            if not isinstance(node, yaml.MappingNode):
                continue
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    yield (*path, key.value), key.start_mark.line + 1
                seen.add(key.value)
                stack.append(((*path, str(key.value)), value))


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
