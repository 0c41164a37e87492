"""The rules of a set of items that changes a little at a time: what has to come and go, without looking at the rest.

Pure. Items may share a rule: it is there for as long as one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from ezpath.items import HostItem
from ezpath.ovs.flows import Flow, Place
from ezpath.saga.pmap import PMap

from ezpath_host_writer.book import Entries
from ezpath_host_writer.rules import BridgeRole, NoPort, Ports, Rules, guards, rules_of

_BRIDGES: tuple[BridgeRole, ...] = get_args(BridgeRole)


class Tally:
    """Begins with what is installed for ``items``; then :meth:`change` it."""

    def __init__(self, items: Entries, ports: Ports, blocked: Mapping[tuple[BridgeRole, Place], str]) -> None:
        self._ports = ports
        self._blocked = blocked
        self._items: Entries = PMap()
        self._rules: dict[str, Rules] = {}
        self._counts: dict[BridgeRole, dict[Flow, int]] = {bridge: {} for bridge in _BRIDGES}
        for bridge in _BRIDGES:
            for flow in getattr(guards(ports.patch_int, ports.patch_phy), bridge):
                self._counts[bridge][flow] = 1
        self.change(items)

    def change(self, items: Entries) -> tuple[Rules, Rules]:
        """``items`` are all there are from now on. Returns the rules to come and those to go."""
        touched: dict[BridgeRole, dict[Flow, int]] = {bridge: {} for bridge in _BRIDGES}
        for key in sorted(items.changed_since(self._items)):
            item = items.get(key)
            if key in self._rules:
                self._count(self._rules.pop(key), -1, touched)
            if item is not None:
                self._rules[key] = self._installable(item)
                self._count(self._rules[key], 1, touched)
        self._items = items
        return self._net(touched, there=True), self._net(touched, there=False)

    @property
    def guard(self) -> Flow:
        """A rule that is always there."""
        return guards(self._ports.patch_int, self._ports.patch_phy).integration[0]

    def _installable(self, item: HostItem) -> Rules:
        """None of its rules where one cannot be."""
        try:
            rules = rules_of(item, self._ports)
        except NoPort:
            return Rules()
        if self._blocked and any(place in self._blocked for place in rules.places):
            return Rules()
        return rules

    def _net(self, touched: Mapping[BridgeRole, dict[Flow, int]], *, there: bool) -> Rules:
        """Of the rules that were touched, those that are there now and were not; or the other way round."""

        def of(bridge: BridgeRole) -> tuple[Flow, ...]:
            counts = self._counts[bridge]
            return tuple(f for f, was in touched[bridge].items() if bool(was) is not there and (f in counts) is there)

        return Rules(of("integration"), of("physical"))

    def _count(self, rules: Rules, by: int, touched: dict[BridgeRole, dict[Flow, int]]) -> None:
        """``touched`` remembers how many there were at first."""
        for bridge in _BRIDGES:
            counts = self._counts[bridge]
            for flow in getattr(rules, bridge):
                was = counts.get(flow, 0)
                touched[bridge].setdefault(flow, was)
                if was + by:
                    counts[flow] = was + by
                else:
                    del counts[flow]
