"""What packets meet: the way of a frame through what is installed, as p4/ezpath/tunnel.p4 and Open vSwitch have it.

Every frame that a host sends tagged is followed: what a send rule sends now, and what one sent that is gone by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ezpath.inventory import Inventory
from ezpath.items import EndpointLocal, EndpointRemote, Item, ReceiveRule, SendRule, TenantTag
from ezpath.names import Mac, Vni


class View(NamedTuple):
    """What packets meet on a target."""

    installed: frozenset[Item]
    lost: frozenset[Item] = frozenset()
    """What a restart took: whoever misses it was not failed by EZPath."""
    fresh: frozenset[Item] = frozenset()
    """Send rules that are gone, with frames on their way."""
    old: frozenset[Item] = frozenset()
    """The same, held up for so long that they may be lost; they may still not reach another tenant."""


class Finding(NamedTuple):
    """Something that must not be."""

    what: str
    rule: SendRule
    host: str
    leak: bool


class Network:
    """An inventory as frames see it."""

    def __init__(self, inventory: Inventory) -> None:
        self._hosts = {f"host:{h.name}": (f"switch:{h.switch}", h.port) for h in inventory.hosts.values()}
        self._behind = {place: host for host, place in self._hosts.items()}
        self._vteps = {s.config.vtep: f"switch:{s.name}" for s in inventory.switches.values()}

    def findings(self, views: Mapping[str, View]) -> list[Finding]:
        """Every frame that is lost, and every one that reaches somebody else."""
        tables: dict[str, dict[tuple[object, ...], Item]] = {
            target: {item.key: item for item in view.installed} for target, view in views.items()
        }
        found: list[Finding] = []
        for host, view in views.items():
            for rule in (*view.installed, *view.fresh, *view.old):
                if isinstance(rule, SendRule):
                    what, leak = self._way(host, rule, tables, views)
                    may_be_lost = rule in view.old and rule not in view.installed and rule not in view.fresh
                    if leak or (what and not may_be_lost):
                        found.append(Finding(what, rule, host, leak))
        return found

    def _way(
        self,
        host: str,
        rule: SendRule,
        tables: Mapping[str, Mapping[tuple[object, ...], Item]],
        views: Mapping[str, View],
    ) -> tuple[str, bool]:
        """What goes wrong on the way of a frame of ``rule``, if anything; and whether another tenant gets it."""

        def missing(target: str, key: tuple[object, ...], what: str) -> tuple[str, bool]:
            excused = any(item.key == key for item in views[target].lost)
            return ("" if excused else f"{target} has no {what} for {rule} of {host}"), False

        switch, port = self._hosts[host]
        tag = tables[switch].get(("tenant-tag", port, rule.vid))
        if not isinstance(tag, TenantTag):
            return missing(switch, ("tenant-tag", port, rule.vid), "tag")
        if tag.vni != rule.vni:
            return f"{switch} takes {rule} of {host} for VNI {tag.vni}", True
        key = _endpoint(rule.vni, rule.dst)
        entry = tables[switch].get(key)
        if isinstance(entry, EndpointRemote):
            switch = self._vteps[entry.vtep]
            entry = tables[switch].get(key)
        if not isinstance(entry, EndpointLocal):
            return missing(switch, key, "endpoint")
        peer = self._behind[(switch, entry.port)]
        receive = tables[peer].get(("receive", entry.vid, rule.dst))
        if not isinstance(receive, ReceiveRule):
            return missing(peer, ("receive", entry.vid, rule.dst), "receive rule")
        if receive.vni != rule.vni:
            return f"{peer} gives {rule} of {host} to VNI {receive.vni}", True
        return "", False


def _endpoint(vni: Vni, mac: Mac) -> tuple[str, int, str]:
    return ("endpoint", vni, mac)
