"""What a switch holds whether or not a pair is offloaded: routing, ARP, whose tunnels it takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ezpath.inventory import Inventory
from ezpath.names import Mac, SwitchName, mac_to_int

from ezpath_switch_writer.addresses import ipv4_to_int, prefix_to_match
from p4rt import TableEntry

GATE = "router_mac"
"""The router takes no packet before it has its own MAC: until this entry, which goes in last, no overlay passes."""


def base_entries(inventory: Inventory, name: SwitchName) -> tuple[TableEntry, ...]:
    """All entries of the base configuration of switch ``name``, from the inventory alone."""
    return tuple(_entries(inventory, name))


def _entries(inventory: Inventory, name: SwitchName) -> Iterator[TableEntry]:
    switch = inventory.switches[name].config
    mac = mac_to_int(Mac(switch.mac))
    yield TableEntry("router_mac", {"mac": mac}, "for_router")
    yield TableEntry("local_vtep", {"vtep": ipv4_to_int(switch.vtep)}, "is_local_vtep")
    for port in switch.ports:
        key = {"ingress_port": port.number, "target_ip": ipv4_to_int(port.address)}
        yield TableEntry("arp_responder", key, "arp_reply", {"mac": mac})
    peers = [other.config.vtep for other in inventory.switches.values() if other.name != name]
    for vtep in peers:
        # What a host of this rack forges in this ToR's name is dropped here: the peer could not tell it from a tunnel.
        yield TableEntry("local_vtep", {"vtep": ipv4_to_int(vtep)}, "is_peer_vtep")
    for port in switch.ports:
        # Tunnels come in from the fabric only: a host that forges a ToR's address is dropped at its port.
        for vtep in peers if port.fabric else ():
            source = {"ingress_port": port.number, "vtep": ipv4_to_int(vtep)}
            yield TableEntry("tunnel_source", source, "allow_source")
    for route in switch.routes:
        prefix = prefix_to_match(route.prefix)
        hop = {"port": route.port, "src": mac, "dst": mac_to_int(Mac(route.next_hop))}
        yield TableEntry("route", {"prefix": prefix} if prefix else {}, "next_hop", hop)
