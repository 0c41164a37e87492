"""One connection to NATS that is always being kept up.

nats-py reconnects by itself, but that can hang half way, so it is told not to: whenever a connection is lost or no
longer answers, a new client is made, by the same code as the first one, and whoever depends on it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import AuthorizationError, NoServersError, SlowConsumerError
from nats.errors import Error as NatsError
from nats.js.errors import ServiceUnavailableError

from ezpath import natsurl
from ezpath.bus.access import Access
from ezpath.bus.errors import Refused, Unavailable
from ezpath.bus.vitals import Vitals
from ezpath.tasks import end

CONNECT_TIMEOUT_S = 2
"""For one server, seconds."""
PROBE_INTERVAL_S = 2.0
"""How often the connection is asked for a sign of life, seconds."""
PROBE_TIMEOUT_S = 3
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 2.0
"""Closing: how long a task that was told to end may take before it is told again, seconds."""
SAY_EVERY_S = 5.0
"""How often the log says that NATS is being waited for, seconds."""

NOT_ALLOWED = "permissions violation"
"""How NATS begins its word on what a user may not do."""
NOT_ALLOWED_REMEDY = "give this service the key of its own role; docs/TRUST.md says what each role may do"
NOT_THERE_YET = "EZPath's streams are not there yet, and this key may not make them: the decider's may, start that"
REFUSED_REMEDY = (
    "Give a key that the server's accounts.conf has with --nats-credentials, and --nats-certificate where it asks for "
    "one; after `ezpath trust` wrote new ones, reload the server (nats-server --signal reload)"
)
SERVER_REMEDY = "Give with --nats-ca who signed it; where it expired, `ezpath trust renew DIR`, and reload the server"

OnError = Callable[[Exception], Awaitable[None]]
OnUp = Callable[[Client], Awaitable[None]]


class Link:
    """Keeps a client connected; ``on_up`` runs on each new one before anybody else gets it.

    ``access`` may name several servers of a cluster, with commas between: whichever answers will do.
    """

    def __init__(self, access: Access, name: str, on_up: OnUp) -> None:
        self._access = access
        self._url = access.url
        self.url = str(access)
        """For logs and messages."""
        self.name = name
        self.vitals = Vitals()
        self._on_up = on_up
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._refused: Refused | None = None
        self._last_error = "not tried yet"
        self._quiet = False
        self._said_missed = float("-inf")
        self._log = structlog.get_logger().bind(nats=self.url)

    async def open(self, patience_s: float | None) -> None:
        """Connect. Waits for ever, or for ``patience_s`` seconds: then :class:`Unavailable`.

        Raises :class:`Refused` where NATS does not let us in. Later, on a connection that is made again, that is waited
        out: keys may be changed on both sides, one after the other.
        """
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
            await end((self._keeper,))
            self._keeper = None
        await self._drop()

    async def client(self, patience_s: float | None) -> Client:
        """The connected client, once there is one. Raises :class:`Unavailable` after ``patience_s`` seconds."""
        try:
            async with asyncio.timeout(patience_s):
                await self._up.wait()
                if self._client is None and self._refused is not None:
                    raise self._refused
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
            + ("" if self._access.ca else "; where it asks for TLS, give --nats-ca")
        )

    async def _keep(self) -> None:
        while True:
            try:
                client, closed = await self._connect()
            except Refused as error:
                self._refused = error
                self._up.set()
                return
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
            client: Client | None = None
            try:
                options = self._access.options()
                client = Client()
                await self._attempt(client, options, closed)
                return client, closed
            except NoServersError:
                pass  # the error callback has had the reason
            except ServiceUnavailableError as error:
                self._last_error = error.description or "it runs without JetStream"
            except Refused as error:
                if self.vitals.connections == 0:
                    if client is not None:
                        await _close(client)
                    raise
                self._last_error = str(error)
            except (OSError, NatsError, TimeoutError) as error:
                self._last_error = str(error) or type(error).__name__
            if client is not None:
                await _close(client)
            if loop.time() - said >= SAY_EVERY_S and not self._quiet:
                said = loop.time()
                self._log.warning("waiting for nats", reason=self.trouble(None))
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    async def _attempt(self, client: Client, options: dict[str, Any], closed: asyncio.Event) -> None:
        failed: list[Exception] = []
        forbidden = asyncio.get_running_loop().create_future()

        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            if isinstance(error, SlowConsumerError):
                self._missed(error.subject)
                return
            failed.append(error)
            self._last_error = str(error) or type(error).__name__
            if NOT_ALLOWED in self._last_error.lower():
                if not forbidden.done():
                    forbidden.set_result(None)  # it is on its way up, and whoever makes it says so
                else:
                    self._log.error("not allowed", reason=self._last_error, remedy=NOT_ALLOWED_REMEDY)

        try:
            await self._connect_once(client, options, on_error, on_closed)
        except (NatsError, OSError, TimeoutError) as error:
            if (refused := refusal(self.url, [*failed, error], self._access)) is not None:
                raise refused from None
            raise
        try:
            await _unless(forbidden, self._on_up(client))
        except BaseException:
            await _close(client)
            raise
        finally:
            forbidden.cancel()

    async def _connect_once(
        self, client: Client, options: dict[str, Any], on_error: OnError, on_closed: Callable[[], Awaitable[None]]
    ) -> None:
        given = natsurl.servers(self._url)
        async with asyncio.timeout(CONNECT_TIMEOUT_S * len(given) + 1):
            await client.connect(
                given,
                name=self.name,
                **options,
                allow_reconnect=False,
                # One round over the servers, without a pause: pauses and repetition are ours.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_TIMEOUT_S,
                # nats-py's default error callback logs each failed attempt with its traceback.
                error_cb=on_error,
                closed_cb=on_closed,
            )

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


def refusal(url: str, errors: Iterable[BaseException], access: Access) -> Refused | None:
    """NATS, or the certificate of one of the two, is why there is no connection: what waiting does not help."""
    for first in errors:
        error: BaseException | None = first
        while error is not None:
            words = str(error)
            if isinstance(error, AuthorizationError) or "authorization violation" in words.lower():
                return Refused(f"NATS at {url} refuses {access.shown}. {REFUSED_REMEDY}")
            if isinstance(error, ssl.SSLCertVerificationError):
                why = f"{error.verify_message} (checked by --nats-ca {access.ca or 'of the system'})"
                return Refused(f"NATS at {url} shows a certificate that is not good: {why}. {SERVER_REMEDY}")
            if isinstance(error, ssl.SSLError) and "CERTIFICATE" in (error.reason or ""):
                return Refused(f"NATS at {url} refuses {access.shown}: {error.reason}. {REFUSED_REMEDY}")
            error = error.__cause__ or error.__context__
    return None


async def _unless(forbidden: asyncio.Future[None], work: Awaitable[None]) -> None:
    """``work``, unless NATS says in the middle of it that we may not: of that a request is not told, and would wait."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, forbidden), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise NatsError(NOT_THERE_YET)
        await task
    finally:
        task.cancel()


async def _close(client: Client) -> None:
    """Close without ever waiting long: the other side may not be there any more."""
    with contextlib.suppress(OSError, NatsError, TimeoutError, asyncio.TimeoutError):
        async with asyncio.timeout(1.0):
            await client.close()
