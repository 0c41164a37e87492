"""The switch-writer's metrics: those of every writer, and how full the switches' tables are."""

from __future__ import annotations

from collections.abc import Iterable

from ezpath.events import TableUse
from ezpath.metrics import WriterMetrics
from prometheus_client import CollectorRegistry, Gauge


class SwitchMetrics(WriterMetrics):
    """Of all switches that this writer has."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        super().__init__(registry)
        self._used = Gauge(
            "ezpath_switch_table_entries", "Entries in it, whoever's they are.", ["switch", "table"], registry=registry
        )
        self._size = Gauge(
            "ezpath_switch_table_size_entries",
            "Entries the program has room for.",
            ["switch", "table"],
            registry=registry,
        )

    def tables(self, switch: str, tables: Iterable[TableUse]) -> None:
        """As they were read back."""
        for use in tables:
            self._used.labels(switch, use.table).set(use.used)
            self._size.labels(switch, use.table).set(use.size)
