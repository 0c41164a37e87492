"""One connection to NATS that is always being kept up.

nats-py reconnects by itself, but that can hang half way, so it is told not to: whenever a connection is lost or no
longer answers, a new client is made, by the same code as the first one, and whoever depends on it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError, SlowConsumerError
from nats.js.errors import ServiceUnavailableError

from ezpath import natsurl
from ezpath.bus.errors import Unavailable
from ezpath.bus.vitals import Vitals

CONNECT_TIMEOUT_S = 2
"""For one server, seconds."""
PROBE_INTERVAL_S = 2.0
"""How often the connection is asked for a sign of life, seconds."""
PROBE_TIMEOUT_S = 3
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 2.0
CANCEL_AGAIN_S = 0.5
"""Closing: how long a task that was told to end may take before it is told again, seconds."""
SAY_EVERY_S = 5.0
"""How often the log says that NATS is being waited for, seconds."""

OnUp = Callable[[Client], Awaitable[None]]


class Link:
    """Keeps a client connected; ``on_up`` runs on each new one before anybody else gets it.

    ``url`` may name several servers of a cluster, with commas between: whichever answers will do.
    """

    def __init__(self, url: str, name: str, on_up: OnUp) -> None:
        self._url = url
        self.url = natsurl.shown(url)
        """For logs and messages."""
        self.name = name
        self.vitals = Vitals()
        self._on_up = on_up
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._last_error = "not tried yet"
        self._quiet = False
        self._said_missed = float("-inf")
        self._log = structlog.get_logger().bind(nats=self.url)

    async def open(self, patience_s: float | None) -> None:
        """Connect. Waits for ever, or for ``patience_s`` seconds: then :class:`Unavailable`."""
        # Whoever will not wait for ever gets the reason as an exception, and needs no log beside it.
        self._quiet = patience_s is not None
        self._keeper = asyncio.create_task(self._keep(), name="nats-link")
        try:
            await self.client(patience_s)
            self._quiet = False
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._keeper is not None:
            while not self._keeper.done():
                # Again after a while: nats-py may swallow one while it connects.
                self._keeper.cancel()
                await asyncio.wait((self._keeper,), timeout=CANCEL_AGAIN_S)
            self._keeper = None
        await self._drop()

    async def client(self, patience_s: float | None) -> Client:
        """The connected client, once there is one. Raises :class:`Unavailable` after ``patience_s`` seconds."""
        try:
            async with asyncio.timeout(patience_s):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable(self.trouble(patience_s)) from None
        assert self._client is not None
        return self._client

    def trouble(self, patience_s: float | None) -> str:
        """Why there is no connection, and what to do."""
        waited = f" within {patience_s:g} s" if patience_s is not None else ""
        return (
            f"NATS at {self.url} is not reachable{waited}: {self._last_error}. "
            "Start nats-server with JetStream (-js), or give its address with --nats or EZPATH_NATS"
        )

    async def _keep(self) -> None:
        while True:
            client, closed = await self._connect()
            self._client = client
            self._up.set()
            self.vitals.connected, self.vitals.connections = True, self.vitals.connections + 1
            self._log.info("nats connected")
            reason = await self._until_lost(client, closed)
            self._up.clear()
            self.vitals.connected = False
            self._last_error = reason
            self._log.warning("nats connection lost", reason=reason, next="reconnecting until it is back")
            await self._drop()

    async def _connect(self) -> tuple[Client, asyncio.Event]:
        backoff, said = FIRST_BACKOFF_S, float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            closed = asyncio.Event()
            client = Client()
            try:
                await self._attempt(client, closed)
                return client, closed
            except NoServersError:
                pass  # the error callback has had the reason
            except ServiceUnavailableError as error:
                self._last_error = error.description or "it runs without JetStream"
            except (OSError, NatsError, TimeoutError) as error:
                self._last_error = str(error) or type(error).__name__
            await _close(client)
            if loop.time() - said >= SAY_EVERY_S and not self._quiet:
                said = loop.time()
                self._log.warning("waiting for nats", reason=self.trouble(None))
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    async def _attempt(self, client: Client, closed: asyncio.Event) -> None:
        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            if isinstance(error, SlowConsumerError):
                self._missed(error.subject)
                return
            self._last_error = str(error) or type(error).__name__

        given = natsurl.servers(self._url)
        async with asyncio.timeout(CONNECT_TIMEOUT_S * len(given) + 1):
            await client.connect(
                given,
                name=self.name,
                allow_reconnect=False,
                # One round over the servers, without a pause: pauses and repetition are ours.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_TIMEOUT_S,
                # nats-py's default error callback logs each failed attempt with its traceback.
                error_cb=on_error,
                closed_cb=on_closed,
            )
        try:
            await self._on_up(client)
        except BaseException:
            await _close(client)
            raise

    def _missed(self, subject: str) -> None:
        """It was said on core NATS, which waits for nobody."""
        self.vitals.missed += 1
        now = asyncio.get_running_loop().time()
        if now - self._said_missed >= SAY_EVERY_S:
            self._said_missed = now
            self._log.warning(
                "too slow for what comes", on=subject, missed=self.vitals.missed, next="the newest is dropped"
            )

    async def _until_lost(self, client: Client, closed: asyncio.Event) -> str:
        while True:
            try:
                async with asyncio.timeout(PROBE_INTERVAL_S):
                    await closed.wait()
                return "closed by the server or the network"
            except TimeoutError:
                pass
            try:
                # rtt, not flush: flush returns at once when the client's reader has died.
                await client.rtt(timeout=PROBE_TIMEOUT_S)
            except (OSError, NatsError, TimeoutError) as error:
                return f"no answer within {PROBE_TIMEOUT_S} s ({str(error) or type(error).__name__})"

    async def _drop(self) -> None:
        client, self._client = self._client, None
        self._up.clear()
        if client is not None:
            await _close(client)


async def _close(client: Client) -> None:
    """Close without ever waiting long: the other side may not be there any more."""
    with contextlib.suppress(OSError, NatsError, TimeoutError, asyncio.TimeoutError):
        async with asyncio.timeout(1.0):
            await client.close()
