"""Invariants I1-I5 under message loss, repetition, refusals and restarts, over many seeded random runs.

The targets here are the simplest things that keep the writers' contract: items present or absent, an item's older
generation ignored, an answer for every command. What is checked after every single step is what packets would see.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from ezpath.events import HostCommand, JsonEvent, OffloadRequested, RevertRequested, StepReport, SwitchCommand
from ezpath.inventory import Inventory
from ezpath.items import Item, ReceiveRule, SendRule, TenantTag
from ezpath.names import PairId, Tenant, VlanId
from ezpath.saga import Phase, Settings, Tick, World, resume, step
from ezpath.saga.model import saga_from_json, saga_to_json, world_of
from ezpath.saga.phases import INSTALLS
from ezpath.saga.plan import desired, steps

PAIRS = [PairId(p) for p in ("red.red-1.red-3", "red.red-1.red-4", "red.red-1.red-2", "blue.blue-1.blue-3")]
SETTINGS = Settings(step_timeout_s=3, retry_first_s=1, retry_most_s=2, drain_s=1, quarantine_s=5)
Command = SwitchCommand | HostCommand


@dataclass
class Target:
    """A writer with its switch or host, by contract."""

    name: str
    items: dict[object, Item] = field(default_factory=dict)
    generations: dict[object, int] = field(default_factory=dict)
    inbox: deque[Command] = field(default_factory=deque)
    seen: list[Command] = field(default_factory=list)

    def carry_out(self, command: Command, refuse: bool) -> StepReport:
        fresh = False
        if refuse and command.put:
            return self._report(command, ok=False, reason="RESOURCE_EXHAUSTED: full")
        for item, there in [(i, True) for i in command.put] + [(i, False) for i in command.remove]:
            if command.generation < self.generations.get(item.key, 0):
                continue
            fresh = True
            self.generations[item.key] = command.generation
            if there:
                self.items[item.key] = item
            else:
                self.items.pop(item.key, None)
        return self._report(command, ok=fresh, reason="" if fresh else "stale: a newer one was applied")

    def _report(self, command: Command, ok: bool, reason: str) -> StepReport:
        return StepReport(command.saga, command.pair, command.generation, command.phase, self.name, ok, reason)


class Simulation:
    """One seeded run. Everything that a network and a bad day do is a choice of the random generator."""

    def __init__(self, inventory: Inventory, seed: int) -> None:
        self.inventory, self.random, self.now = inventory, random.Random(seed), 0.0
        self.world = World()
        names = [f"switch:{n}" for n in inventory.switches] + [f"host:{n}" for n in inventory.hosts]
        self.targets = {name: Target(name) for name in names}
        self.reports: list[StepReport] = []
        self.trouble = True

    def give(self, event: OffloadRequested | RevertRequested | StepReport | Tick) -> None:
        self.world, events = step(self.world, event, self.now, self.inventory, SETTINGS)
        self._send(events)

    def _send(self, events: tuple[JsonEvent, ...]) -> None:
        for event in events:
            if isinstance(event, SwitchCommand):
                self.targets[f"switch:{event.switch}"].inbox.append(event)
            elif isinstance(event, HostCommand):
                self.targets[f"host:{event.host}"].inbox.append(event)

    def one_step(self) -> None:
        choice = self.random.choices(
            ("decide", "deliver", "report", "time", "repeat", "lose", "crash"),
            (4, 40, 40, 8, 4, 2, 1) if self.trouble else (0, 45, 45, 10, 0, 0, 0),
        )[0]
        getattr(self, f"_{choice}")()
        self.check()

    def _decide(self) -> None:
        pair = self.random.choice(PAIRS)
        tenant = Tenant(pair.split(".")[0])
        if self.random.random() < 0.6:
            self.give(OffloadRequested(pair, tenant, "busy", 1e7, self.now))
        else:
            self.give(RevertRequested(pair, tenant, "idle", self.now))

    def _busy_target(self) -> Target | None:
        busy = [target for target in self.targets.values() if target.inbox]
        return self.random.choice(busy) if busy else None

    def _deliver(self) -> None:
        if target := self._busy_target():
            command = target.inbox.popleft()
            target.seen.append(command)
            self.reports.append(target.carry_out(command, self.trouble and self.random.random() < 0.05))

    def _repeat(self) -> None:
        """The bus delivers an old command once more."""
        target = self.random.choice(list(self.targets.values()))
        if target.seen:
            self.reports.append(target.carry_out(self.random.choice(target.seen[-5:]), refuse=False))

    def _lose(self) -> None:
        if self.reports and self.random.random() < 0.5:
            self.reports.pop(self.random.randrange(len(self.reports)))
        elif target := self._busy_target():
            target.inbox.popleft()

    def _report(self) -> None:
        if self.reports:
            self.give(self.reports.pop(self.random.randrange(len(self.reports))))

    def _time(self) -> None:
        self.now += self.random.choice((0.1, 0.6, 1.1, 3.1))
        self.give(Tick())

    def _crash(self) -> None:
        """The decider dies; its records live on."""
        records = [saga_from_json(saga_to_json(saga)) for saga in self.world.sagas.values()]
        self.world, events = resume(world_of(records), self.now, self.inventory, SETTINGS)
        self._send(events)

    # ---- what packets would see ----

    def check(self) -> None:
        for host in self.inventory.hosts.values():
            for item in self.targets[f"host:{host.name}"].items.values():
                if isinstance(item, SendRule):
                    self._sender_has_all_it_needs(item, host.name)

    def _sender_has_all_it_needs(self, rule: SendRule, host: str) -> None:
        """I1 and I2: a tagged frame finds its tenant, its tunnel, its way out, and a host that takes it."""
        me, peer = self.inventory.by_address[(rule.vni, rule.src)], self.inventory.by_address[(rule.vni, rule.dst)]
        assert me.host == host
        here, there = self.inventory.switch_of(me), self.inventory.switch_of(peer)
        tag = self.targets[f"switch:{here.name}"].items.get(
            ("tenant-tag", self.inventory.hosts[me.host].port, rule.vid)
        )
        assert isinstance(tag, TenantTag) and tag.vni == rule.vni, f"I1/I3: {rule} on {host} is not {rule.vni}'s tag"
        for switch in {here.name, there.name}:
            assert ("endpoint", rule.vni, rule.dst) in self.targets[f"switch:{switch}"].items, (
                f"I1/I2: {rule}, {switch}"
            )
        vids = [
            i.vid
            for i in self.targets[f"host:{peer.host}"].items.values()
            if isinstance(i, ReceiveRule) and i.mac == rule.dst and i.vni == rule.vni
        ]
        out = self.targets[f"switch:{there.name}"].items[("endpoint", rule.vni, rule.dst)]
        assert getattr(out, "vid", None) in vids, f"I1: {peer.host} does not take what {rule} sends"


@pytest.mark.parametrize("seed", range(60))
def test_given_any_bad_day_then_senders_always_have_all_they_need(inventory: Inventory, seed: int) -> None:
    simulation = Simulation(inventory, seed)
    for _ in range(600):
        simulation.one_step()
    # given peace at last, then every saga comes to rest (I5) and what is installed is what is intended (I6)
    simulation.trouble = False
    for _ in range(3000):
        simulation.one_step()
        resting = all(saga.ended or saga.phase is Phase.ACTIVE for saga in simulation.world.sagas.values())
        if resting and not simulation.reports and not any(t.inbox for t in simulation.targets.values()):
            break
    assert all(saga.ended or saga.phase is Phase.ACTIVE for saga in simulation.world.sagas.values())
    for name, wanted in desired(simulation.world, inventory).items():
        assert set(simulation.targets[name].items.values()) == wanted, name


def test_given_a_pair_then_its_plan_names_each_target_it_needs(inventory: Inventory) -> None:
    pair = inventory.pair_by_id(PAIRS[0])
    assert pair is not None
    plan = steps(pair, (VlanId(100), VlanId(101)), inventory)
    assert set(plan) == set(INSTALLS)
    assert {phase: sorted(targets) for phase, targets in plan.items()} == {
        Phase.SWITCH_RECEIVE: ["switch:tor1", "switch:tor2"],
        Phase.SWITCH_SEND: ["switch:tor1", "switch:tor2"],
        Phase.HOST_RECEIVE: ["host:h11", "host:h21"],
        Phase.HOST_SEND: ["host:h11", "host:h21"],
    }
