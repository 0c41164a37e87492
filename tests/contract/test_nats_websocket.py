"""NATS over a WebSocket, on a real nats-server; and nobody who has it otherwise waits for aiohttp as he starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from contract.conftest import NatsServer, free_port
from ezpath.bus import Bus, Refused
from ezpath.events import SAGA_BUCKET


async def test_given_a_url_of_a_websocket_then_events_and_state_go_over_it(late_nats: NatsServer) -> None:
    port = free_port()
    late_nats.settings = f'websocket {{ host: "127.0.0.1", port: {port}, no_tls: true }}\n'
    late_nats.start()
    async with await Bus.connect(f"ws://127.0.0.1:{port}", "test", wait_s=10) as bus:
        revision = await bus.kv_put_cas(SAGA_BUCKET, "a.b", b"there", None)
        assert await bus.kv_get(SAGA_BUCKET, "a.b") == (b"there", revision)


async def test_given_no_aiohttp_then_a_websocket_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from nats.aio import transport

    monkeypatch.setattr(transport, "aiohttp", None)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(Refused, match=r"ws://127.0.0.1:1 wants a WebSocket.*pip install aiohttp, or give nats://"):
        await Bus.connect("ws://127.0.0.1:1", "test", wait_s=10)


@pytest.mark.parametrize("service", ["decider", "collector", "switch_writer", "host_writer"])
def test_given_any_service_then_it_starts_without_what_it_does_not_use(service: str) -> None:
    unused = {"aiohttp", "rich.live", "opentelemetry"} | ({"numpy"} if service == "host_writer" else set())
    asked = f"import sys, ezpath_{service}.main; print(*({unused!r} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == []
