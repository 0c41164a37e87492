"""The host-writer's metrics: those of every writer."""

from __future__ import annotations

from ezpath.metrics import WriterMetrics
from prometheus_client import CollectorRegistry


class HostMetrics(WriterMetrics):
    """Of all hosts that this writer has."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry or CollectorRegistry())
