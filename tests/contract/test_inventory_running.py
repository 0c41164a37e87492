"""The inventory changes while everything runs: a real nats-server, the decider, the host-writer, three Open vSwitches.

Collectors and switch-writers are played by the test, by their contract.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import yaml
from contract.ovs_machine import OvsMachine, wait_until
from ezpath.bus import Bus, Delivery
from ezpath.events import FlowSample, SagaOutcome, StepReport, SwitchCommand
from ezpath.names import PairId, SwitchName
from network import NETWORK

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

RED = PairId("red.red-1.red-3")
ANOTHER = PairId("red.red-2.red-3")
RED_1, RED_2, RED_3 = 0x020000000001, 0x020000000002, 0x020000000003
DECIDER = ("--interval", "0.1", "--enter-polls", "2", "--drain-s", "0.2", "--quarantine-s", "1")


class Place:
    """Three hosts (h11 and h12 in one rack, h21 in another), the file that says so, and the two services."""

    def __init__(self, directory: Path, nats: str, bus: Bus, machines: dict[str, OvsMachine]) -> None:
        self.bus = bus
        self.machines = machines
        self.document: dict[str, Any] = yaml.safe_load(NETWORK)
        self.document["hosts"] = {name: self.document["hosts"][name] for name in machines}
        for name, machine in machines.items():
            self.document["hosts"][name]["ovsdb"] = machine.remote
        self.document["endpoints"] = [e for e in self.document["endpoints"] if e["name"] in ("red-1", "red-2", "red-3")]
        self.outcomes: list[SagaOutcome] = []
        self.flows = {(RED_1, RED_3), (RED_2, RED_3)}
        self._nats = nats
        self._file = directory / "network.yaml"
        self._log = directory / "services.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    def endpoint(self, name: str) -> dict[str, Any]:
        return next(each for each in self.document["endpoints"] if each["name"] == name)

    def save(self) -> None:
        """As an editor does."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(self.document))
        draft.rename(self._file)

    def start(self, service: str, *options: str) -> None:
        binary = str(Path(sys.executable).parent / f"ezpath-{service}")
        command = [binary, "--nats", self._nats, "--inventory", str(self._file), *options]
        with self._log.open("ab") as log:
            self._processes.append(subprocess.Popen(command, stderr=log))

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    @property
    def log(self) -> str:
        return self._log.read_text()

    # ---- the rest of the world, played ----------------------------------------

    async def sample_for_ever(self) -> None:
        """Every flow has 20 Mbit/s, wherever it is; both switches see all of them."""
        sequence = 0
        while True:
            sequence += 1
            rows = [(5001, one, other, sequence * 20, sequence * 250_000) for one, other in sorted(self.flows)]
            columns = np.array(rows, dtype=np.uint64).T
            for switch in ("tor1", "tor2"):
                await self.bus.publish_sample(
                    FlowSample(SwitchName(switch), sequence, sequence * 100_000_000, 0, 0.1, *columns, collector="c")
                )
            await asyncio.sleep(0.1)

    async def on_switch_command(self, batch: list[Delivery[SwitchCommand]]) -> None:
        for command in (delivery.event for delivery in batch):
            target = f"switch:{command.switch}"
            await self.bus.publish(
                StepReport(command.saga, command.pair, command.generation, command.phase, target, True, "")
            )

    async def listen(self) -> None:
        async for delivery in self.bus.follow(["ezpath.saga.>"], 0):
            if isinstance(delivery.event, SagaOutcome):
                self.outcomes.append(delivery.event)

    async def until(self, pair: PairId, *outcomes: str, seconds: float = 90) -> list[SagaOutcome]:
        """Until the outcomes of ``pair`` were these so far."""
        deadline = time.monotonic() + seconds
        while True:
            mine = [outcome for outcome in self.outcomes if outcome.pair == pair]
            if [outcome.outcome for outcome in mine] == list(outcomes):
                return mine
            assert time.monotonic() < deadline, f"{pair}: {mine}\n{self.log[-3000:]}"
            await asyncio.sleep(0.05)

    def tagged(self, host: str, mac: str) -> list[str]:
        """EZPath's rules on that host's integration bridge that speak of an address."""
        return [flow for flow in self.machines[host].ours("br-int") if mac in flow]


async def eventually(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, 60.0)


