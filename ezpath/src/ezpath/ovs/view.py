"""What an Open vSwitch database says of bridges and ports, as one unchanging value.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OWNER_KEY = "owner"
OWNER = "ezpath"
"""``external_ids:owner=ezpath`` marks the ports that are ours."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One OVS interface. ``ofport`` is None until ovs-vswitchd has given it a number, or has failed to."""

    name: str
    port: str
    """The port it belongs to: another name only where several interfaces are bonded."""
    bridge: str
    type: str = ""
    ofport: int | None = None
    iface_id: str = ""
    error: str = ""
    """Why ovs-vswitchd could not bring it up, in its words."""
    ofport_request: int | None = None
    ours: bool = False
    peer: str = ""
    """The other end, for a patch port."""


@dataclass(frozen=True, slots=True)
class OvsView:
    """All bridges and interfaces of one host."""

    bridges: frozenset[str] = frozenset()
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    """By name; names are unique on a host."""

    def on(self, bridge: str) -> list[Interface]:
        return [interface for interface in self.interfaces.values() if interface.bridge == bridge]

    def find(self, interface: str) -> list[Interface]:
        """The interface of that name, else all with that ``external_ids:iface-id``."""
        named = self.interfaces.get(interface)
        if named is not None:
            return [named]
        return [candidate for candidate in self.interfaces.values() if candidate.iface_id == interface]
