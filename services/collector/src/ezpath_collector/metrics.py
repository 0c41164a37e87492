"""The collector's metrics: polls of each switch, what they found, and what the switch says that it dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ezpath.drops import reason_of
from ezpath.samples import FlowSample
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class PollMetrics:
    """Of all switches that this collector polls."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._polls = Counter(
            "ezpath_collector_polls",
            "Polls that were made, and attempts that failed.",
            ["switch", "result"],
            registry=registry,
        )
        self._duration = Histogram(
            "ezpath_collector_poll_duration_seconds",
            "Reading one switch's registers, up to the sample being sent.",
            ["switch"],
            buckets=SECONDS,
            registry=registry,
        )
        self._last = Gauge(
            "ezpath_collector_last_poll_timestamp_seconds",
            "When a switch was last polled.",
            ["switch"],
            registry=registry,
        )
        self._cells = Gauge("ezpath_monitor_cells", "Cells of the flow monitor.", ["switch"], registry=registry)
        self._flows = Gauge("ezpath_monitor_flows", "Flows in it at the last poll.", ["switch"], registry=registry)
        self._samples = Counter("ezpath_collector_samples", "Samples published.", ["switch"], registry=registry)
        self._drops = _Drops()
        registry.register(self._drops)

    def watch(self, switch: str) -> None:
        """From now on, with zeros: what is not there cannot grow."""
        for result in ("ok", "failed"):
            self._polls.labels(switch, result)
        self._samples.labels(switch)
        # A switch that was never polled is as old as Unix: so its age is an alarm as any other's.
        self._last.labels(switch)

    def polled(self, sample: FlowSample, cells: int, took_s: float, published: bool) -> None:
        switch = sample.switch
        self._polls.labels(switch, "ok").inc()
        self._duration.labels(switch).observe(took_s)
        self._last.labels(switch).set(sample.wall_ns / 1e9)
        self._cells.labels(switch).set(cells)
        self._flows.labels(switch).set(len(sample.vni))
        self._samples.labels(switch).inc(published)
        self._drops.latest[switch] = sample.drops

    def failed(self, switch: str) -> None:
        self._polls.labels(switch, "failed").inc()


class _Drops(Collector):
    """The switches count; what they last said is passed on."""

    def __init__(self) -> None:
        self.latest: dict[str, Mapping[str, int]] = {}

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "ezpath_switch_dropped_packets",
            "Packets that the switch dropped, by its own count.",
            labels=["switch", "reason"],
        )
        for switch, drops in list(self.latest.items()):
            for cell, packets in drops.items():
                family.add_metric([switch, reason_of(int(cell))], packets)
        yield family
