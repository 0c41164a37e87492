"""The decider's metrics: rounds, samples, decisions by reason, the life of sagas, and what tables have room for."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterable
from typing import get_args

from ezpath.events import JsonEvent, OutcomeName, SagaOutcome, SagaStep
from ezpath.saga import Phase, Saga
from ezpath.saga.phases import AT_REST
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ezpath_decider.book import TABLES
from ezpath_decider.budgets import I64, UNLIMITED
from ezpath_decider.engine import Round

ROUND_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STEP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_NUMBERS = re.compile(r"\{[^}]*\}|\d[\d.,e+]*")
_CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_TARGET = re.compile(r"\b(switch|host):\S+")


class DeciderMetrics:
    """One decider's. Each saga is told of by whoever leads its shard."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._round = Histogram(
            "ezpath_decider_round_duration_seconds",
            "From the samples that came in to decisions.",
            buckets=ROUND_S,
            registry=registry,
        )
        self._last = Gauge("ezpath_decider_last_round_timestamp_seconds", "When it last decided.", registry=registry)
        self._flows = Gauge("ezpath_decider_flows", "Flows that it keeps the series of.", registry=registry)
        self._samples = Counter("ezpath_decider_samples", "Samples by switch.", ["switch", "result"], registry=registry)
        self._decisions = Counter("ezpath_decider_decisions", "Moves asked for.", ["what", "reason"], registry=registry)
        self._faults = Counter("ezpath_decider_strategy_faults", "Rounds the strategy failed in.", registry=registry)
        self._leads = Gauge("ezpath_decider_shards_led", "Shards that this decider leads.", registry=registry)
        self._budget = Gauge(
            "ezpath_switch_budget_entries", "Entries allowed, of all tables together.", ["switch"], registry=registry
        )
        self._room = Gauge(
            "ezpath_switch_table_budget_entries",
            "Entries allowed, where it is known.",
            ["switch", "table"],
            registry=registry,
        )
        self._held = Gauge(
            "ezpath_switch_table_held_entries",
            "Entries that offloaded flows need.",
            ["switch", "table"],
            registry=registry,
        )
        self._sagas = Gauge("ezpath_sagas", "Pairs by phase.", ["phase"], registry=registry)
        self._oldest = Gauge(
            "ezpath_saga_oldest_step_timestamp_seconds",
            "Since when the saga that has waited longest has been in its phase; the present, where none waits.",
            registry=registry,
        )
        self._steps = Histogram(
            "ezpath_saga_step_duration_seconds", "Time spent in a phase.", ["phase"], buckets=STEP_S, registry=registry
        )
        self._outcomes = Counter("ezpath_saga_outcomes", "Sagas that came to rest.", ["outcome"], registry=registry)
        self._whole = Histogram(
            "ezpath_saga_duration_seconds",
            "From the request to the outcome.",
            ["outcome"],
            buckets=STEP_S,
            registry=registry,
        )
        self._rollbacks = Counter("ezpath_saga_rollbacks", "Offloads undone.", ["reason"], registry=registry)
        for outcome in get_args(OutcomeName):
            self._outcomes.labels(outcome)

    # ---- rounds -------------------------------------------------------------

    def sample(self, switch: str, taken: bool) -> None:
        """``taken``: it counts; others are late, repeated, a second collector's or of an unknown switch."""
        self._samples.labels(switch, "taken" if taken else "ignored").inc()

    def decided(self, decided: Round, flows: int, took_s: float, now: float) -> None:
        self._round.observe(took_s)
        self._last.set(now)
        self._flows.set(flows)
        self._faults.inc(bool(decided.fault))
        budgets, switches = decided.budgets, decided.candidates.directory.switches
        for switch, name in enumerate(switches):
            self._budget.labels(name).set(budgets.switches[switch])
            for table, entries in zip(TABLES, budgets.tables[switch], strict=True):
                if entries < UNLIMITED:
                    self._room.labels(name, table).set(entries)

    def asked(self, what: str, reason: str) -> None:
        self._decisions.labels(what, without_numbers(reason)).inc()

    def held(self, switch: str, entries: I64) -> None:
        """By table."""
        for table, held in zip(TABLES, entries, strict=True):
            self._held.labels(switch, table).set(held)

    # ---- sagas --------------------------------------------------------------

    def stand(self, sagas: Iterable[Saga], shards: int, now: float) -> None:
        """All sagas led here, as they are."""
        self._leads.set(shards)
        phases, oldest = Tally[Phase](), now
        for saga in sagas:
            phases[saga.phase] += 1
            if saga.phase not in AT_REST:
                oldest = min(oldest, saga.entered_at)
        for phase in Phase:
            self._sagas.labels(phase).set(phases[phase])
        self._oldest.set(oldest)

    def tell(self, event: JsonEvent) -> None:
        """Something became of a saga."""
        match event:
            case SagaStep():
                self._steps.labels(event.previous).observe(event.took_ms / 1e3)
            case SagaOutcome():
                self._outcomes.labels(event.outcome).inc()
                self._whole.labels(event.outcome).observe(event.took_ms / 1e3)
                if event.outcome == "rolled-back":
                    self._rollbacks.labels(cause_of(event.reason)).inc()


def without_numbers(reason: str) -> str:
    """A decision's reason as a label: the strategy's words, which are few, without the numbers, which are not."""
    return _NUMBERS.sub("N", reason)


def cause_of(reason: str) -> str:
    """A roll-back's reason as a label: whose fault it was, and the code that it gave, or the kind of words."""
    target, code = _TARGET.search(reason), _CODE.search(reason)
    who = target[1] if target else "decider"
    return f"{who}: {code[0] if code else 'no answer in time' if 'no answer' in reason else 'other'}"
