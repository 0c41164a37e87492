"""The decider as a process, and everything around it that a test plays: collectors and writers, by their contract."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ezpath.bus import Bus, Delivery
from ezpath.events import (
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    SagaOutcome,
    StepReport,
    SwitchCommand,
)
from ezpath.names import PairId, SwitchName
from network import NETWORK

PAIR = PairId("red.red-1.red-3")
FLOW = (5001, 0x020000000001, 0x020000000003)
PATIENCE_S = 45.0
"""For what takes a second on a machine that has nothing else to do."""
OPTIONS = ("--interval", "0.1", "--enter-polls", "2", "--idle-polls", "2", "--drain-s", "0.2")


class Decider:
    def __init__(self, nats: str, directory: Path) -> None:
        self._inventory = directory / "network.yaml"
        self._inventory.write_text(NETWORK)
        self._log = directory / "decider.log"
        self._command = [str(Path(sys.executable).parent / "ezpath-decider"), "--nats", nats, *OPTIONS]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*self._command, "--inventory", str(self._inventory), *options], stderr=log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code, self.process = self.process.wait(10), None
        return code

    def policy(self, text: str) -> Path:
        """Write the policy file, at once as an editor does."""
        file, draft = self._inventory.with_name("policy.yaml"), self._inventory.with_name("policy.draft")
        draft.write_text(text)
        return draft.rename(file)

    async def until_logged(self, text: str, seconds: float = PATIENCE_S) -> None:
        async with asyncio.timeout(seconds):
            while text not in self.log:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)

    @property
    def log(self) -> str:
        return self._log.read_text()


class World:
    """Everything around the decider: collectors that report a rate, and writers that answer (or do not)."""

    def __init__(self, bus: Bus, nats: str) -> None:
        self.bus = bus
        self.nats = nats
        self.rate_bps = 0.0
        self.flows = [FLOW]
        """Each with that rate: VNI, source and destination address."""
        self.answer: Callable[[SwitchCommand | HostCommand], str | None] = lambda command: ""
        self.commands: list[SwitchCommand | HostCommand] = []
        self.said: list[object] = []
        self._snapshots: asyncio.Queue[FlowsSnapshot] = asyncio.Queue()

    async def sample_for_ever(self) -> None:
        octets, sequence = 0.0, 0
        while True:
            sequence += 1
            octets += self.rate_bps / 8 * 0.1
            columns = np.array([(*flow, sequence, int(octets)) for flow in self.flows], dtype=np.uint64).T
            for switch in ("tor1", "tor2"):
                await self.bus.publish_sample(
                    FlowSample(SwitchName(switch), sequence, sequence * 100_000_000, 0, 0.1, *columns, collector="c")
                )
            await asyncio.sleep(0.1)

    async def on_command(self, batch: list[Delivery[SwitchCommand | HostCommand]]) -> None:
        for command in (delivery.event for delivery in batch):
            self.commands.append(command)
            reason = self.answer(command)
            if reason is None:
                continue
            target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
            await self.bus.publish(
                StepReport(command.saga, command.pair, command.generation, command.phase, target, not reason, reason)
            )

    async def listen(self) -> None:
        async for delivery in self.bus.follow(["ezpath.saga.>", "ezpath.deadletter.>"], 0):
            self.said.append(delivery.event)

    async def on_flows(self, snapshot: FlowsSnapshot) -> None:
        self._snapshots.put_nowait(snapshot)

    async def next_snapshot(self) -> FlowsSnapshot:
        """The first one published from now on."""
        while not self._snapshots.empty():
            self._snapshots.get_nowait()
        return await asyncio.wait_for(self._snapshots.get(), PATIENCE_S)

    async def until(self, happened: Callable[[object], bool], seconds: float = PATIENCE_S) -> object:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in self.said:
                if happened(event):
                    return event
            await asyncio.sleep(0.02)
        raise AssertionError(f"did not happen in {seconds} s; said: {self.said[-6:]}")

    def outcome(self, outcome: str) -> Callable[[object], bool]:
        return lambda event: isinstance(event, SagaOutcome) and event.outcome == outcome
