"""Where the tunnel of a pair begins and ends at the moment: what the topology draws. Pure.

In the overlay the hosts wrap frames, and the tunnel goes from host to host. Offloaded, hosts only tag frames, and the
tunnel goes from ToR to ToR; within one rack there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezpath.events import PhaseName
from ezpath.inventory import Inventory
from ezpath.names import PairId

Where = Literal["overlay", "moving", "switch"]
Wrapping = Literal["vxlan", "tag", "bridge"]

ON_THE_SWITCHES: frozenset[PhaseName] = frozenset({"active", "host-send-off"})
"""Phases in which frames go by the switches: from the last confirmation until the hosts have been told to stop."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is."""

    host: str
    switch: str


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of the way, and what frames are wrapped in there. ``bridge``: within one host, in nothing."""

    start: str
    end: str
    wrapping: Wrapping


def places(inventory: Inventory, pair: PairId) -> tuple[Place, Place] | None:
    """Those of both ends; None for a pair that the inventory does not know."""
    known = inventory.pair_by_id(pair)
    if known is None:
        return None
    one, other = (Place(end.host, inventory.switch_of(end).name) for end in (known.a, known.b))
    return one, other


def legs(one: Place, other: Place, where: Where, phase: PhaseName | None) -> tuple[Leg, ...]:
    """The way from ``one`` to ``other``. What moves is drawn where frames still go."""
    by_switches = where == "switch" or (where == "moving" and phase in ON_THE_SWITCHES)
    if one.host == other.host:
        return (Leg(one.host, other.host, "bridge"),)
    if not by_switches:
        return (Leg(one.host, other.host, "vxlan"),)
    there, back = Leg(one.host, one.switch, "tag"), Leg(other.switch, other.host, "tag")
    if one.switch == other.switch:
        return there, back
    return there, Leg(one.switch, other.switch, "vxlan"), back
