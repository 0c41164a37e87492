"""What EZPath's items are called in the P4 program, there and back. Pure."""

from __future__ import annotations

from functools import lru_cache

from ezpath.items import EndpointLocal, EndpointRemote, SwitchItem, TenantTag
from ezpath.names import Port, VlanId, Vni, mac_from_int, mac_to_int

from ezpath_switch_writer.addresses import ipv4_from_int, ipv4_to_int
from p4rt import TableEntry

TENANT_TAG = "tenant_tag"
ENDPOINT = "endpoint"
ITEM_TABLES = frozenset({TENANT_TAG, ENDPOINT})
"""The tables whose entries come and go with sagas. All others hold the base configuration."""


@lru_cache(maxsize=16384)
def entry_of(item: SwitchItem) -> TableEntry:
    """The table entry that ``item`` stands for."""
    match item:
        case TenantTag():
            return TableEntry(TENANT_TAG, {"ingress_port": item.port, "vid": item.vid}, "set_tenant", {"vni": item.vni})
        case EndpointLocal():
            return TableEntry(
                ENDPOINT,
                {"vni": item.vni, "mac": mac_to_int(item.mac)},
                "to_port",
                {"port": item.port, "vid": item.vid},
            )
        case EndpointRemote():
            return TableEntry(
                ENDPOINT,
                {"vni": item.vni, "mac": mac_to_int(item.mac)},
                "to_tunnel",
                {"local_ip": ipv4_to_int(item.local_vtep), "vtep": ipv4_to_int(item.vtep)},
            )


def item_of(entry: TableEntry) -> SwitchItem | None:
    """The item an entry stands for; None for entries of the base configuration."""
    fields = {name: value for name, value in entry.match.items() if isinstance(value, int)}
    params = entry.params
    match entry.table, entry.action:
        case "tenant_tag", "set_tenant":
            return TenantTag(Port(fields["ingress_port"]), VlanId(fields["vid"]), Vni(params["vni"]))
        case "endpoint", "to_port":
            where = (Port(params["port"]), VlanId(params["vid"]))
            return EndpointLocal(Vni(fields["vni"]), mac_from_int(fields["mac"]), *where)
        case "endpoint", "to_tunnel":
            ends = (ipv4_from_int(params["local_ip"]), ipv4_from_int(params["vtep"]))
            return EndpointRemote(Vni(fields["vni"]), mac_from_int(fields["mac"]), *ends)
        case _:
            return None
