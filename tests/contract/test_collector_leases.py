"""Several collectors as processes, against a real NATS: each switch is polled by exactly one of them, whoever dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest_asyncio
import yaml
from collector_rig import Samples
from ezpath.bus import Bus
from ezpath.events import LEASE_BUCKET
from ezpath_bench.collectors.switch import PreparedSwitch, serve
from network import NETWORK

INTERVAL_S = 1.0
RACKS = {"tor1": "r1", "tor2": "r1", "tor3": "r1", "tor4": "r2", "tor5": "r2", "tor6": "r2"}
P4INFO = Path(__file__).parents[2] / "p4" / "ezpath.p4info.txtpb"
SLACK_S = 0.7
"""What a machine that others use as well may take for what takes no time."""


class Collectors:
    """Processes, by name."""

    def __init__(self, bus: Bus, url: str, directory: Path, samples: Samples) -> None:
        self.samples = samples
        self._bus, self._url, self._directory = bus, url, directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *options: str, host: str = "") -> None:
        """As if on a machine of its own where ``host`` is given: then nobody sees its process end."""
        command = [str(Path(sys.executable).parent / "ezpath-collector"), "--nats", self._url, *options]
        command += ["--inventory", str(self._directory / "network.yaml"), "--interval", str(INTERVAL_S)]
        inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if host else []
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        with (self._directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen([*inside, *command], stderr=log, env=clean)

    def send(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        process = self._running.pop(name)
        process.send_signal(number)
        process.wait(15)

    def end_all(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def last(self, name: str, event: str) -> float:
        """When it last said so, Unix time."""
        said = [entry for entry in map(json.loads, self.log(name).splitlines()) if entry["event"] == event]
        return datetime.fromisoformat(said[-1]["timestamp"]).timestamp()

    def instance(self, name: str) -> str:
        return f"{os.uname().nodename.split('.')[0]}-{self._running[name].pid}"

    async def owners(self) -> dict[str, str]:
        """Switch to the name of its collector, by the leases."""
        names = {self.instance(name): name for name in self._running}
        found = await self._bus.kv_items(LEASE_BUCKET, "poll.*")
        holders = {key.removeprefix("poll."): json.loads(value)["holder"] for key, (value, _) in found.items()}
        return {switch: names.get(holder, holder) for switch, holder in holders.items()}

    async def when(self, true: Callable[[dict[str, str]], object], seconds: float = 20.0) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while not true(owners := await self.owners()):
            assert time.monotonic() < deadline, f"{owners}; {[self.log(name)[-1500:] for name in self._running]}"
            await asyncio.sleep(0.02)
        return owners

    async def shared(self, *names: str) -> dict[str, str]:
        """Once each of ``names`` has its part of the switches, and polls it."""
        even = len(RACKS) // len(names)
        owners = await self.when(lambda owners: Counter(owners.values()) == dict.fromkeys(names, even))
        await self.polled(owners)
        return owners

    async def polled(self, owners: dict[str, str]) -> None:
        """Once each switch's collector has published a sample of it."""
        for switch, name in owners.items():
            await self.samples.when(
                lambda got, name=name: bool(got) and got[-1].collector == self.instance(name), switch
            )

    def check_exclusive(self) -> None:
        """Of each switch, one collector's samples followed another's, under a later term, and never went back."""
        for switch in RACKS:
            terms = [(sample.term, sample.collector) for sample in self.samples.of(switch)]
            assert terms == sorted(terms, key=lambda each: each[0])
            assert len(set(terms)) == len({term for term, _ in terms}), "one term, one collector"

    def gap_s(self, switch: str, since: float = 0.0) -> float:
        """The longest time between two samples of ``switch``."""
        times = [sample.wall_ns / 1e9 for sample in self.samples.of(switch)]
        return max((after - before for before, after in pairwise(times) if after > since), default=0.0)

    def late_s(self, since: float, switches: set[str]) -> float:
        """By how much the machine is late just now: ``switches`` are polled by those of whom nothing was wanted."""
        return max(0.0, max(self.gap_s(switch, since) for switch in switches) - 1.5 * INTERVAL_S)


