"""Several writers as processes: each switch and host has one, near where one is, and another when that one dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio
import yaml
from contract.switch_writer_rig import LOCAL, TAG, desire, until_holds
from ezpath.bus import Bus
from ezpath.events import LEASE_BUCKET
from network import NETWORK
from tor_server import P4, ServerOnly

RACKS = {
    "switch": {"tor1": "r1", "tor2": "r2"},
    "host": {"h11": "r1", "h12": "r1", "h21": "r2", "h22": "r2"},
}
"""Of :data:`network.NETWORK`."""
OPTIONS = {"switch": ("--p4-dir", str(P4)), "host": ()}


class Writers:
    """Processes of one kind, by name; each as if on a machine of its own: nobody sees another's process end."""

    def __init__(self, kind: str, bus: Bus, url: str, directory: Path) -> None:
        self.racks = RACKS[kind]
        self.terms: dict[str, list[tuple[int, str]]] = defaultdict(list)
        """By switch or host: each term of its lease, and who had it then; nobody: given up."""
        self._kind, self._bus, self._url, self._directory = kind, bus, url, directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        async for change in self._bus.kv_watch(LEASE_BUCKET, f"{self._kind}.>"):
            lease = json.loads(change.value or b"{}")
            self.terms[change.key.partition(".")[2]].append((lease["epoch"], lease["holder"]))
            self._changed.set()

    def start(self, name: str, rack: str) -> None:
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += [str(Path(sys.executable).with_name(f"ezpath-{self._kind}-writer")), "--nats", self._url]
        command += ["--inventory", str(self._directory / "network.yaml"), "--rack", rack, *OPTIONS[self._kind]]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(command, stderr=log, env=clean)

    def log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(15)

    def end_all(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def owned(self) -> dict[str, str]:
        return {thing: terms[-1][1] for thing, terms in self.terms.items()}

    async def until_shared(self, *parts: int) -> dict[str, str]:
        """Once everything has an owner, and so many owners have so many each."""
        async with asyncio.timeout(60):
            while True:
                owned = self.owned()
                owners = set(owned.values())
                counts = sorted(list(owned.values()).count(owner) for owner in owners)
                if owned.keys() == self.racks.keys() and "" not in owners and counts == sorted(parts):
                    return owned
                self._changed.clear()
                await self._changed.wait()

    def check_exclusive(self) -> None:
        """Of each thing one owner followed another, each under a later term."""
        for terms in self.terms.values():
            assert terms == sorted(terms, key=lambda each: each[0]), "terms only grow"
            holders = {(term, holder) for term, holder in terms if holder}
            assert len(holders) == len({term for term, _ in holders}), "one term, one owner"

    def near(self, owned: dict[str, str]) -> bool:
        """Whether nobody has anything of two racks."""
        racks = defaultdict(set)
        for thing, owner in owned.items():
            racks[owner].add(self.racks[thing])
        return all(len(those) == 1 for those in racks.values())


@pytest_asyncio.fixture
async def tors(tmp_path: Path) -> AsyncIterator[dict[str, ServerOnly]]:
    tors = {name: ServerOnly(tmp_path, number) for number, name in enumerate(RACKS["switch"], 1)}
    for tor in tors.values():
        await tor.start()
    network = yaml.safe_load(NETWORK)
    for name, tor in tors.items():
        network["switches"][name]["address"] = tor.address
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(network))
    yield tors
    for tor in tors.values():
        await tor.stop()


@asynccontextmanager
async def writers_of(kind: str, bus: Bus, url: str, directory: Path) -> AsyncIterator[Writers]:
    writers = Writers(kind, bus, url, directory)
    watching = asyncio.create_task(writers.watch())
    try:
        yield writers
    finally:
        watching.cancel()
        writers.end_all()
        await asyncio.gather(watching, return_exceptions=True)


async def test_given_switch_writers_in_racks_then_one_writes_each_switch_and_another_when_that_is_killed(
    bus: Bus, nats_server, tors: dict[str, ServerOnly], tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("unshare", root=True)
    async with writers_of("switch", bus, nats_server.url, tmp_path) as writers:
        # given one in the first rack, which has both switches while nobody is in the second
        writers.start("a", "r1")
        alone = await writers.until_shared(2)
        # when another comes there, then each has the switch of its own rack, and writes it
        writers.start("b", "r2")
        near = await writers.until_shared(1, 1)
        assert near["tor1"] == alone["tor1"] != near["tor2"]
        await desire(bus, 1, LOCAL, TAG)
        await until_holds(tors["tor1"], LOCAL, TAG)
        # when the first is killed, then the other has its switch as well, and writes what is wanted now
        writers.kill("a")
        left = await writers.until_shared(2)
        assert left == dict.fromkeys(near, near["tor2"])
        await desire(bus, 2, TAG)
        await until_holds(tors["tor1"], TAG)
        # and no switch ever had two
        writers.check_exclusive()


async def test_given_host_writers_in_racks_then_they_share_the_hosts_evenly_and_take_over_from_one_that_is_killed(
    bus: Bus, nats_server, tors: dict[str, ServerOnly], tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("unshare", root=True)
    async with writers_of("host", bus, nats_server.url, tmp_path) as writers:
        # given two racks of two hosts, a writer in each, and a second one in the first
        writers.start("a", "r1")
        await writers.until_shared(4)
        writers.start("b", "r2")
        assert writers.near(await writers.until_shared(2, 2))
        writers.start("c", "r1")
        shared = await writers.until_shared(1, 1, 2)
        # then each has hosts of its own rack alone, those of the first rack one each
        assert writers.near(shared)
        assert shared["h21"] == shared["h22"]
        # when the only one of the second rack is killed, then those of the first have its hosts, one each
        writers.kill("b")
        left = await writers.until_shared(2, 2)
        assert {host: left[host] for host in ("h11", "h12")} == {host: shared[host] for host in ("h11", "h12")}
        writers.check_exclusive()
