"""Metrics without a service: what their labels are made of, and that alarms and run book belong together."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
import yaml
from docs.pages import anchors
from ezpath.bus.vitals import Lag, Vitals
from ezpath.condition import Condition
from ezpath.events import SagaOutcome
from ezpath.metrics import CannotListen, ServiceMetrics, WriterMetrics, address_of
from ezpath.names import PairId, Tenant
from ezpath_collector.metrics import PollMetrics
from ezpath_decider.metrics import DeciderMetrics, cause_of, without_numbers
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[2]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_given_an_alarm_then_it_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(rule) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/RUNBOOK.md#{rule['alert'].lower()}"
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_given_the_dashboard_then_every_panel_says_what_it_shows_and_none_lies_upon_another() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/ezpath.json").read_text())
    assert dashboard["uid"] == "ezpath" and dashboard["schemaVersion"] >= 36
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, panel["title"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies upon another"
        taken |= cells
        if panel["type"] != "row":
            assert panel["title"] and panel["targets"], panel
            assert "unit" in panel["fieldConfig"]["defaults"], f"{panel['title']} has no unit"
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_given_a_link_of_an_alarm_then_the_run_book_has_that_place() -> None:
    for rule in RULES:
        file, _, place = rule["annotations"]["runbook_url"].partition("#")
        assert place in anchors((ROOT / file).read_text()), rule["alert"]


def test_given_the_run_book_then_it_has_a_section_for_each_alarm_and_no_other() -> None:
    sections = re.findall(r"^## (\S+)$", (ROOT / "docs/RUNBOOK.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]


def test_given_reasons_with_numbers_then_labels_are_few() -> None:
    assert without_numbers("busy: 20.13 Mbit/s, at least 5 for 3 polls") == "busy: N Mbit/s, at least N for N polls"
    assert without_numbers("worth 1.2e+03 packets/s an entry") == without_numbers("worth 7 packets/s an entry")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("switch:tor1: RESOURCE_EXHAUSTED: table endpoint is full: 6 entries", "switch: RESOURCE_EXHAUSTED"),
        ("deadline: no answer from host:h1 in 10.0 s", "host: no answer in time"),
        ("host:h1: no port of that name", "host: other"),
        ("no VLAN id is free on host h1", "decider: other"),
    ],
)
def test_given_a_roll_back_then_its_label_says_whose_fault_it_was(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause
    registry = CollectorRegistry()
    outcome = SagaOutcome("s1", PairId("red.a.b"), Tenant("red"), "rolled-back", 1.0, 250.0, reason)
    DeciderMetrics(registry).tell(outcome)
    assert registry.get_sample_value("ezpath_saga_rollbacks_total", {"reason": cause}) == 1


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:80", ("::1", 80)), (":9464", ("0.0.0.0", 9464))],
)
def test_given_where_to_listen_then_it_is_understood(listen: str, address: tuple[str, int]) -> None:
    assert address_of(listen) == address


@pytest.mark.parametrize("listen", ["9464", "localhost", "localhost:http", "localhost:0", "localhost:70000", "::1:80"])
def test_given_nonsense_then_it_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(CannotListen, match=re.escape(f"--metrics {listen}: ") + r".*:9464"):
        address_of(listen)


async def test_given_a_batch_in_work_then_the_consumer_is_behind_by_its_oldest_event() -> None:
    lag, seen = Lag(), list[float]()

    class Old:
        published_at, pending = 1000.0, 3

    async def handle(batch: list[object]) -> None:
        seen.append(lag.seconds())
        raise ValueError

    with pytest.raises(ValueError):
        await lag.over(handle, [Old()])  # type: ignore[arg-type, list-item]
    assert seen[0] > 1e9 and lag.pending == 3
    assert lag.seconds() == 0, "an idle consumer is not behind"


async def test_given_several_batches_in_work_then_the_oldest_event_of_those_that_are_left_counts() -> None:
    lag, over = Lag(), [asyncio.Event(), asyncio.Event()]

    class At:
        pending = 0

        def __init__(self, published_at: float) -> None:
            self.published_at = published_at

    works = [
        asyncio.create_task(lag.over(lambda _, end=end: end.wait(), [At(at)]))  # type: ignore[arg-type, list-item, misc]
        for at, end in zip((1000.0, 2000.0), over, strict=True)
    ]
    await asyncio.sleep(0)
    assert lag.oldest_at == 1000.0
    over[0].set()
    await works[0]
    assert lag.oldest_at == 2000.0
    over[1].set()
    await works[1]
    assert lag.oldest_at is None


def test_given_a_connection_lost_and_made_again_then_it_is_one_reconnect() -> None:
    registry = CollectorRegistry()
    metrics, vitals = ServiceMetrics(registry, "decider", "d1", "0.1.0"), Vitals()
    conditions: list[Condition] = []
    metrics.watch(vitals, conditions)
    conditions.append(Condition("switch:tor1"))
    assert registry.get_sample_value("ezpath_nats_reconnects_total") == 0
    vitals.connected, vitals.connections = True, 2
    assert registry.get_sample_value("ezpath_nats_reconnects_total") == 1
    state = {"target": "switch:tor1", "state": "starting"}
    assert registry.get_sample_value("ezpath_target_state", state) == 1


def test_given_what_may_grow_then_it_is_there_before_it_does() -> None:
    registry = CollectorRegistry()
    PollMetrics(registry).watch("tor1")
    WriterMetrics(registry).watch("host:h1")
    failed = {"switch": "tor1", "result": "failed"}
    assert registry.get_sample_value("ezpath_collector_polls_total", failed) == 0
    assert registry.get_sample_value("ezpath_collector_last_poll_timestamp_seconds", {"switch": "tor1"}) == 0
    assert registry.get_sample_value("ezpath_writer_repairs_total", {"target": "host:h1"}) == 0