@pytest_asyncio.fixture
async def collectors(bus, nats_server, tmp_path: Path, samples: Samples) -> AsyncIterator[Collectors]:
    server = await serve(PreparedSwitch(P4INFO, cells=256), f"unix:{tmp_path}/switches.sock")
    raw = yaml.safe_load(NETWORK)
    like = raw["switches"]["tor1"]
    raw["switches"] = {
        name: like
        | {"rack": rack, "device_id": number, "address": f"unix:{tmp_path}/switches.sock"}
        | {"vtep": f"10.255.1.{number}", "mac": f"02:00:00:00:ff:{number:02x}", "routes": [], "ports": []}
        for number, (name, rack) in enumerate(RACKS.items(), 1)
    }
    raw["hosts"], raw["endpoints"] = {}, []
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(raw))
    collectors = Collectors(bus, nats_server.url, tmp_path, samples)
    try:
        yield collectors
    finally:
        collectors.end_all()
        await server.stop(grace=0)


async def test_given_one_that_is_killed_and_one_that_joins_then_each_switch_is_polled_by_one_within_two_polls(
    collectors, needs
):
    needs("unshare", root=True)
    # given three collectors, of which nobody can see the processes of the others
    for name in "abc":
        collectors.start(name, host=name)
    before = await by_part(collectors, 2, 2, 2)
    # when one is killed
    died = time.time()
    collectors.end("a")
    # then the others poll what it polled, and no switch misses more than two polls
    after = await by_part(collectors, 3, 3)
    lost = [switch for switch in RACKS if after[switch] != before[switch]]
    assert len(lost) == 2
    late_s = collectors.late_s(died, set(RACKS) - set(lost))
    for switch in lost:
        again = next(
            s for s in collectors.samples.of(switch) if s.wall_ns / 1e9 > died and s.collector == after[switch]
        )
        assert again.wall_ns / 1e9 - died < 2 * INTERVAL_S + SLACK_S + late_s
    # when another joins, then it gets its part at once, and the rest stays where it is
    for name in "def":
        collectors.samples.all.clear()
        collectors.start(name, host=name)
        joined = await by_part(collectors, 2, 2, 2)
        moved = [switch for switch in RACKS if joined[switch] != after[switch]]
        if len(moved) == 2:
            break
        # The machine let one of the others stand still for longer than a lease lasts: that one was followed too.
        collectors.end(name)
        after = await by_part(collectors, 3, 3)
    assert len(moved) == 2
    await asyncio.sleep(INTERVAL_S)
    collectors.check_exclusive()
    stayed = {switch for switch in RACKS if joined[switch] == after[switch]}
    most_s = 2 * INTERVAL_S + SLACK_S + collectors.late_s(0.0, stayed)
    assert max(collectors.gap_s(switch) for switch in RACKS) < most_s


async def by_part(collectors: Collectors, *parts: int) -> dict[str, str]:
    """Switch to collector, once so many each have their part and each switch is polled by whose it is."""

    def is_so(owners: dict[str, str]) -> bool:
        last = {switch: got[-1].collector for switch in RACKS if (got := collectors.samples.of(switch))}
        return sorted(Counter(owners.values()).values()) == sorted(parts) and last == owners

    return await collectors.when(is_so)


async def test_given_one_that_is_stopped_then_the_others_have_its_switches_at_once(collectors):
    for name in "ab":
        collectors.start(name)
    await collectors.shared("a", "b")
    collectors.end("a", signal.SIGTERM)
    await collectors.when(lambda owners: set(owners.values()) == {"b"})
    # then nobody waited for a lease to run out
    assert collectors.last("b", "switch taken") - collectors.last("a", "switch let go") < INTERVAL_S
    await collectors.polled(dict.fromkeys(RACKS, "b"))
    collectors.check_exclusive()


async def test_given_one_that_is_paused_and_wakes_then_its_samples_are_not_mistaken_for_the_new_ones(collectors):
    for name in "ab":
        collectors.start(name)
    before = await collectors.shared("a", "b")
    collectors.send("a", signal.SIGSTOP)
    await collectors.when(lambda owners: set(owners.values()) == {"b"})
    await collectors.polled(dict.fromkeys(RACKS, "b"))
    collectors.send("a", signal.SIGCONT)
    after = await collectors.shared("a", "b")
    collectors.check_exclusive()
    assert set(after) == set(before)


async def test_given_racks_then_each_is_polled_from_within_and_by_others_where_nobody_is_there(collectors):
    collectors.start("a", "--rack", "r1")
    await collectors.when(lambda owners: owners == dict.fromkeys(RACKS, "a"))
    collectors.start("b", "--rack", "r2")
    near = {switch: "a" if rack == "r1" else "b" for switch, rack in RACKS.items()}
    await collectors.when(lambda owners: owners == near)
    collectors.end("b")
    await collectors.when(lambda owners: owners == dict.fromkeys(RACKS, "a"))
