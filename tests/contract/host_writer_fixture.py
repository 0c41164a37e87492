"""Fixtures for tests of the host-writer, beside those of ``contract.ovs_fixture``, which they need."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from contract.host_writer_rig import Commander, HostWriter
from contract.ovs_machine import OvsMachine, Wire
from ezpath.bus import Bus
from structlog.testing import capture_logs


@pytest_asyncio.fixture
async def commander(bus: Bus) -> AsyncIterator[Commander]:
    commander = Commander(bus)
    listening = asyncio.create_task(commander.listen())
    yield commander
    listening.cancel()


@pytest.fixture
def a(machine: OvsMachine) -> Wire:
    """Endpoint red-a on host h1."""
    return machine.plug("br-int", "red-a")


@pytest_asyncio.fixture
async def writer(tmp_path: Path, nats_server: Any, machine: OvsMachine, a: Wire) -> AsyncIterator[HostWriter]:
    """A host-writer that is not started yet; h1 is ``machine``, h2 is not there."""
    writer = HostWriter(tmp_path, nats_server.url)
    writer.write_inventory(machine.remote, f"unix:{tmp_path}/nobody/db.sock")
    with capture_logs() as logs:
        writer.logs = logs
        yield writer
        await writer.stop()
    writer.stop_process(signal.SIGKILL)
