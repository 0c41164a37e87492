"""Metrics of every service: who it is, whether it is ready, its connection to NATS, and how it finds its targets.

All of it is read when it is asked for; the service itself counts nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, Info, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ezpath.bus.vitals import Vitals
from ezpath.condition import Condition, State


class ServiceMetrics:
    """Made once for each process; :meth:`watch` what there is by then, and say when it is :attr:`ready`."""

    def __init__(self, registry: CollectorRegistry, service: str, instance: str, version: str) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        about = Info("ezpath_service", "Which service this is, and of which version.", registry=registry)
        about.info({"service": service, "name": instance, "version": version})
        self.ready = Gauge("ezpath_ready", "1 from when the service does its work.", registry=registry)

    def watch(self, vitals: Vitals, conditions: Sequence[Condition]) -> None:
        """``conditions`` may grow later."""
        self._registry.register(_Bus(vitals))
        self._registry.register(_Targets(conditions))


class _Bus(Collector):
    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        vitals = self._vitals
        yield GaugeMetricFamily("ezpath_nats_connected", "1 while NATS is connected.", vitals.connected)
        reconnects = max(0, vitals.connections - 1)
        yield CounterMetricFamily("ezpath_nats_reconnects", "Connections to NATS after the first one.", reconnects)
        yield CounterMetricFamily("ezpath_dead_letters", "Messages that made no sense, put aside.", vitals.buried)
        missed = "Messages, mostly samples, that came faster than they were dealt with, and were dropped."
        yield CounterMetricFamily("ezpath_nats_missed_messages", missed, vitals.missed)
        pending = GaugeMetricFamily(
            "ezpath_consumer_pending_messages", "Messages that waited behind the last ones taken.", labels=["consumer"]
        )
        lag = GaugeMetricFamily(
            "ezpath_consumer_lag_seconds", "Age of the oldest event being worked on, 0 for none.", labels=["consumer"]
        )
        for name, behind in list(vitals.lags.items()):
            pending.add_metric([name], behind.pending)
            lag.add_metric([name], behind.seconds())
        yield pending
        yield lag


class _Targets(Collector):
    """The switches or hosts that a writer has at the moment: of those it has no longer it says nothing."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions

    def collect(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "ezpath_target_state", "1 for the state that the switch or host is in.", labels=["target", "state"]
        )
        compared = GaugeMetricFamily(
            "ezpath_target_compared_timestamp_seconds",
            "When it was last read back and compared with what it ought to hold.",
            labels=["target"],
        )
        items = GaugeMetricFamily("ezpath_target_items", "Items that it ought to hold.", labels=["target"])
        table = ["switch", "table"]
        used = GaugeMetricFamily("ezpath_switch_table_entries", "Entries in it, whoever's they are.", labels=table)
        size = GaugeMetricFamily("ezpath_switch_table_size_entries", "Entries the program has room for.", labels=table)
        conditions = list(self._conditions)
        for tables in [condition.tables for condition in conditions if condition.tables is not None]:
            for use in tables.tables:
                used.add_metric([tables.switch, use.table], use.used)
                size.add_metric([tables.switch, use.table], use.size)
        for told in [condition.told() for condition in conditions]:
            for each in get_args(State):
                state.add_metric([told.target, each], float(told.state == each))
            if told.compared_at is not None:
                compared.add_metric([told.target], told.compared_at)
            items.add_metric([told.target], told.items)
        return state, compared, items, used, size
