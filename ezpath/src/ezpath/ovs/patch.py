"""The patch pair between a host's two bridges: the only way of EZPath's frames, and closed to everybody else's.

Three locks, because none of them does alone. Guard rules drop what comes through and is not ours, but ovs-vswitchd
forgets them when it restarts. ``no-flood`` keeps out what rules flood, and is forgotten as well. The trunk setting is
in the database, so it outlives restarts: the ports carry VLAN 4095 only, which 802.1Q reserves, and so the operator's
``NORMAL`` neither chooses nor learns from them. Rules that name a port, as ours do, are not bound by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ovs.db.idl import Idl, Transaction

from ezpath.ovs.errors import OvsMisfit
from ezpath.ovs.ovsdb import Ovsdb
from ezpath.ovs.view import OWNER, OWNER_KEY, Interface, OvsView

INTEGRATION_PORT = "ezp-int"
PHYSICAL_PORT = "ezp-phy"
FIRST_NUMBER = 58082
LAST_NUMBER = 65279
"""OpenFlow numbers above are reserved."""
NO_VLAN = 4095


@dataclass(frozen=True, slots=True)
class PatchEnd:
    """One end: a port ``name`` on ``bridge``, with the OpenFlow ``number`` that is asked for."""

    bridge: str
    name: str
    peer: str
    number: int


@dataclass(frozen=True, slots=True)
class PatchPair:
    integration: PatchEnd
    physical: PatchEnd

    @property
    def ends(self) -> tuple[PatchEnd, PatchEnd]:
        return (self.integration, self.physical)


def plan(view: OvsView, integration_bridge: str, physical_bridge: str) -> PatchPair:
    """The pair as it is, or as it is to be made: existing ends keep their numbers, new ones get free numbers.

    Raises :class:`OvsMisfit` where one of our names is taken by a port that is not ours.
    """
    return PatchPair(
        _end(view, integration_bridge, INTEGRATION_PORT, PHYSICAL_PORT),
        _end(view, physical_bridge, PHYSICAL_PORT, INTEGRATION_PORT),
    )


def is_up(view: OvsView, pair: PatchPair) -> bool:
    """Whether both ends are there, ours, and have the numbers that were asked for."""
    return all(_stands(view.interfaces.get(end.name), end) for end in pair.ends)


async def ensure(ovsdb: Ovsdb, pair: PatchPair) -> None:
    """Make the pair, or correct it, in one transaction. Idempotent."""

    def build(idl: Idl, transaction: Transaction) -> None:
        for end in pair.ends:
            _make(idl, transaction, end)

    await ovsdb.transact(f"make patch ports {INTEGRATION_PORT} and {PHYSICAL_PORT}", build)


async def remove(ovsdb: Ovsdb) -> None:
    """Take away every port that is marked as ours, on whatever bridge. Idempotent."""

    def build(idl: Idl, transaction: Transaction) -> None:
        for bridge in idl.tables["Bridge"].rows.values():
            for port in bridge.ports:
                if port.external_ids.get(OWNER_KEY) == OWNER:
                    bridge.delvalue("ports", port.uuid)

    await ovsdb.transact("remove ezpath's ports", build)


def _end(view: OvsView, bridge: str, name: str, peer: str) -> PatchEnd:
    present = view.interfaces.get(name)
    if present is not None and not present.ours:
        raise OvsMisfit(
            f"port {name} on bridge {present.bridge} is not ezpath's (no external_ids:{OWNER_KEY}={OWNER}). "
            f"Rename or remove it: ovs-vsctl del-port {present.bridge} {name}"
        )
    if present is not None and present.bridge == bridge and present.ofport:
        return PatchEnd(bridge, name, peer, present.ofport)
    others = [interface for interface in view.on(bridge) if interface.name != name]
    taken = {interface.ofport for interface in others} | {interface.ofport_request for interface in others}
    number = next(number for number in range(FIRST_NUMBER, LAST_NUMBER) if number not in taken)
    return PatchEnd(bridge, name, peer, number)


def _stands(present: Interface | None, end: PatchEnd) -> bool:
    return (
        present is not None
        and (present.ours, present.type, present.bridge) == (True, "patch", end.bridge)
        and (present.peer, present.ofport) == (end.peer, end.number)
    )


def _make(idl: Idl, transaction: Transaction, end: PatchEnd) -> None:
    bridge = next((row for row in idl.tables["Bridge"].rows.values() if row.name == end.bridge), None)
    if bridge is None:
        raise OvsMisfit(f"there is no bridge {end.bridge}")
    port = next((row for row in idl.tables["Port"].rows.values() if row.name == end.name), None)
    if port is not None and port not in bridge.ports:
        for other in idl.tables["Bridge"].rows.values():
            if port in other.ports:
                other.delvalue("ports", port.uuid)
        port = None
    if port is None:
        interface = transaction.insert(idl.tables["Interface"])
        interface.name = end.name
        port = transaction.insert(idl.tables["Port"])
        port.name = end.name
        port.interfaces = [interface]
        bridge.addvalue("ports", port.uuid)
    interface = port.interfaces[0]
    interface.type = "patch"
    interface.options = {"peer": end.peer}
    interface.ofport_request = [end.number]
    interface.external_ids = {OWNER_KEY: OWNER}
    port.external_ids = {OWNER_KEY: OWNER}
    port.vlan_mode = ["trunk"]
    port.trunks = [NO_VLAN]
