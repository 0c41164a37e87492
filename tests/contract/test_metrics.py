"""Prometheus's view of the services as they run: each is scraped, and alarms and dashboard ask for what there is."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from console_rig import console
from contract.services_rig import BIN, OPTIONS, PAIR, running
from ezpath.bus import Bus
from ezpath.events import OffloadRequested, RevertRequested
from ezpath.names import PairId, Tenant
from prometheus_client.parser import text_string_to_metric_families
from promql import alarms, panels

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(200)]

NAME = re.compile(r"\bezpath_\w+")
DROPS = "EzIngress.drops"
UNKNOWN_TAG = 1


@dataclass(frozen=True)
class Scrape:
    """All samples of one service: their values by name and labels."""

    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    kinds: Mapping[str, str]
    """Of each family of EZPath's own."""

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of those of ``name`` that have these labels, others beside them or not."""
        found = [
            value for (each, has), value in self.values.items() if each == name and labels.items() <= dict(has).items()
        ]
        assert found, f"no {name} with {labels}; there are {sorted({each for each, _ in self.values})}"
        return sum(found)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.values}


def scrape(port: int) -> Scrape:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    samples = (sample for family in families for sample in family.samples)
    values = {(each.name, frozenset(each.labels.items())): each.value for each in samples}
    return Scrape(values, {each.name: each.type for each in families if each.name.startswith("ezpath_")})


NO_BASE_UNITS = re.compile(r"_(ms|us|ns|milliseconds|minutes|hours|bits|bps|kilobytes|kb|mib|percent)(_|$)")


def misnamed(name: str, kind: str) -> str:
    """What promtool would say of it: base units, a unit at the end, and no word on what sort of metric it is."""
    if not re.fullmatch(r"ezpath(_[a-z0-9]+)+", name):
        return "not in snake case"
    if NO_BASE_UNITS.search(name):
        return "not in seconds or bytes"
    if kind == "histogram" and not name.endswith("_seconds"):
        return "a histogram without its unit"
    if "timestamp" in name and not name.endswith("_timestamp_seconds"):
        return "a time without its unit"
    return "says what it is" if re.search(r"_(total|count|sum|bucket|gauge|counter|histogram)$", name) else ""


class Ports:
    """One of each service, free a moment ago."""

    def __init__(self) -> None:
        probes = [socket.socket() for _ in OPTIONS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        self._ports = dict(zip(OPTIONS, (probe.getsockname()[1] for probe in probes), strict=True))
        for probe in probes:
            probe.close()

    def options(self, service: str) -> tuple[str, str]:
        return "--metrics", f"127.0.0.1:{self._ports[service]}"

    async def scrape(self, service: str) -> Scrape:
        return await asyncio.to_thread(scrape, self._ports[service])

    async def until(self, service: str, name: str, **labels: str) -> None:
        """Until it is more than zero."""
        async with asyncio.timeout(60):
            while not (await self.scrape(service))(name, **labels):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)


async def moved_there_and_back(ports: Ports, bus: Bus) -> None:
    pair, tenant = PairId(PAIR), Tenant("red")
    await bus.publish(OffloadRequested(pair, tenant, "a person asked", 0.0, time.time()))
    await ports.until("decider", "ezpath_saga_outcomes_total", outcome="active")
    await bus.publish(RevertRequested(pair, tenant, "a person asked", time.time()))
    await ports.until("decider", "ezpath_saga_outcomes_total", outcome="reverted")


async def test_given_services_at_work_then_prometheus_reads_what_they_do(tmp_path, nats_server, make_machine, bus):
    ports = Ports()
    options = {name: (*usual, *ports.options(name)) for name, usual in OPTIONS.items()}
    options["collector"] = ("--interval", "0.2", *ports.options("collector"))
    options["host-writer"] = ("--audit-interval", "0.5", *ports.options("host-writer"))
    async with running(tmp_path, nats_server.url, make_machine, **options) as services:
        services.tor.plane.counters[DROPS][UNKNOWN_TAG] = 7, 700
        await moved_there_and_back(ports, bus)
        # a stranger removes what EZPath installed
        services.h1.ofctl("del-flows", "br-phy")
        await ports.until("host-writer", "ezpath_writer_repairs_total", target="host:h1")
        await bus.publish_bulk("ezpath.samples.tor1", b"no sample")
        await ports.until("decider", "ezpath_dead_letters_total")
        scraped = {service: await ports.scrape(service) for service in OPTIONS}

    for service, each in scraped.items():
        assert (
            each("ezpath_service_info", service=service) == each("ezpath_ready") == each("ezpath_nats_connected") == 1
        )
        assert each("ezpath_nats_reconnects_total") == 0 < each("process_cpu_seconds_total")
    collector, decider, switches, hosts = (
        scraped[service] for service in ("collector", "decider", "switch-writer", "host-writer")
    )
    assert collector("ezpath_collector_polls_total", switch="tor1", result="ok") > 3
    assert collector("ezpath_collector_poll_duration_seconds_count", switch="tor1") > 3
    assert abs(time.time() - collector("ezpath_collector_last_poll_timestamp_seconds", switch="tor1")) < 60
    assert collector("ezpath_switch_dropped_packets_total", switch="tor1", reason="unknown tag") == 7
    assert collector("ezpath_monitor_cells", switch="tor1") == 4 * 16384
    assert decider("ezpath_decider_samples_total", switch="tor1", result="taken") > 3
    assert decider("ezpath_decider_round_duration_seconds_count") > 3
    assert decider("ezpath_decider_shards_led") == 1
    assert decider("ezpath_switch_budget_entries", switch="tor1") == 1024
    assert decider("ezpath_saga_step_duration_seconds_count", phase="switch-receive") == 1
    assert 0 < decider("ezpath_saga_duration_seconds_sum", outcome="active") < 60
    assert decider("ezpath_sagas", phase="reverted") == 1 and decider("ezpath_sagas", phase="active") == 0
    assert switches("ezpath_target_state", target="switch:tor1", state="in-sync") == 1
    assert switches("ezpath_target_state", target="switch:tor1") == 1, "in one state at a time"
    assert switches("ezpath_writer_commands_total", target="switch:tor1", result="ok") >= 3
    assert switches("ezpath_switch_table_size_entries", switch="tor1", table="endpoint") == 131072
    assert hosts("ezpath_writer_batch_duration_seconds_count", target="host:h2") >= 2

    # and all of it is named as Prometheus's conventions have it
    wrongly = {
        name: said for each in scraped.values() for name, kind in each.kinds.items() if (said := misnamed(name, kind))
    }
    assert wrongly == {}

    # and whatever alarms and dashboard ask for is there
    there = set[str]().union(*(each.names for each in scraped.values()))
    late = {"ezpath_decider_decisions_total", "ezpath_saga_rollbacks_total"}  # come with the first one of each
    wrong = {
        where: missing for where, expr in (*alarms(), *panels()) if (missing := set(NAME.findall(expr)) - there - late)
    }
    assert wrong == {}


async def test_given_the_console_then_it_is_read_as_every_service(tmp_path, nats_server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (tmp_path / "settings.yaml").write_text(f'nats: {nats_server.url}\nconsole: {{metrics: "127.0.0.1:{port}"}}\n')
    async with console(nats_server.url, tmp_path, "--config", str(tmp_path / "settings.yaml")) as served:
        async with asyncio.timeout(60):
            while ("ezpath_nats_connected", frozenset()) not in (await asyncio.to_thread(scrape, port)).values:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        read = await asyncio.to_thread(scrape, port)
        assert read("ezpath_service_info", service="console") == read("ezpath_ready") == 1
        assert read("ezpath_console_browsers") == 0
        # Given a browser that looks on, then it is counted
        with await asyncio.to_thread(urlopen, f"{served.url}/events", timeout=10) as events:
            await asyncio.to_thread(events.readline)
            assert (await asyncio.to_thread(scrape, port))("ezpath_console_browsers") == 1


async def test_given_a_port_that_is_taken_then_nothing_is_started_and_it_is_said_why(tmp_path):
    (tmp_path / "network.yaml").write_text("tenants: {}\nswitches: {}\nhosts: {}\nendpoints: []\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            str(BIN / "ezpath-collector"),
            *("--inventory", str(tmp_path / "network.yaml"), "--metrics", where),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert f"--metrics {where}: cannot be listened on: Address already in use. Give an address" in said.decode()
