"""What all services promise as processes: exit codes, readiness, signals. Shown on the collector and switch-writer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from network import NETWORK
from tor_server import ServerOnly

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
SERVICES = {
    "ezpath-collector": (),
    "ezpath-switch-writer": ("--p4-dir", str(ROOT / "p4"), "--switch", "tor1"),
}


@pytest_asyncio.fixture
async def tor(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    tor = ServerOnly(tmp_path)
    await tor.start()
    yield tor
    await tor.stop()


@pytest.fixture
def inventory_file(tmp_path: Path, tor: ServerOnly) -> str:
    (tmp_path / "network.yaml").write_text(NETWORK.replace("unix:/run/tor1.sock", tor.address))
    return str(tmp_path / "network.yaml")


@asynccontextmanager
async def running(service: str, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    process = await asyncio.create_subprocess_exec(
        str(BIN / service), *arguments, stderr=asyncio.subprocess.PIPE, env={**clean, **environment}
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def log_line(process: asyncio.subprocess.Process, event: str) -> dict[str, object]:
    assert process.stderr is not None
    async with asyncio.timeout(20):
        async for raw in process.stderr:
            entry: dict[str, object] = json.loads(raw)
            assert "service" in entry, f"whose line is that? {entry}"
            if entry["event"] == event:
                return entry
    raise AssertionError(f"it never said {event!r}")


async def refused(service: str, *arguments: str) -> str:
    """Run what must not start; returns what it said."""
    async with running(service, *arguments) as process:
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 2, said.decode()
        return said.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_ready_and_stopped_by_a_signal(service, nats_server, inventory_file, tmp_path):
    ready_file = tmp_path / "run" / "ready"
    options = (*SERVICES[service], "--inventory", inventory_file, "--ready-file", str(ready_file))
    async with running(service, "--nats", nats_server.url, *options) as process:
        ready = await log_line(process, "ready")
        assert ready["service"] == service.removeprefix("ezpath-") and ready["level"] == "info"
        assert ready_file.exists()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 12) == 0
    assert not ready_file.exists()


@pytest.mark.parametrize("name", ["{path}", "@ezpath-test-{pid}"], ids=["a path", "an abstract name"])
async def test_systemd_is_told_when_it_is_ready_and_when_it_stops(nats_server, inventory_file, tmp_path, name):
    # Given a service manager that wants to be told (Type=notify)
    address = name.format(path=tmp_path / "notify", pid=os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(20)
        settings = {"EZPATH_NATS": nats_server.url, "EZPATH_INVENTORY": inventory_file, "NOTIFY_SOCKET": address}
        # When a service starts and is stopped, then it says both
        async with running("ezpath-collector", **settings) as process:
            assert await asyncio.to_thread(manager.recv, 100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(manager.recv, 100) == b"STOPPING=1"
            assert await asyncio.wait_for(process.wait(), 12) == 0


@pytest.mark.parametrize("service", SERVICES)
async def test_settings_may_come_from_the_environment(service, nats_server, inventory_file):
    settings = {"EZPATH_NATS": nats_server.url, "EZPATH_INVENTORY": inventory_file, "EZPATH_P4_DIR": str(ROOT / "p4")}
    async with running(service, **settings, EZPATH_SWITCHES="tor1") as process:
        ready = await log_line(process, "ready")
        assert ready["switches"] == ["tor1"]
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 12) == 0


@pytest.mark.parametrize("service", SERVICES)
async def test_it_waits_for_nats_and_can_be_stopped_while_it_waits(service, late_nats, inventory_file):
    options = (*SERVICES[service], "--inventory", inventory_file)
    async with running(service, "--nats", late_nats.url, *options) as process:
        waiting = await log_line(process, "waiting for nats")
        assert late_nats.url in str(waiting["reason"]) and "Start nats-server" in str(waiting["reason"])
        late_nats.start()
        await log_line(process, "ready")
    late_nats.stop()
    async with running(service, "--nats", late_nats.url, *options) as process:
        await log_line(process, "waiting for nats")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 12) == 0


@pytest.mark.parametrize("service", SERVICES)
async def test_a_bad_inventory_is_refused_before_anything_else(service, late_nats, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(NETWORK.replace("vtep: 10.255.0.2", "vtep: 10.255.0.1"))
    said = await refused(service, *SERVICES[service], "--nats", late_nats.url, "--inventory", str(bad))
    assert f"{bad}:20: switches.tor2.vtep: VTEP 10.255.0.1 is switch tor1's already. Give each VTEP" in said
    assert "nats" not in said.splitlines()[0]


@pytest.mark.parametrize("service", SERVICES)
async def test_wrong_usage_is_refused(service, inventory_file):
    assert "tor9: not in the inventory. Known: tor1, tor2" in await refused(
        service, *SERVICES[service], "--inventory", inventory_file, "--switch", "tor9"
    )
    assert "--rack r9: not in the inventory. Known: r1, r2" in await refused(
        service, *SERVICES[service], "--inventory", inventory_file, "--rack", "r9"
    )
    assert "--inventory" in await refused(service)


async def test_a_missing_program_is_refused_with_the_remedy(inventory_file, tmp_path):
    said = await refused("ezpath-switch-writer", "--inventory", inventory_file, "--p4-dir", str(tmp_path))
    assert f"tor1 is to run ezpath: {tmp_path}/ezpath.p4info.txtpb is not there. `make p4` compiles it" in said
