"""What each part of an inventory allows and the whole does not: names nobody has, addresses that two have. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from ezpath.inventory.admission import Admission, listed
from ezpath.inventory.document import Document, HostConfig, SwitchConfig
from ezpath.inventory.lines import Where

Mistake = tuple[Where, str, str]
"""Field, cause, remedy."""


def contradictions(document: Document) -> Iterator[Mistake]:
    """Every mistake there is, part by part."""
    yield from _tenants(document)
    yield from _vteps(document)
    yield from _switches(document)
    yield from _hosts(document)
    yield from _endpoints(document)


class _Owners:
    """Who has what already."""

    def __init__(self) -> None:
        self._owners: dict[Hashable, str] = {}

    def other(self, thing: Hashable, owner: str) -> str | None:
        """Who had ``thing`` before ``owner`` came for it; None for the first."""
        before = self._owners.setdefault(thing, owner)
        return None if before is owner else before


def _tenants(document: Document) -> Iterator[Mistake]:
    vnis = _Owners()
    for name, tenant in document.tenants.items():
        if other := vnis.other(tenant.vni, f"tenant {name}"):
            yield (
                ("tenants", name, "vni"),
                f"VNI {tenant.vni} is {other}'s already",
                "Give each tenant a VNI of its own",
            )


def _vteps(document: Document) -> Iterator[Mistake]:
    vteps = _Owners()
    remedy = "Give each VTEP an address of its own"
    for name, switch in document.switches.items():
        if other := vteps.other(switch.vtep, f"switch {name}"):
            yield ("switches", name, "vtep"), f"VTEP {switch.vtep} is {other}'s already", remedy
    for name, host in document.hosts.items():
        if other := vteps.other(host.vtep, f"host {name}"):
            yield ("hosts", name, "vtep"), f"VTEP {host.vtep} is {other}'s already", remedy


def _switches(document: Document) -> Iterator[Mistake]:
    devices, registers, macs = _Owners(), _Owners(), _Owners()
    for name, switch in document.switches.items():
        if other := devices.other((switch.address, switch.device_id), f"switch {name}"):
            cause = f"device {switch.device_id} at {switch.address} is {other} already"
            yield ("switches", name, "address"), cause, "Give each switch its own address or device id"
        if switch.registers and (other := registers.other(switch.registers, f"switch {name}")):
            cause = f"the registers at {switch.registers} are {other}'s already"
            yield ("switches", name, "registers"), cause, "Each switch has a Thrift port of its own"
        if other := macs.other(switch.mac, f"switch {name}"):
            yield ("switches", name, "mac"), f"MAC {switch.mac} is {other}'s already", "A MAC stands in one place only"
        yield from _ports_and_routes(name, switch)


def _ports_and_routes(name: str, switch: SwitchConfig) -> Iterator[Mistake]:
    where: Where = ("switches", name)
    numbers: set[int] = set()
    for index, port in enumerate(switch.ports):
        if port.number in numbers:
            yield (*where, "ports", index, "number"), f"port {port.number} is listed twice", "Keep one"
        numbers.add(port.number)
    prefixes: set[str] = set()
    for index, route in enumerate(switch.routes):
        if route.port not in numbers:
            cause = f"port {route.port} is not among the ports of {name}"
            yield (*where, "routes", index, "port"), cause, "List the port or correct the number"
        if route.prefix in prefixes:
            yield (*where, "routes", index, "prefix"), f"{route.prefix} is routed twice", "Keep one of the routes"
        prefixes.add(route.prefix)


def _hosts(document: Document) -> Iterator[Mistake]:
    places = _Owners()
    for name, host in document.hosts.items():
        if host.switch not in document.switches:
            remedy = f"Known switches: {listed(document.switches)}"
            yield ("hosts", name, "switch"), f"unknown switch {host.switch}", remedy
            continue
        ports = {port.number: port for port in document.switches[host.switch].ports}
        if host.port not in ports:
            cause = f"switch {host.switch} has no port {host.port}"
            yield ("hosts", name, "port"), cause, f"List it under switches.{host.switch}.ports or correct it"
        elif ports[host.port].fabric:
            cause = f"port {host.port} of {host.switch} is a fabric port"
            yield ("hosts", name, "port"), cause, "A host is on a port that is not marked fabric"
        if other := places.other((host.switch, host.port), f"host {name}"):
            yield ("hosts", name, "port"), f"port {host.port} of {host.switch} is {other}'s already", "One host a port"
        yield from _openflow(name, host)
        if host.vlans.first > host.vlans.last:
            yield ("hosts", name, "vlans"), "first is greater than last", "Swap them"


def _openflow(name: str, host: HostConfig) -> Iterator[Mistake]:
    """A remote Open vSwitch has to be reached for each bridge, too."""
    if host.run_dir or host.ovsdb.startswith("unix:"):
        return
    for bridge in (host.integration_bridge, host.physical_bridge):
        if bridge not in host.openflow:
            kind = host.ovsdb.partition(":")[0]
            yield (
                ("hosts", name, "openflow"),
                f"with ovsdb {host.ovsdb}, where bridge {bridge} speaks OpenFlow is not known",
                f"Have it listen (ovs-vsctl set-controller {bridge} p{kind}:6653) and give {bridge}: "
                f"{kind}:address:6653, or give run_dir where its sockets can be reached",
            )


def _endpoints(document: Document) -> Iterator[Mistake]:
    admission = Admission(document.tenants, document.hosts)
    for index, endpoint in enumerate(document.endpoints):
        for field, cause, remedy in admission.refusals(endpoint):
            yield ("endpoints", index, field), cause, remedy
