"""From the page to browsers: the files of the page, and server-sent events. Adapter around aiohttp.

Only GET is served, and nothing that a browser sends changes anything. A browser that reads slowly costs one message
that waits for it, and is let go when it does not read at all: what it sees next is the newest
(:mod:`ezpath.console.page`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import PurePath

import structlog
from aiohttp import web

from ezpath.console.page import Cursor, Page

BROWSERS = 64
"""At a time."""
PAUSE_S = 0.2
"""Between two messages to one browser."""
BEAT_S = 5.0
"""Something is said so often: who hears nothing knows that nobody is there."""
SHUTDOWN_S = 0.25
"""Browsers look on for ever: no use waiting for them when the console stops."""
PATIENCE_S = 20.0
"""How long a browser may leave a message unread."""
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            *(f"{what}-src 'self'" for what in ("script", "style", "font", "img", "connect")),
            *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bell:
    """Rung when the page has changed."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def heard(self, within_s: float) -> None:
        """Returns at the next ring, or after ``within_s`` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), within_s)


class Server:
    """Serves ``page``; ``host``: the address it listens on."""

    def __init__(self, page: Page, bell: Bell, host: str) -> None:
        self._page = page
        self._bell = bell
        self._loopback = is_loopback(host)
        self.browsers = 0
        """That are told what happens now."""
        self._files = {each.name: each.read_bytes() for each in files("ezpath.console").joinpath("static").iterdir()}

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/", self._index, allow_head=False)
        application.router.add_get("/static/{name}", self._static, allow_head=False)
        application.router.add_get("/events", self._events, allow_head=False)
        application.router.add_get("/healthz", self._healthz, allow_head=False)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "GET":
            response: web.StreamResponse = web.Response(
                status=405, text="This console only shows. Use GET, or the command `ezpath`\n", headers={"Allow": "GET"}
            )
        elif self._loopback and not is_loopback(host_of(request.host)):
            # A web site may give its own name our address, and would read what is here as its own.
            response = web.Response(status=421, text="Open it as http://127.0.0.1 or http://localhost\n")
        else:
            try:
                response = await handler(request)
            except web.HTTPNotFound:
                response = web.Response(status=404, text="There is only the page at /\n")
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _index(self, _: web.Request) -> web.Response:
        return self._file("index.html")

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        return self._file(name)

    def _file(self, name: str) -> web.Response:
        kind = KINDS[PurePath(name).suffix]
        charset = "utf-8" if kind.startswith("text/") else None
        return web.Response(body=self._files[name], content_type=kind, charset=charset)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.browsers >= BROWSERS:
            return web.Response(status=503, text=f"{BROWSERS} browsers look on already. Close one\n")
        self.browsers += 1
        try:
            return await self._tell(request)
        finally:
            self.browsers -= 1

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        cursor = Cursor()
        try:
            await response.prepare(request)
            await _send(response, [("hello", json.dumps({"at": time.time()}))])
            while True:
                await _send(response, [*self._page.news(cursor), ("beat", json.dumps({"at": time.time()}))])
                await asyncio.sleep(PAUSE_S)
                if not self._page.has_news(cursor):
                    await self._bell.heard(BEAT_S)
        except TimeoutError:
            structlog.get_logger().info("browser let go: it does not read", peer=request.remote)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # it has gone
        return response


async def _send(response: web.StreamResponse, news: list[tuple[str, str]]) -> None:
    text = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in news)
    async with asyncio.timeout(PATIENCE_S):
        await response.write(text.encode())


def host_of(header: str) -> str:
    """The name in a ``Host`` header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether it names this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(application: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen. Raises OSError where that cannot be."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
