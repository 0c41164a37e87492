"""`ezpath status` and `ezpath diff` on a whole small system: all is well, a host goes, its pair comes back, and it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from contract.host_writer_rig import installed
from contract.ovs_machine import OvsMachine
from contract.services_rig import PAIR, Services, running

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PATIENCE = ("--timeout", "20")
"""On a loaded machine a process may be late."""


@pytest_asyncio.fixture
async def services(tmp_path: Path, nats_server: Any, make_machine: Callable[[], OvsMachine]) -> AsyncIterator[Services]:
    async with running(tmp_path, nats_server.url, make_machine) as services:
        yield services


async def status(services: Services) -> tuple[int, dict[str, Any]]:
    code, out, err = await services.ezpath("status", "-o", "json", *PATIENCE)
    assert not err, err
    return code, json.loads(out)


async def until_status(services: Services, true: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    for _ in range(40):
        _, said = await status(services)
        if true(said):
            return said
        await asyncio.sleep(0.5)
    raise AssertionError(f"{what}: never; last: {said}")


def alarms_of(said: dict[str, Any], start: str) -> list[str]:
    return [alarm for alarm in said["alarms"] if alarm.startswith(start)]


async def diff(services: Services, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    code, out, err = await services.ezpath("diff", "-o", "jsonl", *PATIENCE, *arguments)
    assert not err, err
    return code, {line["target"]: line for line in map(json.loads, out.splitlines())}


async def test_a_host_that_is_gone_is_reverted_as_far_as_it_goes_and_named_until_it_is_back(services: Services) -> None:
    # Given an active pair, and nothing that is wrong
    code, out, _ = await services.ezpath("offload", PAIR, "--timeout", "60")
    assert code == 0, out
    code, said = await status(services)
    assert (code, said["alarms"], said["active"]) == (0, [], 1)
    assert {each["service"] for each in said["services"]} == {"collector", "decider", "switch-writer", "host-writer"}
    assert {each["target"]: each["state"] for each in said["targets"]} == dict.fromkeys(
        ("switch:tor1", "host:h1", "host:h2"), "in-sync"
    )
    code, found = await diff(services)
    assert (code, {line["verdict"] for line in found.values()}) == (0, {"same"})
    assert found["switch:tor1"]["items"] == 4 and found["host:h1"]["items"] == 2
    # When one host is gone
    services.h2.kill("ovs-vswitchd")
    # Then it is named, its pair is on the way back and waits for it
    waits = f"{PAIR}: waits in host-send-off for host:h2"
    said = await until_status(services, lambda said: bool(alarms_of(said, waits)), "the saga waits for it")
    (alarm,) = alarms_of(said, "host:h2")
    assert "unreachable for" in alarm and "ovs-vswitchd" in alarm
    assert said["sagas"][0]["waiting"] == ["host:h2"]
    assert "host h2 is gone" in said["sagas"][0]["reason"]
    # The other host has stopped sending, and still accepts; no entry has gone (I2)
    assert [flow for flow in services.h1.ours("br-int") if "pop_vlan" in flow]
    assert not [flow for flow in services.h1.ours("br-int") if "push_vlan" in flow]
    assert len(await services.tor.entries("endpoint", "tenant_tag")) == 4
    code, found = await diff(services)
    assert code == 1
    assert {target: line["verdict"] for target, line in found.items()} == {
        "switch:tor1": "same",
        "host:h1": "same",
        "host:h2": "unknown",
    }
    assert "ovs-vswitchd" in found["host:h2"]["problem"]
    # And for people
    code, out, _ = await services.ezpath("status", *PATIENCE)
    assert code == 1
    assert "ALARM  host:h2: unreachable for" in out and "ALARM  " + waits in out
    # When it is back, all is taken off, and nobody is named any more
    await asyncio.to_thread(services.h2.start_vswitchd)
    said = await until_status(services, lambda said: not said["alarms"] and not said["under_way"], "all is well")
    assert (await status(services))[0] == 0
    assert installed(services.h1) == installed(services.h2) == []
    assert await services.tor.entries("endpoint", "tenant_tag") == set()
    _, out, _ = await services.ezpath("tail", "--no-follow")
    assert "host h2 is gone" in out and "REVERTED" in out


async def test_differences_and_silent_writers_are_named(services: Services) -> None:
    code, out, _ = await services.ezpath("offload", PAIR, "--timeout", "60")
    assert code == 0, out
    # When somebody takes a rule away, and adds one with our cookie
    services.h1.ofctl("del-flows", "br-phy", "cookie=0xe25a030000000000/0xffffff0000000000")
    services.h1.add_flow("br-int", "cookie=0xe25a020000001389,table=3,priority=1,actions=drop")
    # Then both are shown, for the host and no other
    code, out, _ = await services.ezpath("diff", *PATIENCE)
    lines = out.splitlines()
    assert code == 1
    assert lines[0].split() == ["TARGET", "DIFFERENCE", "WHAT"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["switch:tor1", "same"],
        ["host:h1", "missing"],
        ["host:h1", "surplus"],
        ["host:h2", "same"],
    ]
    assert "send vni=5001 src=02:00:00:00:00:01" in lines[2] and "table=3" in lines[3]
    assert (await diff(services, "--host", "h2"))[0] == 0
    assert (await diff(services, "--switch", "tor1"))[0] == 0
    assert (await services.ezpath("diff", "--host", "h9"))[0] == 2
    # When the host-writer is not there, its hosts are unknown, and status says so
    services.end("host-writer")
    code, out, _ = await services.ezpath("diff", "--timeout", "2", "--host", "h2")
    assert code == 1 and "unknown" in out and "no writer answered within 2 s" in out
    code, out, _ = await services.ezpath("status", "--timeout", "2", "-o", "json")
    alarms = json.loads(out)["alarms"]
    assert code == 1
    assert "host-writer: no answer. See that ezpath-host-writer runs" in alarms
    assert "host:h1: no writer answers for it" in alarms and "host:h2: no writer answers for it" in alarms
    # And when it is back, it has put everything right
    await services.start("host-writer")
    code, found = await diff(services)
    assert (code, {line["verdict"] for line in found.values()}) == (0, {"same"})
