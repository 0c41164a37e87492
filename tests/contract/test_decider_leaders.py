"""Several deciders as processes, against a real NATS: who leads, who takes over, and what a stale leader can do.

The writers are played by the test: they hold what they are told, by generation, and say so. What is left installed at
the end is compared with what the sagas' records and the desired documents say.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pytest
import pytest_asyncio
import yaml
from ezpath.bus import Bus, Delivery
from ezpath.desired import host_from_json, switch_from_json
from ezpath.events import (
    DESIRED_BUCKET,
    LEASE_BUCKET,
    SAGA_BUCKET,
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)
from ezpath.items import Item
from ezpath.names import PairId, Tenant
from ezpath.shards import Shard
from network import NETWORK

pytestmark = pytest.mark.timeout(300)  # processes are started again and again, and a machine may be busy
Command = SwitchCommand | HostCommand
TENANTS = ("red", "blue", "green", "amber", "violet", "pink", "grey", "black")
TAKES_OVER_S = 20.0
"""From the end of a leader to the end of all sagas that were under way, at the most, on a busy machine."""


def network() -> str:
    """Two racks, and tenants with an endpoint on each of the four hosts: two pairs each."""
    raw = yaml.safe_load(NETWORK)
    raw["tenants"] = {name: {"vni": 5001 + number} for number, name in enumerate(TENANTS)}
    for host in raw["hosts"].values():
        host["vlans"] = {"first": 100, "last": 163}
    raw["endpoints"] = [
        {
            "name": f"{tenant}-{index}",
            "tenant": tenant,
            "mac": f"02:00:00:00:00:0{index}",
            "ip": f"10.0.0.{index}",
            "host": host,
            "interface": f"{tenant}{index}",
        }
        for tenant in TENANTS
        for index, host in enumerate(("h11", "h12", "h21", "h22"), 1)
    ]
    return yaml.safe_dump(raw)


PAIRS = tuple(PairId(f"{tenant}.{tenant}-{a}.{tenant}-{a + 2}") for tenant in TENANTS for a in (1, 2))


class Deciders:
    """Processes, started and ended by name."""

    def __init__(self, nats: str, directory: Path) -> None:
        self._nats = nats
        self._directory = directory
        self._inventory = directory / "network.yaml"
        self._inventory.write_text(network())
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *options: str) -> None:
        binary = Path(sys.executable).parent / "ezpath-decider"
        always = ("--nats", self._nats, "--inventory", str(self._inventory), "--drain-s", "0.1", *options)
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen([str(binary), *always], stderr=log)

    async def stand_by(self) -> None:
        """All that were started know who leads: only then can one follow another in the time that is promised."""
        async with asyncio.timeout(60):
            while not all('"event": "ready"' in self.log(name) for name in self._running):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)

    def send(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        process = self._running.pop(name)
        process.send_signal(number)
        if number is signal.SIGKILL:
            return process.wait(10)
        return process.wait(15)

    async def ends(self, name: str) -> int:
        return await asyncio.to_thread(self._running[name].wait, 60)

    def name_of(self, instance: str) -> str:
        """``instance`` is the name in a lease: it ends in the process id."""
        pid = int(instance.rpartition("-")[2])
        return next(name for name, process in self._running.items() if process.pid == pid)

    def is_running(self, name: str) -> bool:
        return self._running[name].poll() is None

    def log(self, name: str) -> str:
        return self._log(name).read_text()

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def end_all(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


@dataclass
class Network:
    """What writers, switches and hosts are to the deciders: a place for items, by the newest generation."""

    bus: Bus
    answers: Callable[[Command], bool] = lambda command: True
    installed: dict[str, set[Item]] = field(default_factory=dict)
    newest: dict[tuple[str, object], int] = field(default_factory=dict)
    generations: dict[tuple[int, int], str] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    outcomes: list[SagaOutcome] = field(default_factory=list)
    steps: list[SagaStep] = field(default_factory=list)

    async def on_commands(self, batch: list[Delivery[Command]]) -> None:
        for command in (delivery.event for delivery in batch):
            self._note_generation(command)
            if not self.answers(command):
                continue
            target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
            stale = [
                i for i in (*command.put, *command.remove) if command.generation < self.newest.get((target, i.key), 0)
            ]
            if not stale:
                held = self.installed.setdefault(target, set())
                held |= set(command.put)
                held -= set(command.remove)
                self.newest |= {(target, i.key): command.generation for i in (*command.put, *command.remove)}
            reason = "stale: a newer generation has spoken" if stale else ""
            report = StepReport(
                command.saga, command.pair, command.generation, command.phase, target, not reason, reason
            )
            await self.bus.publish(report)

    def _note_generation(self, command: Command) -> None:
        """A generation belongs to one step of one saga."""
        key, step = (command.shard, command.generation), f"{command.saga} {command.phase}"
        if self.generations.setdefault(key, step) != step:
            self.reused.append(f"{key}: {self.generations[key]}, and {step}")

    async def listen(self) -> None:
        async for delivery in self.bus.follow(["ezpath.saga.>"], 0):
            match delivery.event:
                case SagaOutcome():
                    self.outcomes.append(delivery.event)
                case SagaStep():
                    self.steps.append(delivery.event)

    async def offload(self, pairs: tuple[PairId, ...] = PAIRS) -> None:
        for pair in pairs:
            await self.bus.publish(OffloadRequested(pair, Tenant(pair.split(".")[0]), "test", 0, time.time()))

    async def revert(self, pairs: tuple[PairId, ...] = PAIRS) -> None:
        for pair in pairs:
            await self.bus.publish(RevertRequested(pair, Tenant(pair.split(".")[0]), "test", time.time()))

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            await asyncio.sleep(0.02)

    async def all_ended(self, outcome: str, seconds: float = 40) -> None:
        await self.until(
            lambda: {o.pair for o in self.outcomes if o.outcome == outcome} == set(PAIRS),
            f"all {outcome}; yet: {Counter(o.outcome for o in self.outcomes)}",
            seconds,
        )

    async def in_phase(self, phase: str, pairs: int) -> None:
        await self.until(lambda: len({s.pair for s in self.steps if s.phase == phase}) >= pairs, f"{pairs} in {phase}")

    async def leaders(self) -> dict[int, str]:
        """Shard to the instance that holds its lease."""
        found = await self.bus.kv_items(LEASE_BUCKET)
        leases = {key: json.loads(value) for key, (value, _) in found.items() if key.startswith("shard.")}
        return {int(key.partition(".")[2]): lease["holder"] for key, lease in leases.items() if lease["holder"]}

    async def until_led(
        self, shards: int, holders: Callable[[Counter[str]], bool] = bool, seconds: float = 60
    ) -> dict[int, str]:
        """Each shard has a leader, and they are spread as ``holders`` wants it."""
        deadline = time.monotonic() + seconds
        while True:
            leaders = await self.leaders()
            if len(leaders) == shards and holders(Counter(leaders.values())):
                return leaders
            assert time.monotonic() < deadline, f"led by {leaders}"
            await asyncio.sleep(0.1)

    async def assert_as_recorded(self, *, empty: bool) -> None:
        """I6, and I4: what is installed is what the documents say, and no generation was given out twice."""
        wanted: dict[str, set[Item]] = {}
        for key, (value, _) in (await self.bus.kv_items(DESIRED_BUCKET)).items():
            kind, name, *_ = key.split(".")
            items = switch_from_json(value).items if kind == "switch" else host_from_json(value).items
            wanted.setdefault(f"{kind}:{name}", set()).update(items)
        assert {t: items for t, items in self.installed.items() if items} == {t: i for t, i in wanted.items() if i}
        assert any(wanted.values()) is not empty
        assert not self.reused
        # The record that says so comes a moment behind the outcome.
        deadline = time.monotonic() + 5
        while untold := await self._untold():
            assert time.monotonic() < deadline, f"the outcome is not told: {untold}"
            await asyncio.sleep(0.1)

    async def _untold(self) -> list[str]:
        records = await self.bus.kv_items(SAGA_BUCKET)
        return [key for key, (value, _) in records.items() if not json.loads(value)["told"]]


@pytest.fixture
def deciders(nats_server: object, tmp_path: Path) -> Iterator[Deciders]:
    deciders = Deciders(nats_server.url, tmp_path)  # type: ignore[attr-defined]
    yield deciders
    deciders.end_all()


@asynccontextmanager
async def running(*coroutines: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(c) for c in coroutines]  # type: ignore[call-overload]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def net(bus: Bus) -> AsyncIterator[Network]:
    net = Network(bus)
    kinds: tuple[type[Command], ...] = (SwitchCommand, HostCommand)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            running(bus.consume("test-writers", "ezpath.command.>", kinds, net.on_commands), net.listen())
        )
        yield net


@pytest.mark.parametrize("phase", ["switch-receive", "host-send", "host-send-off", "switch-off"])
async def test_given_a_leader_killed_in_the_middle_then_the_other_ends_all_sagas(
    deciders: Deciders, net: Network, phase: str
) -> None:
    # given sagas that wait in the phase where the leader is to die
    back = phase.endswith("off")
    deciders.start("one")
    deciders.start("other")
    await deciders.stand_by()
    leader = deciders.name_of((await net.until_led(1))[0])
    if back:
        await net.offload()
        await net.all_ended("active")
    net.answers = lambda command: command.phase != phase or crc32(command.pair.encode()) % 3 == 0
    await (net.revert() if back else net.offload())
    await net.in_phase(phase, len(PAIRS))
    # when it is killed, and the writers answer again
    deciders.end(leader)
    died = time.monotonic()
    net.answers = lambda command: True
    # then the other one ends them all, as they were to end
    await net.all_ended("reverted" if back else "active", TAKES_OVER_S - (time.monotonic() - died))
    await asyncio.sleep(0.5)
    await net.assert_as_recorded(empty=back)


async def test_given_a_leader_that_stops_then_the_other_leads_within_a_beat_or_two(
    deciders: Deciders, net: Network
) -> None:
    deciders.start("one")
    deciders.start("other")
    await deciders.stand_by()
    leader = deciders.name_of((await net.until_led(1))[0])
    await net.offload()
    assert deciders.end(leader, signal.SIGTERM) == 0
    await net.all_ended("active", TAKES_OVER_S)
    await net.assert_as_recorded(empty=False)
    assert deciders.name_of((await net.leaders())[0]) != leader


async def test_given_a_leader_that_is_paused_then_its_writes_are_refused_and_it_follows(
    deciders: Deciders, net: Network
) -> None:
    # given a leader that is stopped while sagas are under way, for longer than its lease and their steps last
    deciders.start("one", "--step-timeout-s", "5")
    deciders.start("other", "--step-timeout-s", "5")
    await deciders.stand_by()
    paused = deciders.name_of((await net.until_led(1))[0])
    other = "other" if paused == "one" else "one"
    net.answers = lambda command: command.phase != "host-receive"
    await net.offload()
    await net.in_phase("host-receive", len(PAIRS))
    deciders.send(paused, signal.SIGSTOP)
    stopped = time.monotonic()
    # when the other one has taken over, ended them, and brought half of them back
    net.answers = lambda command: True
    await net.all_ended("active", TAKES_OVER_S - (time.monotonic() - stopped))
    await net.revert(PAIRS[::2])
    await net.until(lambda: sum(o.outcome == "reverted" for o in net.outcomes) == len(PAIRS) // 2, "half reverted")
    # and it goes on where it was: all deadlines have passed, so that it is about to undo what the other one has done
    await asyncio.sleep(max(0.0, stopped + 6 - time.monotonic()))
    deciders.send(paused, signal.SIGCONT)
    await net.until(lambda: re.search("shard (lost|let go)", deciders.log(paused)), "the paused one notices")
    assert "put refused" in deciders.log(paused)
    await asyncio.sleep(1.5)
    # then nothing of what it thought was done, and it stands by
    assert deciders.name_of((await net.leaders())[0]) == other
    assert Counter(o.outcome for o in net.outcomes) == {"active": len(PAIRS), "reverted": len(PAIRS) // 2}
    await net.assert_as_recorded(empty=False)
    # and takes over when its turn comes
    deciders.end(other)
    await net.revert(PAIRS[1::2])
    await net.all_ended("reverted", TAKES_OVER_S)
    await net.assert_as_recorded(empty=True)


async def test_given_a_store_that_was_lost_then_the_leader_writes_what_it_knows(
    deciders: Deciders, net: Network, nats_server: object
) -> None:
    # given pairs on the switches, and a NATS that comes back with nothing
    deciders.start("one")
    await net.offload(PAIRS[:2])
    await net.until(lambda: len(net.outcomes) == 2, "active")
    nats_server.stop()  # type: ignore[attr-defined]
    nats_server.wipe()  # type: ignore[attr-defined]
    nats_server.start()  # type: ignore[attr-defined]
    # when one of them is to come back, by the same leader and then by another
    await net.revert(PAIRS[:1])
    await net.until(lambda: len(net.outcomes) == 3, "reverted")
    deciders.end("one")
    deciders.start("other")
    await net.revert(PAIRS[1:2])
    await net.until(lambda: len(net.outcomes) == 4, "reverted")
    # then the records of both were there
    assert [o.outcome for o in net.outcomes] == ["active", "active", "reverted", "reverted"]
    await net.assert_as_recorded(empty=True)


async def test_given_four_shards_then_they_are_spread_over_the_deciders_that_are_alive(
    deciders: Deciders, net: Network, nats_server: object
) -> None:
    # given three deciders
    for name in ("one", "two", "three"):
        deciders.start(name, "--shards", "4")
    await deciders.stand_by()
    leaders = await net.until_led(4, lambda counts: sorted(counts.values()) == [1, 1, 2])
    assert len({Shard(number, 4).has(Tenant("red")) for number in range(4)}) == 2, "each tenant is in one of them"
    # when pairs of all tenants go to the switches, and NATS is restarted in between
    await net.offload()
    await net.in_phase("switch-send", 3)
    nats_server.stop()  # type: ignore[attr-defined]
    await asyncio.sleep(1)
    nats_server.start()  # type: ignore[attr-defined]
    await net.all_ended("active", 30)
    # then each is led to its end by its own shard's leader, whose tags are its own
    await net.assert_as_recorded(empty=False)
    for key, (value, _) in (await net.bus.kv_items(SAGA_BUCKET)).items():
        shard = next(Shard(n, 4) for n in range(4) if Shard(n, 4).has_pair(PairId(key)))
        assert {side["vid"] % 4 for side in json.loads(value)["sides"]} == {shard.number}
    # when one dies, the others share what it led; when one joins, it gets its part
    deciders.end(deciders.name_of(leaders[0]))
    await net.until_led(4, lambda counts: sorted(counts.values()) == [2, 2])
    deciders.start("four", "--shards", "4")
    await net.until_led(4, lambda counts: sorted(counts.values()) == [1, 1, 2])
    await net.revert()
    await net.all_ended("reverted", 20)
    await net.assert_as_recorded(empty=True)
    assert len({generation[0] for generation in net.generations}) == 4, "all four shards have spoken"


async def test_given_another_number_of_shards_then_refused_until_nothing_is_under_way(
    deciders: Deciders, net: Network
) -> None:
    deciders.start("one", "--shards", "2")
    await net.until_led(2)
    await net.offload(PAIRS[:1])
    await net.until(lambda: len(net.outcomes) == 1, "active")
    # while another one leads
    deciders.start("other", "--shards", "3")
    assert await deciders.ends("other") == 2
    assert "this NATS account has 2" in deciders.log("other") and "leads by it" in deciders.log("other")
    # while a pair is on the switches
    assert deciders.end("one", signal.SIGTERM) == 0
    deciders.start("other", "--shards", "3")
    assert await deciders.ends("other") == 2
    assert f"pairs are on the switches or on their way, 1 of them: {PAIRS[0]}" in deciders.log("other")
    # and when all is back, it is so from then on, and requests of before are not carried out again
    deciders.start("one", "--shards", "2")
    await net.revert(PAIRS[:1])
    await net.until(lambda: len(net.outcomes) == 2, "reverted")
    assert deciders.end("one", signal.SIGTERM) == 0
    deciders.start("other", "--shards", "3")
    await net.until_led(3)
    await net.offload(PAIRS[1:2])
    await net.until(lambda: len(net.outcomes) == 3, "active")
    assert [o.pair for o in net.outcomes] == [PAIRS[0], PAIRS[0], PAIRS[1]]
    await net.assert_as_recorded(empty=False)
