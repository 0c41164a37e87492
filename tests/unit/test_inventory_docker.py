"""Docker's containers as endpoints: what labels and networks come to, and a recorded daemon through the real client."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from ezpath.inventory.sources import Found, SourceAway
from ezpath.inventory.sources.docker import DockerSource
from ezpath.inventory.sources.docker_labels import DockerSettings, endpoint_of, found, name_of
from replay import DockerReplay, serving

SETTINGS = DockerSettings(host="h11")
CONTAINER: dict[str, Any] = {
    "Id": "eb84cb12b54a233c02de10a3949871b36f09f87785eecd29441785a1c63276c6",
    "Names": ["/web-1"],
    "Labels": {"ezpath.tenant": "red"},
    "State": "running",
    "NetworkSettings": {"Networks": {"red": {"IPAddress": "172.30.0.9", "MacAddress": "02:42:ac:1e:00:09"}}},
}


def container(*, networks: dict[str, Any] | None = None, names: tuple[str, ...] = ("/web-1",), **labels: str) -> Any:
    made = copy.deepcopy(CONTAINER)
    made["Names"] = list(names)
    made["Labels"] |= {f"ezpath.{key}": value for key, value in labels.items()}
    if networks is not None:
        made["NetworkSettings"]["Networks"] = networks
    return made


def test_given_a_tenant_alone_then_the_rest_is_what_docker_says() -> None:
    endpoint = endpoint_of(container(), SETTINGS)
    assert endpoint.model_dump() == {
        "name": "web-1",
        "tenant": "red",
        "mac": "02:42:ac:1e:00:09",
        "ip": "172.30.0.9",
        "host": "h11",
        "interface": "web-1",
        "importance": 1.0,
        "kind": "",
    }


def test_given_labels_then_they_outdo_it() -> None:
    said = {"name": "shop", "mac": "02:00:00:00:00:07", "ip": "10.0.0.7", "interface": "veth7", "kind": "db"}
    endpoint = endpoint_of(container(**said, importance="2.5"), SETTINGS)
    assert endpoint.model_dump() == {"tenant": "red", "host": "h11", "importance": 2.5, **said}


def test_given_a_pattern_for_interfaces_then_it_is_filled_in() -> None:
    settings = DockerSettings(host="h11", interface="ovs-{id:.8}")
    assert endpoint_of(container(), settings).interface == "ovs-eb84cb12"


def test_given_several_networks_then_a_label_has_to_say_which() -> None:
    networks = {"a": {"IPAddress": "10.1.0.1", "MacAddress": "02:00:00:00:00:0a"},
                "b": {"IPAddress": "10.2.0.1", "MacAddress": "02:00:00:00:00:0b"}}  # fmt: skip
    with pytest.raises(ValueError, match=r"on 2 networks. Say which one with the label ezpath.network"):
        endpoint_of(container(networks=networks), SETTINGS)
    assert endpoint_of(container(networks=networks, network="b"), SETTINGS).ip == "10.2.0.1"
    with pytest.raises(ValueError, match="not on network c, but on a, b"):
        endpoint_of(container(networks=networks, network="c"), SETTINGS)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"mac": "10:11"}, "mac '10:11' is no MAC address"),
        ({"importance": "much"}, "importance 'much' is no number"),
        ({"importance": "0"}, "importance 0.0 is out of range"),
        ({"name": "Web_1"}, "name 'Web_1' is no name"),
        ({"ip": "fe80::1"}, "ip Expected 4 octets"),
    ],
)
def test_given_a_label_that_is_wrong_then_it_is_said_of_that_container_alone(
    labels: dict[str, str], words: str
) -> None:
    result = found([container(**labels), container(names=("/other",))], SETTINGS)
    assert [endpoint.name for endpoint in result.endpoints] == ["other"]
    (problem,) = result.problems
    assert problem.startswith(f"container web-1: {words}")


def test_given_tenants_that_may_be_here_then_no_other_is() -> None:
    settings = DockerSettings(host="h11", tenants=("blue",))
    (problem,) = found([container()], settings).problems
    assert problem.startswith("container web-1: tenant red is not to have containers here")
    assert found([container(tenant="blue")], settings).endpoints


def test_given_no_address_then_the_remedy_is_named() -> None:
    nowhere = {"none": {"IPAddress": "", "MacAddress": ""}}
    (problem,) = found([container(networks=nowhere)], SETTINGS).problems
    assert problem == "container web-1: Docker gave it no MAC address. Say it with the label ezpath.mac"
    assert found([container(networks=nowhere, mac="02:00:00:00:00:07", ip="10.0.0.7")], SETTINGS).endpoints


def test_given_links_then_the_containers_own_name_counts() -> None:
    assert name_of(container(names=("/other/db", "/web-1"))) == "web-1"


# ---- a recorded daemon, through the real client library ----------------------------


async def following(watch: AsyncIterator[Found], wanted: list[str], **fields: object) -> Found:
    """The first word that has these endpoints."""
    async with asyncio.timeout(30):
        async for result in watch:
            if sorted(endpoint.name for endpoint in result.endpoints) == wanted:
                return result
    raise AssertionError("it ended")


async def test_given_a_recorded_daemon_then_every_step_is_followed(tmp_path: Path) -> None:
    replay = DockerReplay()
    async with serving(replay, tmp_path / "docker.sock") as url:
        source = DockerSource("docker-h11", DockerSettings(host="h11", url=url))
        async with aclosing(source.watch()) as watch:
            assert await anext(watch) == Found(())
            assert replay.go_on() == "docker network create tenant-red; docker run web-1"
            (web,) = (await following(watch, ["web-1"])).endpoints
            assert (web.tenant, web.ip, web.importance, web.kind) == ("red", "172.30.0.9", 2.5, "web")
            assert replay.go_on() == "docker run by-hand, without a network"
            by_hand = (await following(watch, ["by-hand", "web-1"])).endpoints[0]
            assert (by_hand.tenant, by_hand.mac, by_hand.ip) == ("blue", "02:00:00:00:00:07", "10.0.0.7")
            assert replay.go_on() == "docker run nobody, without a label"
            assert replay.go_on() == "docker run no-mac, without a network"
            async with asyncio.timeout(30):
                while not (result := await anext(watch)).problems:
                    pass
            assert result.problems[0].startswith("container no-mac: Docker gave it no MAC address")
            assert replay.go_on() == "docker network disconnect tenant-red web-1"
            async with asyncio.timeout(30):
                while not (await anext(watch)).endpoints[-1].ip.startswith("172.31.0."):
                    pass
            assert replay.go_on() == "docker rename web-1 Shop_Web.1"
            await following(watch, ["by-hand", "shop-web-1"])
            assert replay.go_on() == "docker kill Shop_Web.1"
            await following(watch, ["by-hand"])
            assert replay.go_on() == "docker start Shop_Web.1"
            await following(watch, ["by-hand", "shop-web-1"])
            events = next(request for request in replay.requests if "/events" in request)
            assert "since=" in events and "filters=" in events


async def test_given_a_daemon_that_ends_its_events_then_the_source_is_away(tmp_path: Path) -> None:
    replay = DockerReplay()
    async with serving(replay, tmp_path / "docker.sock") as url:
        watch = DockerSource("d", DockerSettings(host="h11", url=url)).watch()
        await anext(watch)
        replay.end_events()
        with pytest.raises(SourceAway, match="ended the stream of its events"):
            await anext(watch)


async def test_given_no_daemon_then_the_source_is_away_and_names_it(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    with pytest.raises(SourceAway, match=r"nobody\.sock does not answer: .*See that it runs"):
        await anext(DockerSource("d", DockerSettings(host="h11", url=url)).watch())


def test_given_no_client_library_then_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "aiodocker", None)
    with pytest.raises(SourceAway, match=r"source d: the package aiodocker is not installed. pip install aiodocker"):
        DockerSource("d", SETTINGS)
