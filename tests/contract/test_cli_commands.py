"""`ezpath` as people run it: a process, a real NATS, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from ezpath.events import (
    SAGA_BUCKET,
    FlowLine,
    FlowsSnapshot,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
)
from ezpath.names import PairId, Tenant
from network import NETWORK

EZPATH = str(Path(sys.executable).parent / "ezpath")
RED = PairId("red.red-1.red-3")
BLUE = PairId("blue.blue-1.blue-3")


@pytest.fixture
def inventory_file(tmp_path: Path) -> str:
    (tmp_path / "network.yaml").write_text(NETWORK)
    return str(tmp_path / "network.yaml")


async def start(*arguments: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    return await asyncio.create_subprocess_exec(
        EZPATH,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )


async def ezpath(*arguments: str) -> tuple[int, str, str]:
    process = await start(*arguments)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await start(*arguments)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def line_with(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(15):
        async for raw in process.stdout:
            if text in raw.decode():
                return raw.decode()
    raise AssertionError(f"no line with {text!r}")


def outcome(pair: PairId, what: str, reason: str = "") -> SagaOutcome:
    tenant = Tenant(pair.split(".")[0])
    return SagaOutcome(f"{pair}.1", pair, tenant, what, time.time(), 120.0, reason)  # type: ignore[arg-type]


async def story(bus) -> None:
    """Red is offloaded; blue is rolled back."""
    for pair in (RED, BLUE):
        tenant = Tenant(pair.split(".")[0])
        await bus.publish(OffloadRequested(pair, tenant, "busy", 2e8, time.time()))
        targets = ("switch:tor1", "switch:tor2")
        await bus.publish(
            SagaStep(f"{pair}.1", pair, tenant, 1, "switch-receive", "requested", time.time(), 1.0, targets)
        )
        await bus.publish(StepReport(f"{pair}.1", pair, 1, "switch-receive", "switch:tor1", True))
    await bus.publish(outcome(RED, "active"))
    await bus.publish(outcome(BLUE, "rolled-back", "switch:tor1: RESOURCE_EXHAUSTED: table endpoint is full"))


async def test_tail_shows_what_was_one_line_an_event(bus, nats_server):
    await story(bus)
    code, out, err = await ezpath("tail", "--nats", nats_server.url, "--no-follow")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["TIME", "PAIR", "WHAT", "TOOK", "WHO", "AND", "WHY"]
    assert len(lines) == 7  # the heading, two decisions, two steps, two outcomes: no reports
    assert "ROLLED BACK" in lines[6] and "table endpoint is full" in lines[6]
    assert "\x1b" not in out


async def test_tail_all_has_the_reports_too(bus, nats_server):
    await story(bus)
    _, out, _ = await ezpath("tail", "--nats", nats_server.url, "--no-follow", "--all")
    assert out.count("report switch-receive") == 2


async def test_tail_json_is_one_object_a_line(bus, nats_server):
    await story(bus)
    _, out, _ = await ezpath("tail", "--nats", nats_server.url, "--no-follow", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["type"] for event in events].count("saga-outcome") == 2
    assert events[0]["nats"]["subject"] == f"ezpath.decision.offload.{RED}"
    assert events[-1]["reason"].endswith("table endpoint is full")


async def test_tail_filters_by_tenant_host_and_switch(bus, nats_server, inventory_file):
    await story(bus)
    base = ("tail", "--nats", nats_server.url, "--no-follow", "--json", "--inventory", inventory_file)
    _, red, _ = await ezpath(*base, "--tenant", "red")
    _, here, _ = await ezpath(*base, "--host", "h21", "--switch", "tor2")
    _, none, _ = await ezpath(*base, "--host", "h12")
    assert {json.loads(line)["pair"] for line in red.splitlines()} == {RED}
    assert len(here.splitlines()) == 6
    assert none == ""


async def test_tail_last_and_since(bus, nats_server):
    await story(bus)
    base = ("tail", "--nats", nats_server.url, "--no-follow", "--json")
    _, last, _ = await ezpath(*base, "--last", "2")
    assert [json.loads(line)["type"] for line in last.splitlines()] == ["saga-outcome", "saga-outcome"]
    await asyncio.sleep(1.5)
    _, long_ago, _ = await ezpath(*base, "--since", "1h")
    _, just_now, _ = await ezpath(*base, "--since", "1s")
    assert len(long_ago.splitlines()) == 6
    assert just_now == ""


async def test_tail_follows_until_interrupted(bus, nats_server):
    await story(bus)
    async with running("tail", "--nats", nats_server.url, "--last", "1") as process:
        await line_with(process, "ROLLED BACK")
        await bus.publish(outcome(RED, "reverted", "idle"))
        assert "idle" in await line_with(process, "REVERTED")
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")


async def test_tail_survives_a_restart_of_nats(bus, nats_server):
    async with running("tail", "--nats", nats_server.url) as process:
        await asyncio.sleep(1.5)
        nats_server.stop()
        nats_server.start()
        await bus.publish(outcome(RED, "active"))
        await line_with(process, "ACTIVE")


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--last", "-1"), ("--inventory", "/no/such/file")])
async def test_wrong_usage_is_2(arguments):
    code, _, err = await ezpath("tail", *arguments)
    assert code == 2 and err


async def test_no_nats_is_3_within_seconds_and_says_what_to_do(late_nats):
    began = time.monotonic()
    for command in (("tail",), ("flows",), ("offload", RED)):
        code, _, err = await ezpath(*command, "--nats", late_nats.url)
        assert code == 3
        assert late_nats.url in err and "Start nats-server" in err
        assert len(err.splitlines()) == 1
    assert time.monotonic() - began < 60


async def test_flows_shows_the_next_snapshot(bus, nats_server):
    flows = (
        FlowLine(BLUE, Tenant("blue"), "blue-1", "blue-3", 1e6, 90.0, "overlay", None, ("tor1", "tor2")),
        FlowLine(RED, Tenant("red"), "red-1", "red-3", 2.5e8, 21e3, "switch", "active", ("tor1", "tor2")),
    )

    async def decider():
        while True:
            await bus.publish(FlowsSnapshot(time.time(), flows))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(decider())
    code, table, _ = await ezpath("flows", "--nats", nats_server.url)
    _, as_json, _ = await ezpath("flows", "--nats", nats_server.url, "--json", "--tenant", "red")
    async with running("flows", "--nats", nats_server.url, "--watch", "--json") as process:
        await line_with(process, RED)
        await line_with(process, RED)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    task.cancel()
    rows = table.splitlines()
    assert code == 0
    assert rows[0].split()[:4] == ["TENANT", "A", "B", "RATE"]
    assert rows[1].split()[:5] == ["red", "red-1", "red-3", "250.00", "Mbit/s"]  # the busiest first
    assert rows[1].split()[-3:] == ["active", "tor1", "tor2"] and "overlay" in rows[2]
    (flow,) = [json.loads(line) for line in as_json.splitlines()]
    assert (flow["pair"], flow["where"], flow["rate_bps"]) == (RED, "switch", 2.5e8)


async def test_flows_without_a_decider_is_1(nats_server):
    code, _, err = await ezpath("flows", "--nats", nats_server.url, "--timeout", "0.5")
    assert code == 1 and "ezpath-decider" in err


async def test_check_config(tmp_path, inventory_file):
    code, out, _ = await ezpath("check-config", inventory_file)
    assert code == 0 and "4 hosts" in out
    bad = tmp_path / "bad.yaml"
    bad.write_text(NETWORK.replace("switch: tor1, port: 1,", "switch: tor9, port: 1,"))
    code, out, _ = await ezpath("check-config", str(bad))
    (line,) = out.splitlines()
    assert code == 1
    assert line.startswith(f"{bad}:") and "hosts.h11.switch: unknown switch tor9. Known switches: tor1, tor2" in line
    _, as_json, _ = await ezpath("check-config", "--json", str(bad))
    assert json.loads(as_json)["field"] == "hosts.h11.switch"
    bad.write_text(f"{NETWORK}sources:\n  dock: {{kind: docker}}\n")
    code, out, _ = await ezpath("check-config", str(bad))
    assert code == 1 and "sources.dock.host: is missing. Add it" in out
    bad.write_text(f"{NETWORK}sources:\n  dock: {{kind: docker, host: h11}}\n")
    code, out, _ = await ezpath("check-config", str(bad))
    assert code == 0 and "7 endpoints, and those of dock)" in out


async def test_check_config_of_settings_says_what_the_services_would(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("nats: nats://10.0.0.5\ndecider:\n  intervall: 0.5\ncollector: {switch: tor1}\n")
    code, out, _ = await ezpath("check-config", str(file))
    decider, collector = out.splitlines()
    assert code == 1
    assert decider.startswith(f"{file}:3: decider.intervall: is not known here. Is interval meant?")
    assert collector.startswith(f"{file}:4: collector.switch: is not a list.")
    _, as_yaml, _ = await ezpath("check-config", "-o", "yaml", str(file))
    assert [problem["line"] for problem in yaml.safe_load(as_yaml)] == [3, 4]
    file.write_text("decider:\n  interval: 0.5\n")
    code, out, _ = await ezpath("check-config", str(file))
    assert code == 0 and "no problems (settings of collector, decider, host-writer, switch-writer, console)" in out
    # a file that says nothing of what it is may be told apart
    file.write_text("interval: 0.5\n")
    code, out, _ = await ezpath("check-config", str(file))
    assert code == 1 and "tenants: is missing" in out
    code, out, _ = await ezpath("check-config", "--as", "settings", str(file))
    assert code == 1 and "interval: is not known here." in out
    code, out, _ = await ezpath("check-config", "--as", "settings", str(tmp_path / "nothing.yaml"))
    assert code == 1 and "nothing.yaml:1: file: cannot be read: No such file or directory. Give the path" in out


async def test_a_person_decides_and_waits_for_the_outcome(bus, nats_server, inventory_file):
    # Given somebody who plays the decider
    async def decider(batch):
        for delivery in batch:
            what = "active" if isinstance(delivery.event, OffloadRequested) else "reverted"
            reason = delivery.event.reason
            if reason == "doomed":
                what = "rolled-back"
            found = await bus.kv_get(SAGA_BUCKET, delivery.event.pair)
            record = json.dumps({"phase": what}).encode()
            await bus.kv_put_cas(SAGA_BUCKET, delivery.event.pair, record, found[1] if found else None)
            await bus.publish(outcome(delivery.event.pair, what, reason))

    task = asyncio.create_task(bus.consume("d", "ezpath.decision.>", (OffloadRequested, RevertRequested), decider))
    options = ("--nats", nats_server.url, "--inventory", inventory_file)
    # When a pair is offloaded (its endpoints in any order), brought back, and one does not work
    active = await ezpath("offload", "red.red-3.red-1", *options)
    again = await ezpath("offload", RED, *options)
    reverted = await ezpath("revert", RED, *options, "--reason", "maintenance")
    nothing = [await ezpath("revert", pair, *options) for pair in (RED, BLUE)]
    failed = await ezpath("offload", BLUE, *options, "--reason", "doomed")
    task.cancel()
    # Then each says how it ended
    assert active[0] == 0 and "ACTIVE" in active[1] and "operator" in active[1]
    assert reverted[0] == 0 and "REVERTED" in reverted[1] and "maintenance" in reverted[1]
    assert failed[0] == 1 and "rolled back: doomed" in failed[2]
    # and where it is there already nobody waits for it to go there
    assert again[:2] == (0, f"{RED} is on the switches already\n")
    assert [each[:2] for each in nothing] == [(0, f"{pair} is not on the switches\n") for pair in (RED, BLUE)]


async def test_a_pair_that_is_none_is_refused(nats_server, inventory_file):
    for pair in ("red.red-1", "red.*.x", "red.red-1.red-1", "red.red-1.blue-3"):
        code, _, err = await ezpath("offload", pair, "--nats", nats_server.url, "--inventory", inventory_file)
        assert code == 2, err
