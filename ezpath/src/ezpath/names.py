"""The field's own names as types, so that a VNI is never taken for a VLAN id.

Pure. Everything here is a plain value at run time; the types exist for the checker and the reader.
"""

from __future__ import annotations

from typing import NewType

Vni = NewType("Vni", int)
"""VXLAN network identifier, 24 bits (RFC 7348)."""

VlanId = NewType("VlanId", int)
"""IEEE 802.1Q VLAN id, 1-4094. It belongs to one ToR port, not to the network."""

Mac = NewType("Mac", str)
"""Ethernet address, lower case, colons: ``02:00:00:00:00:01``."""

Port = NewType("Port", int)
"""P4 port number of a ToR, 9 bits in v1model."""

Tenant = NewType("Tenant", str)
SwitchName = NewType("SwitchName", str)
HostName = NewType("HostName", str)
EndpointName = NewType("EndpointName", str)

PairId = NewType("PairId", str)
"""``tenant.a.b`` with the endpoints in sorted order: usable as a subject and as a KV key."""


def pair_id(tenant: str, one: str, other: str) -> PairId:
    """The one name of the pair of endpoints ``one`` and ``other``, whichever way round they are given."""
    first, second = sorted((one, other))
    return PairId(f"{tenant}.{first}.{second}")


def canonical(name: str) -> str:
    """A pair or a saga as it is called, whichever way round somebody gives its endpoints; anything else as it is."""
    tenant, *ends = name.split(".")
    return ".".join((tenant, *sorted(ends[:2]), *ends[2:])) if len(ends) in (2, 3) else name


def mac_from_int(value: int) -> Mac:
    """48-bit integer, as the monitor's cells hold it, to text."""
    return Mac(":".join(f"{value >> shift & 0xFF:02x}" for shift in range(40, -8, -8)))


def mac_to_int(mac: Mac) -> int:
    """Text to 48-bit integer."""
    return int(mac.replace(":", ""), 16)
