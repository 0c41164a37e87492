"""What a host item is in OpenFlow, on each of the host's two bridges, and which items a set of rules stands for.

Pure.

    send     br-int: the container's untagged frames to that peer -> tag, into the patch port
             br-phy: that tag from the patch port -> uplink        (one rule for all who use the tag)
    receive  br-phy: that tag and destination from the uplink -> patch port
             br-int: the same from the patch port -> tag off, to the container's port
    guard    both: whatever else comes out of the patch port -> drop
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import Mac, VlanId, Vni
from ezpath.ovs.flows import GUARD_PRIORITY, PRIORITY, Flow, Place, Role, cookie

UNTAGGED = "vlan_tci=0x0000/0x1fff"
VLAN_PRESENT = 0x1000
"""OpenFlow's vlan_vid has this bit set where there is a tag."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The OpenFlow port numbers that a host's rules need."""

    patch_int: int
    """``ezp-int`` on the integration bridge."""
    patch_phy: int
    """``ezp-phy`` on the physical bridge."""
    uplink: int
    endpoints: Mapping[tuple[Vni, Mac], int] = field(default_factory=dict)
    missing: Mapping[tuple[Vni, Mac], str] = field(default_factory=dict)
    """Endpoints of this host that have no usable port, and why not."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of the two bridges."""

    integration: tuple[Flow, ...] = ()
    physical: tuple[Flow, ...] = ()

    def where(self, test: Callable[[Flow], bool]) -> Rules:
        """Those that pass ``test``."""
        return Rules(tuple(filter(test, self.integration)), tuple(filter(test, self.physical)))

    @property
    def count(self) -> int:
        return len(self.integration) + len(self.physical)

    @property
    def places(self) -> list[tuple[BridgeRole, Place]]:
        here: list[tuple[BridgeRole, Place]] = [("integration", flow.place) for flow in self.integration]
        return [*here, *(("physical", flow.place) for flow in self.physical)]


BridgeRole = Literal["integration", "physical"]
Blocked = Mapping[tuple[BridgeRole, Place], str]
"""Places where somebody else's rule stands, and what is said about it."""


class NoPort(ValueError):
    """An item needs a port that the host does not have; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Compiled:
    rules: Rules
    problems: Mapping[HostItem, str]
    """Items that cannot be installed now, and why not."""


def compile_items(items: Iterable[HostItem], ports: Ports, blocked: Blocked = MappingProxyType({})) -> Compiled:
    """The guards, and the rules of all ``items`` that can be installed. Nobody's rule but ours is replaced."""
    rules, problems = guards(ports.patch_int, ports.patch_phy), dict[HostItem, str]()
    integration, physical = list(rules.integration), list(rules.physical)
    for item in items:
        try:
            more = rules_of(item, ports)
        except NoPort as error:
            problems[item] = str(error)
            continue
        in_the_way = [blocked[place] for place in more.places if place in blocked]
        if in_the_way:
            problems[item] = "; ".join(in_the_way)
            continue
        integration += more.integration
        physical += more.physical
    return Compiled(Rules(_once(integration), _once(physical)), problems)


@lru_cache(maxsize=64)
def guards(patch_int: int, patch_phy: int) -> Rules:
    """What keeps the operator's rules away from frames that come out of the patch port."""
    return Rules(
        (Flow(cookie(Role.GUARD), GUARD_PRIORITY, f"in_port={patch_int}", "drop"),),
        (Flow(cookie(Role.GUARD), GUARD_PRIORITY, f"in_port={patch_phy}", "drop"),),
    )


def rules_of(item: HostItem, ports: Ports) -> Rules:
    """The rules of one item, the shared one included. Raises :class:`NoPort`."""
    match item:
        case SendRule():
            container = _container(item.vni, item.src, ports)
            return _send(item, container, ports.patch_int, ports.patch_phy, ports.uplink)
        case ReceiveRule():
            container = _container(item.vni, item.mac, ports)
            return _receive(item, container, ports.patch_int, ports.patch_phy, ports.uplink)


# An audit works out the rules of all items again and again.


@lru_cache(maxsize=32768)
def _send(item: SendRule, container: int, patch_int: int, patch_phy: int, uplink: int) -> Rules:
    match_int = f"in_port={container},{UNTAGGED},dl_src={item.src},dl_dst={item.dst}"
    tagging = f"push_vlan:0x8100,set_field:{VLAN_PRESENT | item.vid}->vlan_vid,output:{patch_int}"
    match_phy = f"in_port={patch_phy},dl_vlan={item.vid}"
    return _pair(Role.SEND, item.vni, (match_int, tagging), (match_phy, f"output:{uplink}"))


@lru_cache(maxsize=32768)
def _receive(item: ReceiveRule, container: int, patch_int: int, patch_phy: int, uplink: int) -> Rules:
    tagged = f"dl_vlan={item.vid},dl_dst={item.mac}"
    in_int = (f"in_port={patch_int},{tagged}", f"pop_vlan,output:{container}")
    in_phy = (f"in_port={uplink},{tagged}", f"output:{patch_phy}")
    return _pair(Role.RECEIVE, item.vni, in_int, in_phy)


_SEND = re.compile(rf"^in_port=\d+,{re.escape(UNTAGGED)},dl_src=(?P<src>[\da-f:]+),dl_dst=(?P<dst>[\da-f:]+)$")
_TAGGING = re.compile(r"set_field:(?P<vid>\d+)->vlan_vid")
_RECEIVE = re.compile(r"^in_port=\d+,dl_vlan=(?P<vid>\d+),dl_dst=(?P<mac>[\da-f:]+)$")


def items_of(integration: Iterable[Flow]) -> frozenset[HostItem]:
    """The items that rules on the integration bridge stand for; what is no rule of an item is passed over."""
    items: set[HostItem] = set()
    for flow in integration:
        if flow.role is Role.SEND:
            match, tagging = _SEND.match(flow.match), _TAGGING.search(flow.actions)
            if match and tagging:
                vid = VlanId(int(tagging["vid"]) & ~VLAN_PRESENT)
                items.add(SendRule(flow.vni, Mac(match["src"]), Mac(match["dst"]), vid))
        elif flow.role is Role.RECEIVE and (match := _RECEIVE.match(flow.match)):
            items.add(ReceiveRule(flow.vni, VlanId(int(match["vid"])), Mac(match["mac"])))
    return frozenset(items)


def _pair(role: Role, vni: Vni, integration: tuple[str, str], physical: tuple[str, str]) -> Rules:
    def rule(match: str, actions: str) -> tuple[Flow]:
        return (Flow(cookie(role, vni, match), PRIORITY, match, actions),)

    return Rules(rule(*integration), rule(*physical))


def _container(vni: Vni, mac: Mac, ports: Ports) -> int:
    try:
        return ports.endpoints[(vni, mac)]
    except KeyError:
        reason = ports.missing.get((vni, mac), "the inventory has no such endpoint on this host")
        raise NoPort(f"endpoint {mac} of VNI {vni}: {reason}") from None


def _once(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    return tuple(dict.fromkeys(flows))
