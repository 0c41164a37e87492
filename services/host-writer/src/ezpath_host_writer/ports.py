"""The OpenFlow port numbers that a host's rules need, from what its database says.

Pure. What is missing on the host as a whole is an error; what is missing for one endpoint is that endpoint's alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from ezpath.inventory import Endpoint, Host
from ezpath.names import Mac, Vni
from ezpath.ovs.errors import OvsMisfit
from ezpath.ovs.patch import PatchPair
from ezpath.ovs.view import OvsView

from ezpath_host_writer.rules import Ports


def check_bridges(view: OvsView, host: Host) -> None:
    """Raises :class:`OvsMisfit` where a bridge is missing, or the uplink."""
    config = host.config
    known = ", ".join(sorted(view.bridges)) or "none"
    for field, bridge in (
        ("integration_bridge", config.integration_bridge),
        ("physical_bridge", config.physical_bridge),
    ):
        if bridge not in view.bridges:
            raise OvsMisfit(
                f"host {host.name} has no bridge {bridge} (it has: {known}). "
                f"Create it with 'ovs-vsctl add-br {bridge}', or correct hosts.{host.name}.{field} in the inventory"
            )
    _uplink(view, host)


def resolve(view: OvsView, host: Host, endpoints: Iterable[Endpoint], pair: PatchPair) -> Ports:
    """All numbers, for the ``endpoints`` of this host. Raises :class:`OvsMisfit`, see :func:`check_bridges`."""
    check_bridges(view, host)
    found: dict[tuple[Vni, Mac], int] = {}
    missing: dict[tuple[Vni, Mac], str] = {}
    for endpoint in endpoints:
        number = _endpoint(view, host, endpoint)
        if isinstance(number, int):
            found[(endpoint.vni, endpoint.mac)] = number
        else:
            missing[(endpoint.vni, endpoint.mac)] = number
    return Ports(pair.integration.number, pair.physical.number, _uplink(view, host), found, missing)


def _uplink(view: OvsView, host: Host) -> int:
    bridge, name = host.config.physical_bridge, host.config.uplink
    uplink = view.interfaces.get(name)
    if uplink is None or uplink.bridge != bridge:
        where = f"it is on {uplink.bridge}" if uplink else "there is none of that name"
        raise OvsMisfit(
            f"host {host.name}: bridge {bridge} has no port {name}: {where}. Add it with "
            f"'ovs-vsctl add-port {bridge} {name}', or correct hosts.{host.name}.uplink in the inventory"
        )
    if uplink.ofport is None:
        raise OvsMisfit(
            f"host {host.name}: port {name} on bridge {bridge} has no OpenFlow number: "
            f"{uplink.error or 'ovs-vswitchd has not brought it up yet'}. See 'ovs-vsctl show' there"
        )
    return uplink.ofport


def _endpoint(view: OvsView, host: Host, endpoint: Endpoint) -> int | str:
    """Its port's number, or why there is none."""
    bridge, wanted = host.config.integration_bridge, endpoint.interface
    candidates = view.find(wanted)
    if not candidates:
        return (
            f"host {host.name}: no interface of Open vSwitch is named {wanted}, nor has it as external_ids:iface-id. "
            f"Add it to bridge {bridge}, or correct the interface of endpoint {endpoint.name} in the inventory"
        )
    usable = [candidate for candidate in candidates if candidate.bridge == bridge and candidate.ofport]
    if len(usable) == 1:
        return usable[0].ofport or ""
    if len(usable) > 1:
        names = ", ".join(sorted(candidate.name for candidate in usable))
        return (
            f"host {host.name}: interfaces {names} on bridge {bridge} all have external_ids:iface-id={wanted}. "
            "Leave it on one of them"
        )
    candidate = candidates[0]
    if candidate.bridge != bridge:
        return (
            f"host {host.name}: interface {wanted} is on bridge {candidate.bridge}, not on {bridge}. "
            f"Move it, or correct hosts.{host.name}.integration_bridge in the inventory"
        )
    reason = candidate.error or "ovs-vswitchd has not brought it up yet"
    return f"host {host.name}: interface {candidate.name} on bridge {bridge} has no OpenFlow number: {reason}"
