"""What a pair needs on which target: the items of each installing phase.

Pure functions of the two sides of a pair. The sides are taken from the inventory once, when the offload is asked for,
and kept in the saga's record: what was installed is taken off again, whatever the inventory says by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ezpath.inventory import Inventory, Pair
from ezpath.items import EndpointLocal, EndpointRemote, Item, ReceiveRule, SendRule, TenantTag
from ezpath.names import HostName, Mac, Port, SwitchName, VlanId, Vni
from ezpath.saga.phases import HOLDS, INSTALLS, TAKES_OFF, Phase

Target = str
"""``switch:<name>`` or ``host:<name>``."""

Steps = Mapping[Phase, Mapping[Target, tuple[Item, ...]]]


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a pair: the endpoint, and the way from it to its switch."""

    host: HostName
    port: Port
    """The switch's, to which the host is connected."""
    switch: SwitchName
    vtep: str
    """The switch's."""
    vni: Vni
    mac: Mac
    vid: VlanId
    """The tag on the host's link."""


Sides = tuple[Side, Side]


def sides_of(pair: Pair, vids: tuple[VlanId, VlanId], inventory: Inventory) -> Sides:
    """Both sides of ``pair`` as the inventory has them now. ``vids`` are the tags on a's and on b's host link."""

    def side(index: int) -> Side:
        end = (pair.a, pair.b)[index]
        host, switch = inventory.hosts[end.host], inventory.switch_of(end)
        return Side(end.host, host.port, switch.name, switch.config.vtep, end.vni, end.mac, vids[index])

    return side(0), side(1)


@dataclass(slots=True)
class _Plan:
    """All that is worked out from the sides of one pair."""

    sides: Sides
    steps: Steps
    installed: dict[tuple[Phase, ...], frozenset[tuple[Target, Item]]] = field(default_factory=dict)


_PLANS: dict[int, _Plan] = {}
_PLANS_MOST = 16384


def _plan(sides: Sides) -> _Plan:
    """By which object it is: a saga keeps its sides, and to hash them takes longer than most of what is asked here."""
    plan = _PLANS.get(id(sides))
    if plan is None or plan.sides is not sides:
        if len(_PLANS) >= _PLANS_MOST:
            _PLANS.clear()
        plan = _PLANS[id(sides)] = _Plan(sides, _steps(sides))
    return plan


def steps(sides: Sides) -> Steps:
    """Everything that offloading a pair installs."""
    return _plan(sides).steps


def _steps(sides: Sides) -> Steps:
    plan: dict[Phase, dict[Target, tuple[Item, ...]]] = {phase: {} for phase in INSTALLS}
    for me, peer in (sides, sides[::-1]):
        for phase, target, item in _one_side(me, peer):
            plan[phase][target] = (*plan[phase].get(target, ()), item)
    return plan


def _one_side(me: Side, peer: Side) -> Iterator[tuple[Phase, Target, Item]]:
    switch, host = f"switch:{me.switch}", f"host:{me.host}"
    yield Phase.SWITCH_RECEIVE, switch, EndpointLocal(me.vni, me.mac, me.port, me.vid)
    yield Phase.SWITCH_SEND, switch, TenantTag(me.port, me.vid, me.vni)
    if me.switch != peer.switch:
        yield Phase.SWITCH_SEND, switch, EndpointRemote(me.vni, peer.mac, me.vtep, peer.vtep)
    yield Phase.HOST_RECEIVE, host, ReceiveRule(me.vni, me.vid, me.mac)
    yield Phase.HOST_SEND, host, SendRule(me.vni, me.mac, peer.mac, me.vid)


def held(sides: Sides, phase: Phase) -> frozenset[tuple[Target, Item]]:
    """What a saga in ``phase`` needs to stay where it is."""
    phases, known = HOLDS[phase], _plan(sides).installed
    found = known.get(phases)
    if found is None:
        found = known[phases] = frozenset(_items(sides, phases))
    return found


def needed(sides: Sides) -> Iterator[tuple[Target, Item]]:
    """All that the offload of a pair installs, in that order."""
    return _items(sides, INSTALLS)


def to_put(sides: Sides, phase: Phase) -> Mapping[Target, tuple[Item, ...]]:
    """What ``phase`` installs, by target; nothing where it installs nothing."""
    return steps(sides).get(phase, {})


def to_remove(sides: Sides, phase: Phase) -> Iterator[tuple[Target, Item]]:
    """What ``phase`` takes off where nobody else holds it."""
    return _items(sides, TAKES_OFF.get(phase, ()))


def _items(sides: Sides, phases: tuple[Phase, ...]) -> Iterator[tuple[Target, Item]]:
    plan = steps(sides)
    for phase in phases:
        for target, items in plan[phase].items():
            for item in items:
                yield target, item
