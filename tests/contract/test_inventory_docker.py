"""Docker as a source, against a real daemon: containers come, move between networks, are renamed, end; and it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from docker_daemon import DockerDaemon
from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.sources import Found, SourceAway
from ezpath.inventory.sources.docker import ANSWER_S, DockerSource
from ezpath.inventory.sources.docker_labels import DockerSettings

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
TENANT = ("--label", "ezpath.tenant=red")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Iterator[DockerDaemon]:
    needs("dockerd", "containerd", "docker", "unshare", "ldd", root=True)
    daemon = DockerDaemon(tmp_path_factory.mktemp("docker"))
    daemon.start()
    try:
        daemon.docker("network", "create", "--subnet", "172.30.0.0/24", "one")
        daemon.docker("network", "create", "--subnet", "172.31.0.0/24", "two")
        yield daemon
    finally:
        daemon.stop()


def source(daemon: DockerDaemon, **settings: object) -> DockerSource:
    return DockerSource("docker", DockerSettings.model_validate({"host": "h11", "url": daemon.url, **settings}))


async def until(watch: AsyncIterator[Found], holds: Callable[[dict[str, EndpointConfig]], object]) -> None:
    """Until what the source tells is so."""
    async with asyncio.timeout(60):
        async for found in watch:
            if holds({endpoint.name: endpoint for endpoint in found.endpoints}):
                return
    raise AssertionError("the source ended")


async def test_given_containers_that_come_change_and_end_then_the_source_tells_each(daemon: DockerDaemon) -> None:
    async def do(*arguments: str) -> None:
        await asyncio.to_thread(daemon.docker, *arguments)

    async with aclosing(source(daemon).watch()) as watch:
        assert (await anext(watch)).endpoints == ()
        # a container with labels and one without
        await asyncio.to_thread(daemon.run, "web-1", "--network", "one", "--ip", "172.30.0.9", *TENANT)
        await asyncio.to_thread(daemon.run, "nobody", "--network", "one")
        await until(watch, lambda there: there.keys() == {"web-1"} and there["web-1"].ip == "172.30.0.9")
        # another network: another address
        await do("network", "disconnect", "one", "web-1")
        await do("network", "connect", "two", "web-1")
        await until(watch, lambda there: "web-1" in there and there["web-1"].ip.startswith("172.31.0."))
        await do("rename", "web-1", "web-2")
        await until(watch, lambda there: there.keys() == {"web-2"})
        # paused, it is still there; killed, it is not; started, it is back
        await do("pause", "web-2")
        await do("unpause", "web-2")
        await do("kill", "web-2")
        await until(watch, lambda there: not there)
        await do("start", "web-2")
        await until(watch, lambda there: there.keys() == {"web-2"})
        await do("rm", "--force", "web-2", "nobody")
        await until(watch, lambda there: not there)


async def test_given_a_container_that_was_there_before_then_it_is_listed(daemon: DockerDaemon) -> None:
    by_hand = ("--label", "ezpath.mac=02:00:00:00:00:07", "--label", "ezpath.ip=10.0.0.7")
    await asyncio.to_thread(daemon.run, "before", "--network", "none", *TENANT, *by_hand)
    async with aclosing(source(daemon).watch()) as watch:
        (endpoint,) = (await anext(watch)).endpoints
        assert (endpoint.name, endpoint.mac, endpoint.ip) == ("before", "02:00:00:00:00:07", "10.0.0.7")
    await asyncio.to_thread(daemon.docker, "rm", "--force", "before")


async def test_given_a_daemon_that_hangs_then_the_source_is_away_and_later_back(
    daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezpath.inventory.sources.docker.ANSWER_S", ANSWER_S / 5)
    watch = source(daemon, resync_s=1).watch()
    await anext(watch)
    daemon.freeze()
    try:
        with pytest.raises(SourceAway, match="does not answer"):
            async with asyncio.timeout(60):
                while True:
                    await anext(watch)
    finally:
        daemon.thaw()
    async with asyncio.timeout(60):
        assert (await anext(source(daemon).watch())).endpoints == ()


async def test_given_a_daemon_that_is_started_anew_then_the_source_finds_it_again(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("dockerd", "containerd", "docker", "unshare", "ldd", root=True)
    daemon = DockerDaemon(tmp_path)
    await asyncio.to_thread(daemon.start)
    try:
        watch = source(daemon).watch()
        await anext(watch)
        await asyncio.to_thread(daemon.stop)
        with pytest.raises(SourceAway):
            await anext(watch)
        await asyncio.to_thread(daemon.start)
        assert (await anext(source(daemon).watch())).endpoints == ()
    finally:
        daemon.stop()
