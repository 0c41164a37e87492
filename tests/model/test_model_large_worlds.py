"""The same core in a world of size: 50 hosts, 10 ToRs, three tenants with the same addresses, hundreds of pairs.

Hypothesis plays operators, policy, network and bad luck. Writers, switches and hosts are those of the explorer
(``targets.py``), with generations as they are instead of ranks, and with real time: a frame is on its way for less than
the drain, or, if something held it up, for less than the quarantine. I1 to I4 are looked at after every step, I5 and I6
at the end of each run, when there is peace.

What waits is carried out together (``batch.py``), as the keeper does it, and cut off anywhere. A leader may also be
paused there: its successor moves the fence (services/decider ``ledger.py``), so that of what it had left to do it can
still say what it had to say, if all was written before, at any later time; what it writes is refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import hypothesis
import pytest
import yaml
from ezpath.events import HostCommand, OffloadRequested, RevertRequested, SagaOutcome, StepReport, SwitchCommand
from ezpath.inventory import Inventory, parse
from ezpath.items import SendRule
from ezpath.names import PairId, Tenant
from ezpath.saga import (
    Admit,
    Effects,
    Keep,
    Phase,
    SagaInput,
    Settings,
    Tick,
    Want,
    World,
    desired,
    resume,
    saga_from_json,
    saga_to_json,
    step,
    world_of,
)
from ezpath.saga.batch import batches
from ezpath.saga.phases import AT_REST
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model.mutations import MUTATIONS
from model.packets import Network, View
from model.targets import Command, Doc, Outcome, Target
from model.writers import Host, Switch

RACKS, HOSTS_A_RACK = 10, 5
TENANTS = {"red": 5001, "blue": 5002, "green": 5003}
TIMES = Settings(under_way_most=120, step_timeout_s=5, retry_first_s=1, retry_most_s=2, drain_s=1, quarantine_s=6)


def network() -> Inventory:
    """Every tenant has an endpoint on every host, all with the same addresses; five tags for three tenants."""
    racks, hosts = range(1, RACKS + 1), range(1, HOSTS_A_RACK + 1)
    places = [(rack, host) for rack in racks for host in hosts]
    document = {
        "tenants": {name: {"vni": vni} for name, vni in TENANTS.items()},
        "switches": {
            f"tor{rack}": {
                "rack": f"r{rack}",
                "device_id": rack,
                "address": f"unix:/run/tor{rack}.sock",
                "vtep": f"10.255.0.{rack}",
                "mac": f"02:00:00:00:ff:{rack:02x}",
                "ports": [{"number": host, "address": f"10.{rack}.{host}.0"} for host in hosts]
                + [{"number": 10, "address": f"10.9.{rack}.1", "fabric": True}],
            }
            for rack in racks
        },
        "hosts": {
            f"h{rack}-{host}": {
                "switch": f"tor{rack}",
                "port": host,
                "vtep": f"10.{rack}.{host}.1",
                "ovsdb": f"unix:/run/h{rack}-{host}/db.sock",
                "vlans": {"first": 100, "last": 104},
            }
            for rack, host in places
        },
        "endpoints": [
            {
                "name": f"{tenant}-{rack}-{host}",
                "tenant": tenant,
                "mac": f"02:00:00:00:{rack:02x}:{host:02x}",
                "ip": f"10.0.{rack}.{host}",
                "host": f"h{rack}-{host}",
                "interface": f"{tenant}-{rack}-{host}",
            }
            for tenant in TENANTS
            for rack, host in places
        ],
    }
    return parse(yaml.safe_dump(document), "network.yaml")


INVENTORY = network()
NETWORK = Network(INVENTORY)
PAIRS = [
    INVENTORY.pair(one, other).id
    for tenant in TENANTS
    for one, other in combinations([e for e in INVENTORY.endpoints.values() if e.tenant == tenant], 2)
]


class LargeWorld(RuleBasedStateMachine):
    """One run."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.world = World()
        self.records: dict[PairId, bytes] = {}
        self.told: set[tuple[str, str]] = set()
        self.newest = 0
        names = desired(World(), INVENTORY)
        self.targets: dict[str, Target] = {name: Switch() if name.startswith("switch:") else Host() for name in names}
        self.sent: dict[tuple[str, int], SwitchCommand | HostCommand] = {}
        self.reports: list[StepReport] = []
        self.heard: list[StepReport] = []
        self.gone_since: dict[tuple[str, SendRule], float] = {}
        self.paused: list[Effects] = []

    # ---- what somebody wants ------------------------------------------------

    @initialize(chance=st.randoms(use_true_random=False))
    def hundreds_are_on_the_switches(self, chance: random.Random) -> None:
        self.offload(chance, 200)
        self.all_goes_well_for_a_while(12)
        assert sum(saga.phase is Phase.ACTIVE for saga in self.world.sagas.values()) >= 200

    @rule(chance=st.randoms(use_true_random=False), count=st.integers(10, 100))
    def offload(self, chance: random.Random, count: int) -> None:
        for pair in chance.sample(PAIRS, count):
            self.now += 1e-6
            self.give(OffloadRequested(pair, Tenant(pair.split(".")[0]), "busy", 1e7, self.now))

    @rule(share=st.floats(0.1, 1), chance=st.randoms(use_true_random=False))
    def revert(self, share: float, chance: random.Random) -> None:
        self.give(*self.reverts(share, chance))

    def reverts(self, share: float, chance: random.Random) -> list[SagaInput]:
        chosen = [pair for pair in sorted(self.world.sagas) if chance.random() < share]
        self.now += 1e-3
        return [RevertRequested(pair, self.world.sagas[pair].tenant, "idle", self.now) for pair in chosen]

    # ---- what the network and the writers do --------------------------------

    @rule(rounds=st.integers(1, 12))
    def all_goes_well_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            self.everybody_works()
            self.give(*self.reports)
            self.pass_time(0.05)

    @rule(chance=st.randoms(use_true_random=False), count=st.integers(1, 60))
    def all_goes_as_badly_as_it_can(self, chance: random.Random, count: int) -> None:
        for _ in range(count):
            name = chance.choice(sorted(self.targets))
            outcomes = list(self.targets[name].outcomes(1))
            if outcomes:
                self.becomes(name, chance.choice(outcomes))
            if self.reports and chance.random() < 0.8:
                report = self.reports.pop(chance.randrange(len(self.reports)))
                if chance.random() < 0.9:
                    self.give(report)

    @precondition(lambda self: self.sent)
    @rule(chance=st.randoms(use_true_random=False), count=st.integers(1, 20))
    def old_messages_come_again(self, chance: random.Random, count: int) -> None:
        for name, generation in chance.sample(sorted(self.sent), min(count, len(self.sent))):
            command = _to_model(self.sent[(name, generation)])
            self.targets[name] = self.targets[name].send(command, "is held up")
        for report in chance.sample(self.heard, min(count, len(self.heard))):
            self.give(report)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.1, 2.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(cut=st.floats(0, 1), share=st.floats(0, 0.2), chance=st.randoms(use_true_random=False), again=st.booleans())
    def the_decider_dies(self, cut: float, share: float, chance: random.Random, again: bool) -> None:
        """In the middle of what it does next; and perhaps once more in the middle of its start."""
        self.what_is_held_follows_from_the_sagas()
        self.carry_out(_cut(self.next_batch(share, chance), cut)[0])
        world, effects = self.start()
        if again:
            self.carry_out(_cut(effects, cut)[0])
            world, effects = self.start()
        self.world = world
        self.carry_out(effects)

    @rule(cut=st.floats(0, 1), share=st.floats(0, 0.2), chance=st.randoms(use_true_random=False))
    def the_leader_is_paused(self, cut: float, share: float, chance: random.Random) -> None:
        """In the middle of what it does next. Another one takes over."""
        done, left = _cut(self.next_batch(share, chance), cut)
        self.carry_out(done)
        self.paused.append(left)
        self.world, effects = self.start()
        self.carry_out(effects)

    @precondition(lambda self: self.paused)
    @rule()
    def the_paused_one_goes_on(self) -> None:
        self.carry_out(self.fenced(self.paused.pop(0)))

    def fenced(self, effects: Effects) -> Effects:
        """What the rest of ``effects`` comes to, behind a fence that was moved."""
        refused = any(isinstance(e, Want) or (isinstance(e, Keep) and not e.saga.told) for e in effects)
        return () if refused else tuple(effect for effect in effects if not isinstance(effect, Keep))

    def next_batch(self, share: float, chance: random.Random) -> Effects:
        """What the decider does about all that waits, if it gets so far. It takes no note of it here."""
        world, turns = self.world, []
        for event in (*self.reports, *self.reverts(share, chance)):
            world, effects = step(world, event, self.now, INVENTORY, TIMES)
            turns.append(effects)
        return next(iter(batches(turns))).effects

    def start(self) -> tuple[World, Effects]:
        kept = [saga_from_json(record, INVENTORY) for record in self.records.values()]
        return resume(world_of(kept), self.now, INVENTORY, TIMES)

    # ---- carrying it out ----------------------------------------------------

    def give(self, *inputs: SagaInput) -> None:
        for batch in batches(self.steps(inputs)):
            self.carry_out(batch.effects)

    def steps(self, inputs: Iterable[SagaInput]) -> Iterator[Effects]:
        for event in inputs:
            if isinstance(event, StepReport):
                self.reports = [other for other in self.reports if other is not event]
                self.heard.append(event)
            before = self.world
            self.world, effects = step(self.world, event, self.now, INVENTORY, TIMES)
            if isinstance(event, StepReport):
                self.check_report(event, before, effects)
            yield effects
        self.world, effects = step(self.world, Admit(), self.now, INVENTORY, TIMES)
        assert self.world.crowd.under_way <= TIMES.under_way_most
        yield effects

    def carry_out(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Keep():
                    self.records[effect.saga.pair] = saga_to_json(effect.saga)
                case Want():
                    doc = Doc(effect.generation, effect.items)
                    self.targets[effect.target] = self.targets[effect.target].want(doc)
                case SwitchCommand() | HostCommand():
                    name = _target(effect)
                    assert effect.generation > self.newest or (name, effect.generation) not in self.sent, "I4"
                    self.newest = max(self.newest, effect.generation)
                    self.sent[(name, effect.generation)] = effect
                    self.targets[name] = self.targets[name].send(_to_model(effect), "arrives")
                case SagaOutcome():
                    self.told.add((effect.saga, effect.outcome))

    def everybody_works(self) -> None:
        for name in self.targets:
            while outcome := next(self.targets[name].outcomes(0), None):
                self.becomes(name, outcome)

    def becomes(self, name: str, outcome: Outcome) -> None:
        before, after = self.targets[name], outcome.then
        self.targets[name] = after
        if isinstance(before, Host) and isinstance(after, Host):
            for rule in after.fresh - before.fresh:
                assert isinstance(rule, SendRule)
                self.gone_since[(name, rule)] = self.now
        if outcome.answer:
            command, verdict = self.sent[(name, outcome.answer.command.rank)], outcome.answer.verdict
            reason = {"ok": "", "stale": "stale: overtaken", "failed": "it could not"}[verdict]
            header = (command.saga, command.pair, command.generation, command.phase, name)
            self.reports.append(StepReport(*header, verdict == "ok", reason))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for (name, sent_by), since in list(self.gone_since.items()):
            target = self.targets[name]
            if self.now - since >= TIMES.drain_s:
                target = target.drained(frozenset({sent_by}))
            if self.now - since >= TIMES.quarantine_s:
                target = target.rested(frozenset({sent_by}))
                del self.gone_since[(name, sent_by)]
            self.targets[name] = target
        self.give(Tick())

    # ---- what must hold -----------------------------------------------------

    def check_report(self, report: StepReport, before: World, effects: Effects) -> None:
        saga = before.sagas.get(report.pair)
        if saga is None or (report.saga, report.generation) != (saga.id, saga.generation):
            assert self.world is before and not effects, f"I4: {report} changed {saga}"

    @invariant()
    def no_frame_is_lost_or_astray(self) -> None:
        views = {name: _view(target) for name, target in self.targets.items()}
        assert not NETWORK.findings(views), "I1, I2 or I3"

    def what_is_held_follows_from_the_sagas(self) -> None:
        """The indexes, kept up step by step, are what they would be if they were worked out from the records anew."""
        anew = world_of(self.world.sagas.values())
        for name in self.targets:
            assert dict(self.world.holds.by_target.get(name, {})) == dict(anew.holds.by_target.get(name, {}))
        for host in INVENTORY.hosts:
            assert dict(self.world.tags.by_host.get(host, {})) == dict(anew.tags.by_host.get(host, {}))
        assert self.world.crowd == anew.crowd

    def teardown(self) -> None:
        """Peace at last: then every saga comes to rest and says so, and what is installed is what is intended."""
        self.what_is_held_follows_from_the_sagas()
        while self.paused:
            self.the_paused_one_goes_on()
        for _ in range(200):
            self.everybody_works()
            self.give(*self.reports)
            self.no_frame_is_lost_or_astray()
            if all(saga.phase in AT_REST for saga in self.world.sagas.values()) and not self.reports:
                self.everybody_works()
                break
            self.pass_time(0.5)
        for pair, saga in self.world.sagas.items():
            assert saga.phase in AT_REST, f"I5: {saga}"
            assert (saga.id, saga.phase.value) in self.told, "I5: it came to rest and did not say so"
            # But for the tags at rest: each start lets them rest anew, and keeps no note of that.
            kept = replace(saga_from_json(self.records[pair], INVENTORY), rests=saga.rests)
            assert kept == saga, "what is kept is not what is known"
        for name, wanted in desired(self.world, INVENTORY).items():
            target = self.targets[name]
            assert target.installed == target.doc.items == wanted, f"I6: {name}"


def _target(command: SwitchCommand | HostCommand) -> str:
    return f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"


def _cut(effects: Effects, where: float) -> tuple[Effects, Effects]:
    count = round(where * len(effects))
    return effects[:count], effects[count:]


def _to_model(command: SwitchCommand | HostCommand) -> Command:
    return Command(command.pair, command.put, command.remove, command.generation)


def _view(target: Target) -> View:
    fresh, old = (target.fresh, target.old) if isinstance(target, Host) else (frozenset(), frozenset())
    return View(target.installed, target.lost, fresh, old)


LARGE = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
LargeWorld.TestCase.settings = LARGE
TestLargeWorlds = LargeWorld.TestCase


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["a shared entry is deleted while another pair holds it", "no drain between"])
def test_given_a_mistake_then_a_large_world_shows_it_too(name: str) -> None:
    (mutation,) = (mutation for mutation in MUTATIONS if mutation.name.startswith(name))
    only_find_it = settings(LARGE, max_examples=100, phases=[hypothesis.Phase.generate], report_multiple_bugs=False)
    with mutation.made(), pytest.raises(AssertionError, match="I1, I2 or I3"):
        run_state_machine_as_test(LargeWorld, settings=only_find_it)


class Unfenced(LargeWorld):
    """A leader that was paused writes what it had left to write."""

    def fenced(self, effects: Effects) -> Effects:
        return effects


@pytest.mark.timeout(400)
def test_given_no_fence_then_a_paused_leader_does_harm() -> None:
    only_find_it = settings(LARGE, max_examples=100, phases=[hypothesis.Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Unfenced, settings=only_find_it)
