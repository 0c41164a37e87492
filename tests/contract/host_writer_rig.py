"""The host-writer, who sends it commands, and the addresses of two hosts: what tests of it share.

Fixtures are beside this file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from contract.ovs_machine import OvsMachine, wait_until
from ezpath.bus import Bus
from ezpath.desired import key_of
from ezpath.events import DESIRED_BUCKET, DeadLetter, HostCommand, PhaseName, StepReport
from ezpath.inventory import load
from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import HostName, Mac, PairId, VlanId, Vni
from ezpath.service import Service, Settings
from ezpath_host_writer.main import serve

RED = Vni(5001)
A, B, GHOST = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), Mac("02:00:00:00:00:09")
TAG = VlanId(100)
SEND, RECEIVE = SendRule(RED, A, B, TAG), ReceiveRule(RED, TAG, A)
SEND_2, RECEIVE_2 = SendRule(RED, B, A, TAG), ReceiveRule(RED, TAG, B)

INVENTORY = """
tenants: {{red: {{vni: 5001}}}}
switches:
  tor1:
    {{rack: r1, device_id: 1, address: "unix:/none", vtep: 10.255.0.1, mac: "02:aa:00:00:00:01",
     ports: [{{number: 1, address: 10.1.1.0}}, {{number: 2, address: 10.1.2.0}}]}}
hosts:
  h1: {{switch: tor1, port: 1, vtep: 10.1.1.1, ovsdb: "{h1}"}}
  h2: {{switch: tor1, port: 2, vtep: 10.1.2.1, ovsdb: "{h2}"}}
endpoints:
  - {{name: red-a, tenant: red, mac: "{a}", ip: 10.0.0.1, host: h1, interface: red-a}}
  - {{name: red-b, tenant: red, mac: "{b}", ip: 10.0.0.2, host: h2, interface: red-b}}
"""


T = TypeVar("T")


class HostWriter:
    """The service: in this process where only its doings count, as a process where its ending does."""

    def __init__(self, directory: Path, url: str) -> None:
        self._inventory = directory / "network.yaml"
        self._ready = directory / "ready"
        self._log = directory / "host-writer.log"
        self.url = url
        self.logs: list[Any] = []
        self._bus: Bus | None = None
        self._task: asyncio.Task[None] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def write_inventory(self, h1: str, h2: str) -> None:
        self._inventory.write_text(INVENTORY.format(h1=h1, h2=h2, a=A, b=B))

    async def start(self, audit_s: float = 0.5) -> None:
        """Returns when it is ready."""
        inventory = load(self._inventory)
        self._bus = await Bus.connect(self.url, "host-writer", wait_s=30)
        settings = Settings(self.url, self._inventory, ready_file=self._ready)
        service = Service("host-writer", settings, inventory, self._bus)
        self._task = asyncio.create_task(serve(service, (), audit_s))
        await asyncio.to_thread(wait_until, lambda: self._ready.exists() or self._done(), "ready", 30)
        if self._done():
            self._task.result()

    def _done(self) -> bool:
        return self._task is not None and self._task.done()

    async def stop(self) -> None:
        """Without a chance to put anything in order, as a crash would."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._bus is not None:
            await self._bus.close()
        self._ready.unlink(missing_ok=True)

    def said(self, event: str, **fields: object) -> list[Any]:
        return [line for line in self.logs if line["event"] == event and fields.items() <= line.items()]

    @property
    def command(self) -> list[str]:
        binary = str(Path(sys.executable).parent / "ezpath-host-writer")
        return [binary, "--nats", self.url, "--inventory", str(self._inventory)]

    def start_process(self) -> None:
        """Returns when it is ready."""
        with self._log.open("ab") as log:
            process = subprocess.Popen([*self.command, "--ready-file", str(self._ready)], stderr=log)
        self.process = process
        wait_until(lambda: self._ready.exists() or process.poll() is not None, "ready", 60)
        assert process.poll() is None, self._log.read_text()

    def stop_process(self, number: signal.Signals) -> int:
        """Its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code, self.process = self.process.wait(30), None
        return code

    def once(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run([*self.command, *options], capture_output=True, text=True, timeout=60, check=False)


class Commander:
    """Who sends commands and waits for reports."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.generation = 0
        self.reports: list[StepReport] = []
        self.letters: list[DeadLetter] = []

    async def listen(self) -> None:
        async for delivery in self.bus.follow(["ezpath.report.>", "ezpath.deadletter.>"], 0):
            if isinstance(delivery.event, StepReport):
                self.reports.append(delivery.event)
            elif isinstance(delivery.event, DeadLetter):
                self.letters.append(delivery.event)

    async def send(
        self,
        host: str,
        put: tuple[HostItem, ...] = (),
        remove: tuple[HostItem, ...] = (),
        generation: int | None = None,
        phase: PhaseName = "host-send",
        shard: int = 0,
    ) -> int:
        self.generation = generation = generation or self.generation + 1
        pair = PairId("red.red-a.red-b")
        await self.bus.publish(HostCommand("saga-1", pair, generation, phase, HostName(host), put, remove, shard))
        return generation

    async def report(self, host: str, generation: int, timeout_s: float = 10.0) -> StepReport:
        def of_it(report: StepReport) -> bool:
            return (report.target, report.generation) == (f"host:{host}", generation)

        return await self.eventually(lambda: next(filter(of_it, reversed(self.reports)), None), timeout_s)

    async def ask(self, host: str, timeout_s: float = 10.0, **what: Any) -> StepReport:
        seen = len(self.reports)
        generation = await self.send(host, **what)
        await self.eventually(lambda: len(self.reports) > seen or None, timeout_s)
        return await self.report(host, generation, timeout_s)

    async def want(self, host: str, items: tuple[HostItem, ...], generation: int, shard: int = 0) -> None:
        document = {"generation": generation, "items": [asdict(item) for item in items]}
        key = key_of(f"host:{host}", shard)
        known = await self.bus.kv_get(DESIRED_BUCKET, key)
        await self.bus.kv_put_cas(DESIRED_BUCKET, key, json.dumps(document).encode(), known[1] if known else None)

    async def letter(self) -> DeadLetter:
        return await self.eventually(lambda: self.letters[-1] if self.letters else None, 10.0)

    async def eventually(self, find: Callable[[], T | None], timeout_s: float) -> T:
        deadline = time.monotonic() + timeout_s
        while not (found := find()):
            assert time.monotonic() < deadline, f"no answer within {timeout_s:g} s; reports: {self.reports[-4:]}"
            await asyncio.sleep(0.01)
        return found


async def eventually(condition: Callable[[], object], what: str) -> None:
    """In a thread: the test's own connection to NATS has to go on meanwhile."""
    await asyncio.to_thread(wait_until, condition, what, 15.0)


def installed(machine: OvsMachine) -> list[str]:
    """Rules of items, on both bridges; not the guards."""
    return [flow for bridge in ("br-int", "br-phy") for flow in machine.ours(bridge) if "actions=drop" not in flow]


async def until_ok(commander: Commander, host: str, **what: Any) -> StepReport:
    """Ask, as the decider does, until the host is back."""
    deadline = time.monotonic() + 15
    while not (report := await commander.ask(host, 15, **what)).ok:
        assert time.monotonic() < deadline, report.reason
        await asyncio.sleep(0.2)
    return report
