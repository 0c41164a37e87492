"""Metrics that the switch-writer and the host-writer have in common: commands, and what had to be put right."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class WriterMetrics:
    """``target``: ``switch:tor1`` or ``host:h11``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._commands = Counter(
            "ezpath_writer_commands", "Commands carried out, or not.", ["target", "result"], registry=registry
        )
        self._batch = Histogram(
            "ezpath_writer_batch_duration_seconds",
            "From taking commands to having read back what they changed.",
            ["target"],
            buckets=SECONDS,
            registry=registry,
        )
        self._repairs = Counter(
            "ezpath_writer_repairs",
            "Entries or rules put right that nobody had commanded: missing, surplus or changed.",
            ["target"],
            registry=registry,
        )
        self._unrepaired = Counter(
            "ezpath_writer_repairs_failed", "Of those, such as could not be put right.", ["target"], registry=registry
        )

    def watch(self, target: str) -> None:
        """From now on, with zeros: what is not there cannot grow."""
        for result in ("ok", "failed"):
            self._commands.labels(target, result)
        for metric in (self._batch, self._repairs, self._unrepaired):
            metric.labels(target)

    def carried_out(self, target: str, reasons: Iterable[str], took_s: float) -> None:
        """A batch of commands; for each why it failed, or an empty string."""
        for reason in reasons:
            self._commands.labels(target, "failed" if reason else "ok").inc()
        self._batch.labels(target).observe(took_s)

    def repaired(self, target: str, changes: int, failures: int = 0) -> None:
        self._repairs.labels(target).inc(changes)
        self._unrepaired.labels(target).inc(failures)
