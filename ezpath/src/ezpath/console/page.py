"""The page: everything heard so far as a few parts, and what of them somebody has not seen yet. Pure.

A browser has a :class:`Cursor`, a number for each part. It is sent the newest of each part that has changed, never what
a part was in between: a slow one sees fewer pictures, and nothing waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ezpath.cli.health import Health
from ezpath.cli.seen import Seen
from ezpath.console.flows import Flows
from ezpath.console.journal import Journal, as_document
from ezpath.console.stories import Stories
from ezpath.console.targets import Targets
from ezpath.events import FlowsSnapshot, SwitchTables
from ezpath.inventory import Inventory

JOURNAL = "journal"
POINTS = "points"


@dataclass(slots=True)
class Cursor:
    """What one browser has been sent."""

    parts: dict[str, int] = field(default_factory=dict)
    """Part to version."""
    line: int = 0
    """The last line of the journal."""
    snapshot: int = 0
    points: dict[str, int] = field(default_factory=dict)
    """Flow to the last snapshot of which it has a point."""


@dataclass(slots=True)
class _Part:
    """Made, and made into text, once for each version, however many look on."""

    make: Callable[[], Any]
    version: int = 1
    _text: str = ""
    _made: int = 0

    @property
    def text(self) -> str:
        if self._made != self.version:
            self._text, self._made = _text(self.make()), self.version
        return self._text


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


class Page:
    """Changes with everything heard. ``bus``: where NATS is, in words without secrets."""

    def __init__(self, network: Inventory, bus: str, at: float) -> None:
        self._network = network
        self._flows = Flows(network)
        self._stories = Stories()
        self._targets = Targets()
        self._journal = Journal()
        self._health: Health | None = None
        self._bus: Mapping[str, Any] = {"server": bus, "connected": False, "since": at}
        self._parts = {
            "bus": _Part(lambda: self._bus),
            "network": _Part(self._network_document),
            "flows": _Part(self._flows.document),
            "marks": _Part(self._flows.marks),
            "sagas": _Part(self._stories.document),
            "targets": _Part(lambda: self._targets.document(self._network)),
            "health": _Part(self._health_document),
        }

    # ---- what is heard

    def hear(self, seen: Seen) -> None:
        """An event."""
        event = seen.event
        for part in self._flows.hear(event):
            self._changed(part)
        if self._stories.hear(seen):
            self._changed("sagas")
        if self._targets.hear(event):
            self._changed("targets")
        if not isinstance(event, FlowsSnapshot | SwitchTables):
            self._journal.hear(seen)

    def judged(self, health: Health) -> None:
        """What all services say of themselves."""
        self._health = health
        self._targets.judged(health)
        self._changed("health", "targets")

    def connected(self, connected: bool, at: float) -> bool:
        """Whether NATS is there. True where that is news."""
        if self._bus["connected"] == connected:
            return False
        self._bus = {**self._bus, "connected": connected, "since": at}
        self._changed("bus")
        return True

    def lies(self, network: Inventory) -> None:
        """Where endpoints are, which may have changed."""
        self._network = self._flows.network = network
        self._changed("network", "flows", "targets")

    # ---- what is shown

    def news(self, cursor: Cursor) -> Iterator[tuple[str, str]]:
        """Parts that ``cursor`` has not seen, by name, each as JSON. Moves ``cursor``.

        Points of plots and lines of the journal are added to those that were sent before.
        """
        if cursor.snapshot != self._flows.newest:
            yield POINTS, _text(self._points(cursor))
        for name, part in self._parts.items():
            if cursor.parts.get(name) != part.version:
                cursor.parts[name] = part.version
                yield name, part.text
        if cursor.line != self._journal.newest:
            entries, passed_over = self._journal.after(cursor.line)
            # Who has just come has missed nothing.
            yield JOURNAL, _text(as_document(entries, passed_over if cursor.line else 0))
            cursor.line = self._journal.newest

    def has_news(self, cursor: Cursor) -> bool:
        """Whether :meth:`news` has any."""
        return (cursor.line, cursor.snapshot) != (self._journal.newest, self._flows.newest) or any(
            cursor.parts.get(name) != part.version for name, part in self._parts.items()
        )

    def _points(self, cursor: Cursor) -> Mapping[str, Any]:
        found = self._flows.points(cursor.points)
        cursor.snapshot = self._flows.newest
        cursor.points = {
            pair: points[-1].number if points else cursor.points.get(pair, 0) for pair, points in found.items()
        }
        return {
            pair: [(point.at, point.rate_bps, point.carried) for point in points]
            for pair, points in found.items()
            if points
        }

    def _changed(self, *parts: str) -> None:
        for part in parts:
            self._parts[part].version += 1

    def _network_document(self) -> Mapping[str, Any]:
        """Racks with their switches, those with their hosts, and those with their endpoints."""
        on_host: dict[str, list[Mapping[str, str]]] = {name: [] for name in self._network.hosts}
        for endpoint in self._network.endpoints.values():
            on_host[endpoint.host].append({"name": endpoint.name, "tenant": endpoint.tenant, "kind": endpoint.kind})
        behind: dict[str, list[Mapping[str, Any]]] = {name: [] for name in self._network.switches}
        for host in self._network.hosts.values():
            behind[host.switch].append({"name": host.name, "endpoints": on_host[host.name]})
        switches = [
            {"name": switch.name, "rack": switch.rack, "hosts": behind[switch.name]}
            for switch in self._network.switches.values()
        ]
        return {"switches": switches, "tenants": list(self._network.tenants)}

    def _health_document(self) -> Mapping[str, Any] | None:
        health = self._health
        if health is None:
            return None
        return {
            "at": health.at,
            "alarms": health.alarms,
            "services": [
                {"service": each.service, "instance": each.instance, "version": each.version, "ready": each.ready}
                for each in health.services
            ],
            "active": health.active,
            "under_way": health.under_way,
        }
