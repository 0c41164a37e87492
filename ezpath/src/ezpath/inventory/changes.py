"""What is different between two inventories' endpoints. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ezpath.inventory.model import Endpoint
from ezpath.names import EndpointName

Endpoints = Mapping[EndpointName, Endpoint]


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of endpoints, each in one of the lists."""

    added: tuple[EndpointName, ...] = ()
    gone: tuple[EndpointName, ...] = ()
    moved: tuple[EndpointName, ...] = ()
    """Elsewhere, or with another address: what was installed for them is no longer what they need."""
    changed: tuple[EndpointName, ...] = ()
    """In the same place, with another importance, kind, interface, IP address or source."""

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.moved or self.changed)

    def counts(self) -> dict[str, int]:
        """For the log: how many of each, where there are any."""
        lists = {"added": self.added, "gone": self.gone, "moved": self.moved, "changed": self.changed}
        return {what: len(names) for what, names in lists.items() if names}


def difference(before: Endpoints, after: Endpoints) -> Changes:
    """What became of the endpoints of ``before``. Names are sorted."""
    # Most are the very same objects, and need no looking at.
    both = sorted(n for n in before.keys() & after.keys() if before[n] is not after[n] and before[n] != after[n])
    moved = [name for name in both if place(before[name]) != place(after[name])]
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        gone=tuple(sorted(before.keys() - after.keys())),
        moved=tuple(moved),
        changed=tuple(name for name in both if place(before[name]) == place(after[name])),
    )


def place(endpoint: Endpoint) -> tuple[object, ...]:
    """What the switches' entries and the hosts' rules depend on."""
    return endpoint.tenant, endpoint.vni, endpoint.mac, endpoint.host
