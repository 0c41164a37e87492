"""Sources in the inventory file: what is wrong with them is said by line; and the one that the docs show works."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import aclosing
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from ezpath.inventory import InventoryError, Problem, parse
from ezpath.inventory.sources import SourceAway, cannot_open, kinds, open_sources
from network import NETWORK

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "nomad_source.py"
LINES = len(NETWORK.splitlines())


def problems(sources: str) -> list[Problem]:
    with pytest.raises(InventoryError) as refused:
        parse(f"{NETWORK}sources:\n{sources}", "n.yaml")
    return refused.value.problems


MISTAKES = {
    "a kind that nobody has": (
        "  x: {kind: swarm}",
        "sources.x.kind",
        "no kind of source is called swarm",
        "docker, k",
    ),
    "no kind": ("  x: {host: h11}", "sources.x.kind", "is missing", "Add it"),
    "a setting that is missing": ("  x: {kind: docker}", "sources.x.host", "is missing", "Add it"),
    "a setting that is not known": (
        "  x:\n    kind: docker\n    host: h11\n    hots: h12",
        "sources.x.hots",
        "is not known here",
        "Remove it or correct its name",
    ),
    "a host that the file has not": (
        "  x: {kind: docker, host: h99}",
        "sources.x.host",
        "unknown host h99",
        "Known hosts: h11, h12, h21, h22",
    ),
    "a tenant that the file has not": (
        "  x: {kind: kubernetes, tenants: {shop: gray}}",
        "sources.x.tenants.shop",
        "unknown tenant gray",
        "Known tenants: red, blue",
    ),
    "a node's host that the file has not": (
        "  x: {kind: kubernetes, hosts: {node-1: h99}}",
        "sources.x.hosts.node-1",
        "unknown host h99",
        "Known hosts: h11",
    ),
    "a name that is none": ("  X: {kind: docker, host: h11}", "sources.X", "no name", "lower case"),
    "a number out of range": (
        "  x: {kind: docker, host: h11, resync_s: 0}",
        "sources.x.resync_s",
        "out of range",
        "at least 1",
    ),
    "Kubernetes's, inside": ("  x: {kind: kubernetes, tenants: {a: B}}", "sources.x.tenants.a", "no name", "lower"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_given_a_mistake_then_it_is_said_with_its_line(mistake: str) -> None:
    text, field, cause, remedy = MISTAKES[mistake]
    (problem,) = problems(text)
    assert problem.field == field
    assert cause in problem.cause and remedy in problem.remedy
    assert problem.line == LINES + 1 + (4 if "hots" in text else 1)


def test_given_sources_then_they_are_opened_in_the_files_order() -> None:
    text = f"{NETWORK}sources:\n  z: {{kind: docker, host: h11}}\n  a: {{kind: kubernetes, context: lab}}\n"
    document = parse(text).document
    assert list(open_sources(document)) == ["z", "a"]
    assert cannot_open(document) == []


# ---- the docs' example ----------------------------------------------------------------


@pytest.fixture
def nomad_source() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nomad_source", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_given_the_example_as_an_entry_point_then_the_file_may_name_it(
    nomad_source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed(EntryPoint):
        def load(self) -> Any:
            return nomad_source.NomadSource

    monkeypatch.setattr(kinds, "entry_points", lambda **_: (Installed("nomad", "nomad_source:NomadSource", "g"),))
    text = f"{NETWORK}sources:\n  n: {{kind: nomad, url: 'http://127.0.0.1:9'}}\n"
    (source,) = open_sources(parse(text).document).values()
    with pytest.raises(SourceAway, match=r"Nomad at http://127.0.0.1:9 does not answer"):
        await anext(source.watch())


async def test_given_allocations_that_come_and_end_then_the_example_tells_of_them(nomad_source: ModuleType) -> None:
    said = {"ezpath_tenant": "red", "ezpath_name": "api", "ezpath_mac": "02:00:00:00:00:07", "ezpath_interface": "v7"}
    allocations = {
        "a1": {"ID": "a1", "Name": "api.web[0]", "NodeName": "h11", "Job": {"Meta": said}},
        "b2": {"ID": "b2", "Name": "batch[0]", "NodeName": "h11", "Job": {"Meta": None}},
        "c3": {"ID": "c3", "Name": "bad[0]", "NodeName": "h11", "Job": {"Meta": {"ezpath_tenant": "red"}}},
    }
    allocations["a1"]["NetworkStatus"] = {"InterfaceName": "eth0", "Address": "172.26.64.14"}
    running, index = {"a1", "b2", "c3"}, 7
    changed = asyncio.Event()

    async def listed(request: web.Request) -> web.Response:
        if request.query["index"] == str(index):
            await changed.wait()
        stubs = [{"ID": each, "ClientStatus": "running" if each in running else "complete"} for each in allocations]
        return web.json_response(stubs, headers={"X-Nomad-Index": str(index)})

    async def one(request: web.Request) -> web.Response:
        return web.json_response(allocations[request.match_info["id"]])

    application = web.Application()
    application.add_routes([web.get("/v1/allocations", listed), web.get("/v1/allocation/{id}", one)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        source = nomad_source.NomadSource("nomad", nomad_source.NomadSettings(url=url))
        async with aclosing(source.watch()) as watch:
            first = await anext(watch)
            (endpoint,) = first.endpoints
            assert (endpoint.name, endpoint.host, endpoint.ip) == ("api", "h11", "172.26.64.14")
            assert first.problems[0].startswith("allocation bad[0]: name is missing")
            running.discard("a1")
            index = 8
            changed.set()
            assert (await anext(watch)).endpoints == ()
    finally:
        await runner.cleanup()
