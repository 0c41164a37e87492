"""Switches and hosts: how their writers find them, and how full the switches' tables are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ezpath.catalogue import Event
from ezpath.cli.health import Health
from ezpath.events import SwitchTables, TargetState
from ezpath.inventory import Inventory


class Targets:
    """Changes with each event. Only what the inventory names, and what writers told of, is in it."""

    def __init__(self) -> None:
        self._states: dict[str, TargetState] = {}
        self._tables: dict[str, SwitchTables] = {}

    def hear(self, event: Event) -> bool:
        """Whether it tells of one."""
        match event:
            case TargetState():
                self._states[event.target] = event
            case SwitchTables():
                self._tables[event.switch] = event
            case _:
                return False
        return True

    def judged(self, health: Health) -> None:
        """What the writers said when they were asked: of several the one who has the target is believed."""
        self._states |= {state.target: state for state in health.targets}
        self._tables |= {tables.switch: tables for tables in health.tables}

    def document(self, network: Inventory) -> list[Mapping[str, Any]]:
        """Switches first."""
        named = [*(f"switch:{name}" for name in network.switches), *(f"host:{name}" for name in network.hosts)]
        others = sorted(self._states.keys() - set(named), key=lambda name: (name.startswith("host:"), name))
        return [self._one(target) for target in (*named, *others)]

    def _one(self, target: str) -> Mapping[str, Any]:
        sort, _, name = target.partition(":")
        state = self._states.get(target)
        tables = self._tables.get(name) if sort == "switch" else None
        return {
            "target": target,
            "name": name,
            "state": state.state if state else "unknown",
            "since": state.since if state else None,
            "compared_at": state.compared_at if state else None,
            "items": state.items if state else 0,
            "reason": state.reason if state else "no writer has told of it yet",
            "tables": [asdict(use) for use in tables.tables] if tables else [],
        }
