"""NATS, switches and collectors as processes, and what the collectors use while samples of theirs are counted.

Processor time is from /proc, of each process by itself, over polls that were published while it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ezpath.bus import Bus
from ezpath.events import FlowSample
from ezpath_lab.shell import LabError, program

from ezpath_bench.collectors.cost import Cost
from ezpath_bench.saga.shares import Shares

_READY_S = 60.0


class NotPolled(Exception):
    """The collectors did not do what was to be measured."""


class Rig:
    """NATS and the switches, which all cases share."""

    def __init__(
        self, directory: Path, stack: ExitStack, p4_dir: Path, cells: int, used: float, interval_s: float
    ) -> None:
        self._directory = directory
        self._interval_s = interval_s
        port = _free_port()
        self._url = f"nats://127.0.0.1:{port}"
        nats = [program("nats-server"), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(directory / "store")]
        self._nats = stack.enter_context(_running(nats, directory / "nats.log"))
        self._address = f"unix:{directory}/switches.sock"
        words = ["--listen", self._address, "--p4-dir", str(p4_dir), "--cells", str(cells), "--used", str(used)]
        module = [sys.executable, "-m", "ezpath_bench.collectors.switch", *words]
        self._switches = stack.enter_context(_running(module, directory / "switches.log"))
        _wait((directory / "switches.sock").exists, "the switches answer")

    async def measured(self, switches: int, collectors: int, seconds: float) -> Cost:
        """Start so many collectors on so many switches, and look on once each has its part and polls it."""
        inventory = self._directory / f"network-{switches}.yaml"
        inventory.write_text(_inventory(switches, self._address))
        words = [program("ezpath-collector"), "--nats", self._url, "--inventory", str(inventory)]
        words += ["--interval", str(self._interval_s), "--log-level", "warning"]
        last: dict[str, str] = {}
        polls = Counter[str]()

        async def on_sample(sample: FlowSample) -> None:
            last[sample.switch] = sample.collector
            polls[sample.switch] += 1

        async with await Bus.connect(self._url, "bench", wait_s=10) as bus:
            with ExitStack() as stack:
                await bus.subscribe_samples(on_sample)
                logs = [self._directory / f"collector-{number}.log" for number in range(collectors)]
                running = [stack.enter_context(_running(words, log)) for log in logs]
                await self._until_shared(last, switches, collectors, logs)
                processes = [("collectors", child.pid) for child in running]
                shares = Shares([*processes, ("switches", self._switches.pid), ("nats", self._nats.pid)])
                polls.clear()
                shares.begin()
                began = time.monotonic()
                await asyncio.sleep(seconds)
                took, used = time.monotonic() - began, shares.read()
                counted = polls.total()
                parts = tuple(sorted(Counter(last.values()).values(), reverse=True))
        if len(polls) < switches:
            raise NotPolled(f"only {len(polls)} of {switches} switches were polled in {took:.0f} s. Give it more cores")
        return Cost(
            switches,
            collectors,
            self._interval_s,
            counted,
            took,
            used["collectors"],
            used["switches"],
            used["nats"],
            parts,
        )

    async def _until_shared(self, last: dict[str, str], switches: int, collectors: int, logs: Sequence[Path]) -> None:
        """Until every switch is polled, and no collector polls two more than another."""
        deadline = time.monotonic() + _READY_S + 2 * self._interval_s
        while True:
            parts = Counter(last.values())
            if len(last) == switches and len(parts) == collectors and max(parts.values()) - min(parts.values()) <= 1:
                return
            if time.monotonic() > deadline:
                said = [line for log in logs for line in log.read_text().splitlines()[-2:]]
                raise NotPolled(f"{len(last)} of {switches} switches are polled, by {dict(parts)}. They say: {said}")
            await asyncio.sleep(0.1)


def _inventory(count: int, address: str) -> str:
    switches = {
        f"tor{number}": {
            "rack": f"r{number}",
            "device_id": number,
            "address": address,
            "vtep": f"10.255.{number >> 8}.{number & 255}",
            "mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        }
        for number in range(1, count + 1)
    }
    # JSON is YAML
    return json.dumps({"tenants": {"red": {"vni": 5001}}, "switches": switches, "hosts": {}, "endpoints": []})


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    with log.open("wb") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, env=clean)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(20)


def _wait(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"not within 20 s: {what}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
