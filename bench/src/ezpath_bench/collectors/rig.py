"""NATS, switches and collectors as processes, and what the collectors use while samples of theirs are counted.

Processor time is from /proc, of each process by itself, over polls that were published while it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ezpath.bus import Bus
from ezpath.events import LEASE_BUCKET
from ezpath.leases import COLLECTORS
from ezpath_lab.ports import free_ports
from ezpath_lab.shell import LabError, program
from prometheus_client.parser import text_string_to_metric_families

from ezpath_bench.collectors.cost import Cost
from ezpath_bench.saga.shares import Shares

_READY_S = 60.0
_SETTLED_POLLS = 2
"""The first is when a switch is taken, whenever that is; its moment comes up to one and a half intervals later."""
_SAMPLES = "ezpath_collector_samples_total"


class NotPolled(Exception):
    """The collectors did not do what was to be measured."""


class Rig:
    """NATS and the switches, which all cases share."""

    def __init__(
        self, directory: Path, stack: ExitStack, p4_dir: Path, cells: int, used: float, interval_s: float
    ) -> None:
        self._directory = directory
        self._interval_s = interval_s
        (port,) = free_ports(1)
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
        ports = free_ports(collectors)
        logs = [self._directory / f"collector-{port}.log" for port in ports]
        with ExitStack() as stack:
            running = [
                stack.enter_context(_running([*words, "--metrics", f"127.0.0.1:{port}"], log))
                for port, log in zip(ports, logs, strict=True)
            ]
            await self._until_shared(ports, switches, logs)
            processes = [("collectors", child.pid) for child in running]
            shares = Shares([*processes, ("switches", self._switches.pid), ("nats", self._nats.pid)])
            before = [_published(port) for port in ports]
            shares.begin()
            began = time.monotonic()
            await asyncio.sleep(seconds)
            took, used = time.monotonic() - began, shares.read()
            polls = [_published(port) - was for port, was in zip(ports, before, strict=True)]
        parts = tuple(sorted(map(len, polls), reverse=True))
        if len(set().union(*polls)) < switches or sum(parts) > switches:
            raise NotPolled(f"of {switches} switches, collectors polled {parts} in {took:.0f} s. Give it more cores")
        return Cost(
            switches,
            collectors,
            self._interval_s,
            sum(each.total() for each in polls),
            took,
            used["collectors"],
            used["switches"],
            used["nats"],
            parts,
        )

    async def _until_shared(self, ports: Sequence[int], switches: int, logs: Sequence[Path]) -> None:
        """Until every switch is polled at its moment, and no collector has two more than another."""
        deadline = time.monotonic() + _READY_S + 2 * self._interval_s
        polled: set[str] = set()
        parts: Counter[str] = Counter()
        async with await Bus.connect(self._url, "bench", wait_s=10) as bus:
            while True:
                await asyncio.sleep(1)
                leases = await bus.kv_items(LEASE_BUCKET, f"{COLLECTORS.things}.>")
                parts = Counter(json.loads(value)["holder"] for value, _ in leases.values())
                polled = {name for port in ports for name, polls in _published(port).items() if polls >= _SETTLED_POLLS}
                even = len(parts) == len(ports) and max(parts.values()) - min(parts.values()) <= 1
                if even and parts.total() == len(polled) == switches:
                    return
                if time.monotonic() > deadline:
                    said = [line for log in logs for line in log.read_text().splitlines()[-2:]]
                    raise NotPolled(
                        f"{len(polled)} of {switches} switches are polled, by {dict(parts)}. They say: {said}"
                    )


def _published(port: int) -> Counter[str]:
    """Samples that a collector has published, by switch, by its own metrics: nobody here could listen to them all."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return Counter()  # it does not serve them yet
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples if sample.name == _SAMPLES]
    return Counter({sample.labels["switch"]: int(sample.value) for sample in samples if sample.value})


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