@pytest_asyncio.fixture
async def place(
    tmp_path: Path, nats_server: Any, bus: Bus, make_machine: Callable[[], OvsMachine]
) -> AsyncIterator[Place]:
    """Both pairs are on the switches."""
    place = Place(tmp_path, nats_server.url, bus, {name: make_machine() for name in ("h11", "h12", "h21")})
    for host, interface in (("h11", "red1"), ("h12", "red1-there"), ("h12", "red2"), ("h21", "red3")):
        place.machines[host].plug("br-int", interface)
    place.save()
    tasks = [
        asyncio.create_task(place.sample_for_ever()),
        asyncio.create_task(bus.consume("switches", "ezpath.command.switch.>", SwitchCommand, place.on_switch_command)),
        asyncio.create_task(place.listen()),
    ]
    place.start("decider", *DECIDER)
    place.start("host-writer", "--audit-interval", "0.5")
    try:
        await place.until(RED, "active")
        await place.until(ANOTHER, "active")
        yield place
    finally:
        place.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_given_an_endpoint_that_moves_then_it_comes_back_and_is_offloaded_anew_at_its_new_place(
    place: Place,
) -> None:
    assert place.tagged("h11", "02:00:00:00:00:01")
    # when red-1 migrates from h11 to h12, in the same rack
    place.endpoint("red-1").update(host="h12", interface="red1-there")
    place.save()
    # then its pair comes back from where it was, and goes to the switches from where it is
    back = (await place.until(RED, "active", "reverted", "active"))[1]
    assert back.reason == f"the inventory now has an endpoint of {RED} elsewhere"
    await eventually(lambda: place.tagged("h12", "02:00:00:00:00:01"), "rules at the new place")
    assert not place.tagged("h11", "02:00:00:00:00:01"), "and none at the old one"
    # and nobody else moved
    await place.until(ANOTHER, "active")


async def test_given_an_endpoint_that_vanishes_with_its_interface_then_it_is_cleaned_up(place: Place) -> None:
    # when a container ends: its interface is gone at once, the inventory says so a little later
    place.machines["h11"].vsctl("del-port", "red1")
    place.document["endpoints"].remove(place.endpoint("red-1"))
    place.save()
    # then the revert is not held up by a port that is no more, and nothing is left
    back = (await place.until(RED, "active", "reverted"))[1]
    assert back.reason == f"the inventory no longer has pair {RED}"
    await eventually(
        lambda: not place.tagged("h11", "02:00:00:00:00:01") and not place.tagged("h21", "02:00:00:00:00:01"),
        "no rule speaks of it",
    )
    assert place.tagged("h21", "02:00:00:00:00:02"), "its peer's other pair stays"
    await place.until(ANOTHER, "active")


async def test_given_a_new_endpoint_then_it_is_offloaded_without_a_restart(place: Place) -> None:
    place.machines["h11"].plug("br-int", "red5")
    new = {"name": "red-5", "tenant": "red", "mac": "02:00:00:00:00:05", "ip": "10.0.0.5"}
    place.document["endpoints"].append(new | {"host": "h11", "interface": "red5"})
    place.flows.add((0x020000000005, RED_3))
    place.save()
    await place.until(PairId("red.red-3.red-5"), "active")


async def test_given_a_file_that_is_refused_then_the_last_good_one_holds_and_the_mistake_is_said(place: Place) -> None:
    place.endpoint("red-1")["host"] = "h99"
    place.save()
    await eventually(lambda: "network.yaml:" in place.log, "the mistake is said")
    line = next(line for line in place.log.splitlines() if "inventory refused" in line)
    assert "endpoints.0.host: unknown host h99. Known hosts: h11, h12, h21" in line
    await asyncio.sleep(1)
    await place.until(RED, "active")
    # and the next good one counts
    place.endpoint("red-1").update(host="h12", interface="red1-there")
    place.save()
    await place.until(RED, "active", "reverted", "active")


async def test_given_a_nats_that_loses_its_store_then_the_endpoints_are_published_again(
    place: Place, nats_server: Any, bus: Bus
) -> None:
    before = await bus.kv_items("ezpath_inventory")
    assert set(before) == {"host.h11", "host.h12", "host.h21", "all"}
    nats_server.stop()
    nats_server.wipe()
    nats_server.start()

    deadline = time.monotonic() + 90
    while {k: v for k, (v, _) in (await bus.kv_items("ezpath_inventory")).items()} != {
        k: v for k, (v, _) in before.items()
    }:
        assert time.monotonic() < deadline, place.log[-3000:]
        await asyncio.sleep(0.2)
