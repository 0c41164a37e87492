"""IPv4 addresses as the integers P4 tables hold. Pure."""

from __future__ import annotations

import ipaddress


def ipv4_to_int(address: str) -> int:
    """``10.0.0.1`` to 32 bits. Raises ValueError."""
    return int(ipaddress.IPv4Address(address))


def ipv4_from_int(value: int) -> str:
    """32 bits to ``10.0.0.1``."""
    return str(ipaddress.IPv4Address(value))


def prefix_to_match(prefix: str) -> tuple[int, int] | None:
    """``10.0.0.0/24`` to (value, prefix length); None for 0.0.0.0/0, which P4Runtime says by leaving it out."""
    network = ipaddress.IPv4Network(prefix)
    if network.prefixlen == 0:
        return None
    return int(network.network_address), network.prefixlen
