"""The inventory's publisher and those who follow it, over a real NATS: sources that go away, publishers that follow one
another, files that change. The source is a recorded Docker daemon behind the real client library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.conftest import NatsServer
from ezpath.bus import Bus
from ezpath.events import INVENTORY_BUCKET
from ezpath.inventory import Inventory, load
from ezpath.live import Publisher, endpoints_of, follow, follow_host, published
from ezpath.names import HostName
from network import NETWORK
from replay import DockerReplay, serving
from structlog.testing import capture_logs

FILE = {"red-1", "red-2", "red-3", "red-4", "red-5", "blue-1", "blue-3"}
SOURCES = "sources:\n  docker-h11: {{kind: docker, host: h11, url: 'unix://{socket}'}}\n"


class Follower:
    """Somebody who follows, and what he knows."""

    def __init__(self, bus: Bus, network: Inventory) -> None:
        self._bus, self._network = bus, network
        self.seen: list[Inventory] = []

    async def run(self) -> None:
        async for inventory in follow(self._bus, self._network):
            self.seen.append(inventory)

    @property
    def names(self) -> set[str]:
        return set(self.seen[-1].endpoints) if self.seen else set()


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - logs and lists tell nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.yaml"
    path.write_text(NETWORK + SOURCES.format(socket=tmp_path / "docker.sock"))
    return path


def write(file: Path, text: str) -> None:
    file.write_text(text)


def said(logs: list[Any], event: str, **fields: object) -> list[Any]:
    return [line for line in logs if line["event"] == event and fields.items() <= line.items()]


async def test_given_a_source_that_goes_away_then_what_it_told_stays_through_a_change_of_publishers(
    bus: Bus, file: Path, tmp_path: Path
) -> None:
    network, replay = load(file), DockerReplay()
    follower = Follower(bus, network)
    with capture_logs() as logs:
        async with running(follower.run()):
            async with serving(replay, tmp_path / "docker.sock"), running(Publisher(bus, file, network).run()):
                await until(lambda: follower.names == FILE, "the file's endpoints")
                replay.go_on()
                await until(lambda: follower.names == FILE | {"web-1"}, "a container")
                assert follower.seen[-1].endpoints["web-1"].source == "docker-h11"  # type: ignore[index]
                await asyncio.sleep(0)
                replay.end_events()
                await until(lambda: said(logs, "source away", source="docker-h11"), "the source is away")
            # The daemon is gone, and so is the publisher. The next one finds nobody there.
            assert await published(bus, network) is not None
            logs.clear()
            async with running(Publisher(bus, file, network).run()):
                await until(lambda: said(logs, "source away", source="docker-h11"), "it is still away")
                assert follower.names == FILE | {"web-1"}
            known = await endpoints_of(bus, network, HostName("h11"))
            assert {endpoint.name for endpoint in known} == {"red-1", "red-5", "blue-1", "web-1"}
            # And when it is back, with no container any more, what is different is published.
            async with serving(DockerReplay(), tmp_path / "docker.sock"), running(Publisher(bus, file, network).run()):
                await until(lambda: follower.names == FILE, "it is back")


async def test_given_a_file_whose_sources_change_then_they_are_opened_and_closed(
    bus: Bus, file: Path, tmp_path: Path
) -> None:
    network, replay = load(file), DockerReplay()
    with_source = NETWORK + SOURCES.format(socket=tmp_path / "docker.sock")
    replay.go_on()
    follower = Follower(bus, network)
    async with (
        serving(replay, tmp_path / "docker.sock"),
        running(follower.run(), Publisher(bus, file, network).run()),
    ):
        await until(lambda: follower.names == FILE | {"web-1"}, "the file's and the source's")
        write(file, NETWORK)
        await until(lambda: follower.names == FILE, "the file's alone")
        write(file, with_source)
        await until(lambda: follower.names == FILE | {"web-1"}, "both again")


async def test_given_a_new_tenant_and_a_new_host_then_the_one_is_taken_and_the_other_waits(
    bus: Bus, tmp_path: Path
) -> None:
    file = tmp_path / "network.yaml"
    write(file, NETWORK)
    network = load(file)
    follower = Follower(bus, network)
    host = '  h13: {switch: tor1, port: 3, vtep: 10.1.9.1, ovsdb: "unix:/run/h13/db.sock"}\n'
    port = "      - {number: 2, address: 10.1.2.0}\n"
    new = (
        NETWORK.replace("  blue: {vni: 5002}\n", "  blue: {vni: 5002}\n  gray: {vni: 5003}\n")
        .replace(port, port + "      - {number: 3, address: 10.1.9.0}\n", 1)
        .replace("endpoints:\n", host + "endpoints:\n")
        + '  - {name: gray-1, tenant: gray, mac: "02:00:00:00:00:01", ip: 10.0.0.1, host: h12, interface: gray1}\n'
        + '  - {name: gray-2, tenant: gray, mac: "02:00:00:00:00:02", ip: 10.0.0.2, host: h13, interface: gray2}\n'
    )
    with capture_logs() as logs:
        async with running(follower.run(), Publisher(bus, file, network).run()):
            await until(lambda: follower.names == FILE, "the file's endpoints")
            write(file, new)
            await until(lambda: follower.names == FILE | {"gray-1"}, "the new tenant's endpoint")
    assert follower.seen[-1].tenants["gray"] == 5003  # type: ignore[index]
    assert said(logs, "switches or hosts changed in the inventory")
    (left_out,) = said(logs, "endpoint left out")
    assert "endpoint gray-2 left out: unknown host h13" in left_out["reason"]


async def test_given_a_document_that_somebody_spoilt_then_what_was_known_holds_and_it_is_said(
    bus: Bus, tmp_path: Path
) -> None:
    file = tmp_path / "network.yaml"
    write(file, NETWORK)
    network = load(file)
    follower, here = Follower(bus, network), []

    async def follow_h11() -> None:
        async for endpoints in follow_host(bus, HostName("h11")):
            here.append(endpoints)

    with capture_logs() as logs:
        async with running(follower.run(), follow_h11(), Publisher(bus, file, network).run()):
            await until(lambda: follower.names == FILE and here, "the file's endpoints")
            document = await bus.kv_get(INVENTORY_BUCKET, "host.h11")
            assert document is not None
            await bus.kv_put_cas(INVENTORY_BUCKET, "host.h11", b"[", document[1])
            await until(
                lambda: len(said(logs, "inventory record not understood, what was known holds on")) == 2, "said"
            )
            assert follower.names == FILE and len(here[-1]) == 3


async def test_given_a_nats_that_is_away_then_changes_are_published_when_it_is_back(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    file = tmp_path / "network.yaml"
    write(file, NETWORK)
    network = load(file)
    async with await Bus.connect(nats_server.url, "test", wait_s=30, patience_s=1) as bus:
        follower = Follower(bus, network)
        with capture_logs() as logs:
            async with running(follower.run(), Publisher(bus, file, network).run()):
                await until(lambda: follower.names == FILE, "the file's endpoints")
                nats_server.stop()
                write(file, "\n".join(line for line in NETWORK.splitlines() if "name: red-5" not in line))
                await until(lambda: said(logs, "inventory not published"), "it is away")
                nats_server.start()
                await until(lambda: follower.names == FILE - {"red-5"}, "the change")
