"""What the console's server lets through, and what a browser costs that does not read: on real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from console_rig import NETWORK, recording
from ezpath.cli.seen import Seen
from ezpath.console import server as console_server
from ezpath.console.page import Page
from ezpath.console.server import HEADERS, Bell, Server, host_of, is_loopback, serve
from ezpath.events import DeadLetter
from ezpath.inventory import load

STATIC = Path(console_server.__file__).with_name("static")


class Served:
    """A page that is served on a port of its own."""

    def __init__(self, page: Page, bell: Bell, server: Server, port: int) -> None:
        self.page, self.bell, self.server, self.port = page, bell, server, port
        self.url = f"http://127.0.0.1:{port}"

    def much_happens(self) -> None:
        """More than any buffer of the operating system takes."""
        for number in range(400):
            self.page.hear(Seen(DeadLetter("decider", "ezpath.x", "no JSON " * 500, "", 0, float(number))))
        self.bell.ring()


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    page, bell = Page(load(NETWORK), "127.0.0.1:4222", 0.0), Bell()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Server(page, bell, "127.0.0.1")
    runner = await serve(server.application(), "127.0.0.1", port)
    yield Served(page, bell, server, port)
    await runner.cleanup()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(read_bufsize=2**23) as client:
        yield client


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/events", "/nowhere"])
async def test_only_get_is_served(served, client, method, path):
    async with client.request(method, served.url + path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_the_page_may_load_nothing_from_elsewhere_and_be_shown_in_no_frame(served, client):
    for path in ("/", "/static/main.js", "/nowhere"):
        async with client.get(served.url + path) as answer:
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    # and names nothing that is elsewhere: it works without the internet
    for file in STATIC.iterdir():
        if file.suffix in (".html", ".css", ".js"):
            named = set(re.findall(r"https?://[^\s\"')]+", file.read_text())) - {"http://www.w3.org/2000/svg"}
            assert named == set(), file.name


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/", "/static/page.py"])
async def test_no_other_file_is_served(served, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_another_s_name_for_our_address_is_refused(served, client):
    # Given a web site that has its own name point here, so that a browser takes what it reads for the site's own
    async with client.get(served.url, headers={"Host": "evil.example:8080"}) as answer:
        assert answer.status == 421
    for name in ("localhost:8080", f"127.0.0.1:{served.port}", "[::1]:8080"):
        async with client.get(served.url, headers={"Host": name}) as answer:
            assert answer.status == 200, name


def test_names_of_this_machine_alone() -> None:
    assert [host_of(text) for text in ("[::1]:80", "a.b:1", "a")] == ["::1", "a.b", "a"]
    assert all(map(is_loopback, ("::1", "127.9.9.9", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "0.0.0.0", "localhost.evil", "")))


async def test_a_browser_is_told_all_and_then_what_changes(served, client):
    for seen in recording():
        served.page.hear(seen)
    async with client.get(f"{served.url}/events") as answer:
        told = await _told(answer, "beat")
        assert answer.headers["Content-Type"] == "text/event-stream"
        parts = ("bus", "network", "flows", "marks", "sagas", "targets", "health")
        assert list(told) == ["hello", "points", *parts, "journal", "beat"]
        assert told["bus"]["connected"] is False
        # When something changes, then that alone is told
        served.page.connected(True, 7.0)
        served.bell.ring()
        assert list(await _told(answer, "beat")) == ["bus", "beat"]


async def _told(answer: aiohttp.ClientResponse, last: str) -> dict[str, object]:
    told: dict[str, object] = {}
    while last not in told:
        block = b""
        while not block.endswith(b"\n\n"):
            block += await answer.content.readline()
        name, _, data = block.decode().removeprefix("event: ").partition("\ndata: ")
        told[name] = json.loads(data)
    return told


async def test_who_does_not_read_is_let_go_and_nobody_else_waits(served, client, monkeypatch):
    monkeypatch.setattr(console_server, "PATIENCE_S", 0.5)
    # Given a browser that asks and then reads nothing, with little room for what it does not read
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)
    await asyncio.get_running_loop().sock_connect(lazy, ("127.0.0.1", served.port))
    await asyncio.get_running_loop().sock_sendall(lazy, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with client.get(f"{served.url}/events") as answer:
        await _told(answer, "beat")
        # When more happens than it has room for, again and again
        rounds = 0
        while served.server.browsers > 1:
            served.much_happens()
            # then the other one is told each time
            assert "journal" in await _told(answer, "beat")
            rounds += 1
            assert rounds < 600
            await asyncio.sleep(0.05)
        # and after a while the first is let go
        assert rounds > 1 and served.server.browsers == 1
    lazy.close()


async def test_so_many_browsers_and_no_more(served, client, monkeypatch):
    monkeypatch.setattr(console_server, "BROWSERS", 1)
    async with client.get(f"{served.url}/events") as first:
        assert first.status == 200
        async with client.get(f"{served.url}/events") as second:
            assert second.status == 503
