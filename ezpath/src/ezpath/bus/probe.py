"""What a NATS server is, asked without making anything on it: for whoever looks for mistakes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from ezpath.answers import ASK_STATUS
from ezpath.bus import ask
from ezpath.bus.access import Access
from ezpath.bus.errors import BusError, Refused
from ezpath.events import STREAM
from ezpath.natsurl import servers

ROLL_CALL_S = 1.0


@dataclass(frozen=True, slots=True)
class NatsFacts:
    """Everything that could be found out. ``problem``: why it could not be reached."""

    url: str
    problem: str = ""
    version: str = ""
    jetstream: bool = False
    round_trip_s: float = 0.0
    ahead_s: float | None = None
    """Its clock before ours, negative behind it; None where it does not tell the time: nobody ever used it."""
    asked_at: float = 0.0
    heard_at: float = 0.0
    services: tuple[Mapping[str, Any], ...] = ()
    """What they answered, asked how they are, between these two times."""


async def probe(access: Access, within_s: float) -> NatsFacts:
    """Never raises for what is wrong with the server: that is what was asked."""
    url, last = access.url, "no answer"
    try:
        options = access.options()
    except Refused as error:
        return NatsFacts(url, str(error))
    client = Client()

    async def on_error(error: Exception) -> None:
        nonlocal last
        last = str(error) or type(error).__name__

    try:
        async with asyncio.timeout(within_s):
            await client.connect(
                servers(url),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=on_error,
                **options,
            )
            return await _ask(client, url)
    except (BusError, NatsError, OSError, TimeoutError, ValueError) as error:
        return NatsFacts(url, last if last != "no answer" else str(error) or f"no answer within {within_s:g} s")
    finally:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await client.close()


async def _ask(client: Client, url: str) -> NatsFacts:
    told = client.connected_server_version
    version = f"{told.major}.{told.minor}.{told.patch}"
    began, sent = time.monotonic(), time.time()
    try:
        # An answer in any case: that there is no such stream comes with a time too, or JetStream is not there.
        message = await client.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", timeout=2)
    except (NatsError, TimeoutError):
        return NatsFacts(url, version=version)
    took = time.monotonic() - began
    clock = json.loads(message.data).get("ts")
    ahead = None if clock is None else _unix(clock) - (sent + took / 2)
    asked_at = time.time()
    answers = await ask.ask_all(_InHand(client), ASK_STATUS, {}, ROLL_CALL_S)
    return NatsFacts(url, "", version, True, took, ahead, asked_at, time.time(), tuple(answers))


@dataclass(frozen=True, slots=True)
class _InHand:
    held: Client

    async def client(self, _: float | None) -> Client:
        return self.held


def _unix(text: str) -> float:
    """RFC 3339 with nanoseconds, of which Python reads microseconds."""
    head, _, rest = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{rest or 0}")
