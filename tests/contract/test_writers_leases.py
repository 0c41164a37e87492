"""Several writers, one owner of each switch and host: who takes over, and that the one before writes nothing more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from contract.host_writer_rig import RECEIVE, SEND, Commander, HostWriter, installed, until_ok
from contract.ovs_machine import OvsMachine
from contract.switch_writer_rig import TOR1, inventory_with
from ezpath.bus import Bus
from ezpath.events import LEASE_BUCKET
from ezpath.items import HostItem
from ezpath.leases import Deposed
from ezpath_switch_writer.program import load_program
from ezpath_switch_writer.writer import SwitchWriter
from tor_server import P4, ServerOnly

pytest_plugins = ["contract.ovs_fixture", "contract.host_writer_fixture"]


@pytest_asyncio.fixture
async def tor(tmp_path: Path) -> AsyncIterator[ServerOnly]:
    tor = ServerOnly(tmp_path)
    await tor.start()
    yield tor
    await tor.stop()


def switch_writer(bus: Bus, tor: ServerOnly, term: int) -> SwitchWriter:
    inventory = inventory_with(tor)
    return SwitchWriter(inventory.switches[TOR1], inventory, load_program(P4, "ezpath"), bus, term=term)


async def test_the_writer_of_a_later_term_has_the_switch_whatever_the_clocks_say(bus, tor):
    # given a writer whose clock is far ahead
    earlier = switch_writer(bus, tor, 1)
    earlier._election_id += 10**12
    writing = asyncio.create_task(earlier.run())
    await asyncio.wait_for(earlier.in_sync.wait(), 20)
    # when the lease is another's, then that one writes at once, and the first stands by
    later = switch_writer(bus, tor, 2)
    taking_over = asyncio.create_task(later.run())
    await asyncio.wait_for(later.in_sync.wait(), 20)
    async with asyncio.timeout(20):
        while earlier.condition.told().state != "standby":  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0.02)
    # and where nobody has the switch, the first knows from the switch itself that it is no longer its own
    taking_over.cancel()
    await asyncio.gather(taking_over, return_exceptions=True)
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(writing, 20)
    (deposed,) = raised.value.exceptions
    assert isinstance(deposed, Deposed) and deposed.epoch == 2


class HostWriters:
    """Processes, by their process id, for one inventory."""

    def __init__(self, writer: HostWriter, bus: Bus, directory: Path) -> None:
        self._command, self._bus, self._directory = writer.command, bus, directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        with (self._directory / "writers.log").open("ab") as log:
            process = subprocess.Popen(self._command, stderr=log, env=clean)
        self.running[str(process.pid)] = process

    async def owners(self, true: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Host to process id, once that is ``true``."""
        deadline = time.monotonic() + 60
        while True:
            found = await self._bus.kv_items(LEASE_BUCKET, "host.*")
            holders = {key.removeprefix("host."): json.loads(value)["holder"] for key, (value, _) in found.items()}
            owners = {host: holder.rpartition("-")[2] for host, holder in holders.items()}
            if true(owners):
                return owners
            assert time.monotonic() < deadline, f"{owners}; {(self._directory / 'writers.log').read_text()}"
            await asyncio.sleep(0.05)

    def end_all(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


async def wanted(commander: Commander, *items: HostItem) -> None:
    """As the decider does before it sends a command: so that a command that comes again is known to be old."""
    commander.generation += 1
    await commander.want("h1", items, commander.generation)


async def test_given_host_writers_then_one_that_is_paused_is_followed_and_harms_nobody_when_it_wakes(
    machine: OvsMachine, writer: HostWriter, bus: Bus, commander: Commander, tmp_path: Path
):
    writers = HostWriters(writer, bus, tmp_path)
    try:
        # given two, each of which has a host
        writers.start()
        writers.start()
        before = await writers.owners(lambda owners: set(owners.values()) == set(writers.running))
        await wanted(commander, RECEIVE, SEND)
        await until_ok(commander, "h1", put=(RECEIVE, SEND))
        # when the one of h1 is paused, then the other has it within the time of a lease, and does as it is told
        paused = writers.running[before["h1"]]
        paused.send_signal(signal.SIGSTOP)
        other = next(pid for pid in writers.running if pid != before["h1"])
        await writers.owners(lambda owners: owners["h1"] == other)
        await wanted(commander, RECEIVE)
        await until_ok(commander, "h1", remove=(SEND,))
        left = installed(machine)
        # and when it wakes, what was written stands, and it has its part of the hosts again
        paused.send_signal(signal.SIGCONT)
        await writers.owners(lambda owners: set(owners.values()) == set(writers.running))
        assert installed(machine) == left
        await wanted(commander, RECEIVE, SEND)
        await until_ok(commander, "h1", put=(SEND,))
        # and one that is stopped is followed at once
        writers.running.pop(other).terminate()
        await writers.owners(lambda owners: set(owners.values()) == set(writers.running))
    finally:
        writers.end_all()
