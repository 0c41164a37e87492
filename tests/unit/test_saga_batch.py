"""What waits is carried out together, and nobody can tell: the order, what is written once, what ends a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from ezpath.desired import Desired, key_of, keys_of, place_of, union
from ezpath.events import OffloadRequested, RevertRequested, SagaOutcome, StepReport, SwitchCommand
from ezpath.inventory import Inventory, parse
from ezpath.items import TenantTag
from ezpath.names import PairId, Port, Tenant, VlanId, Vni
from ezpath.saga import Effects, Keep, Phase, SagaInput, Settings, Want, World, step
from ezpath.saga.batch import batches
from ezpath.saga.effects import Command
from ezpath.shards import WHOLE, Shard
from network import NETWORK

INVENTORY: Inventory = parse(NETWORK, "network.yaml")
FIRST, SECOND = PairId("red.red-1.red-3"), PairId("red.red-2.red-3")


class Core:
    """The machine, asked for one thing after the other; effects are kept apart for each."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.world = World()
        self.now = 10.0
        self.turns: list[Effects] = []

    def give(self, *inputs: SagaInput) -> None:
        for event in inputs:
            self.now += 1
            self.world, effects = step(self.world, event, self.now, INVENTORY, self.settings)
            self.turns.append(effects)

    def offload(self, pair: PairId) -> None:
        self.give(OffloadRequested(pair, Tenant("red"), "busy", 1e7, self.now))

    def revert(self, pair: PairId) -> None:
        self.give(RevertRequested(pair, Tenant("red"), "idle", self.now))

    def confirm(self, pair: PairId) -> None:
        """All that the saga waits for."""
        for command in [c for c in _commands(self.turns[-1]) if c.pair == pair]:
            target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
            self.give(StepReport(command.saga, pair, command.generation, command.phase, target, True))

    def until_active(self, pair: PairId) -> None:
        self.offload(pair)
        for _ in range(4):
            self.confirm(pair)


def _commands(effects: Iterable[object]) -> list[Command]:
    return [e for e in effects if isinstance(e, Command)]


def _records(effects: Effects) -> list[tuple[PairId, str, bool]]:
    return [(e.saga.pair, e.saga.phase.value, e.saga.told) for e in effects if isinstance(e, Keep)]


def test_given_sagas_that_move_on_then_each_record_and_document_is_written_once_and_before_what_is_said() -> None:
    core = Core()
    core.offload(FIRST)
    core.offload(SECOND)
    core.confirm(SECOND)
    (batch,) = batches(core.turns)
    effects = batch.effects
    assert _records(effects) == [(FIRST, "switch-receive", False), (SECOND, "switch-send", False)]
    wants = [e for e in effects if isinstance(e, Want)]
    assert len({w.target for w in wants}) == len(wants)
    assert all(w.items == core.world.holds.items(w.target) for w in wants)
    written = [isinstance(e, Keep | Want) for e in effects]
    assert written == sorted(written, reverse=True), "all that is written before all that is said"
    assert [c.generation for c in _commands(effects)] == [c.generation for turn in core.turns for c in _commands(turn)]
    assert max(c.generation for c in _commands(effects)) <= max(
        e.saga.generation for e in effects if isinstance(e, Keep)
    )


def test_given_an_outcome_then_its_record_says_told_only_behind_it() -> None:
    core = Core()
    core.until_active(FIRST)
    (batch,) = batches(core.turns)
    effects = batch.effects
    assert _records(effects) == [(FIRST, "active", False), (FIRST, "active", True)]
    assert [type(effect) for effect in effects[-2:]] == [SagaOutcome, Keep]


def test_given_a_saga_that_goes_on_after_its_outcome_then_that_is_another_batch() -> None:
    # or a crash in between would leave a record that has forgotten the outcome
    core = Core()
    core.until_active(FIRST)
    core.revert(FIRST)
    core.offload(SECOND)
    first, second = batches(core.turns)
    assert [e.outcome for e in first.effects if isinstance(e, SagaOutcome)] == ["active"]
    assert _records(first.effects)[-1] == (FIRST, "active", True)
    assert [pair for pair, _, _ in _records(second.effects)] == [FIRST, SECOND]


def test_given_one_that_ended_then_what_others_hold_is_known_before_that() -> None:
    # it may have left an item because another one holds it; were only the end known, nobody would hold the item
    core = Core()
    core.until_active(FIRST)
    core.offload(SECOND)
    ended = replace(core.world.sagas[FIRST], phase=Phase.REVERTED)
    (batch,) = batches([(Keep(ended),), (Keep(core.world.sagas[SECOND]),)])
    assert [saga.pair for saga in batch.records] == [SECOND, FIRST]


def test_given_nothing_then_nothing_is_carried_out() -> None:
    (batch,) = batches([(), ()])
    assert batch.effects == ()


# ---- shards --------------------------------------------------------------------


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_given_shards_then_each_tenant_and_each_vlan_id_is_in_one(of: int) -> None:
    shards = [Shard(number, of) for number in range(of)]
    for tenant in ("red", "blue", "green", "tenant-4711"):
        assert sum(shard.has(Tenant(tenant)) for shard in shards) == 1
        assert sum(shard.has_pair(PairId(f"{tenant}.a.b")) for shard in shards) == 1
    ids = sorted(vid for shard in shards for vid in shard.vlan_ids(100, 163))
    assert ids == list(range(100, 164))


def test_given_one_shard_of_many_then_its_tags_are_its_own_and_its_commands_say_so() -> None:
    of = 3
    shard = next(Shard(number, of) for number in range(of) if Shard(number, of).has(Tenant("red")))
    core = Core(Settings(shard=shard))
    core.offload(FIRST)
    vids = core.world.sagas[FIRST].vids
    assert vids is not None and {vid % of for vid in vids} == {shard.number}
    assert {command.shard for command in _commands(core.turns[-1])} == {shard.number}


def test_given_more_shards_than_vlan_ids_then_the_refusal_says_so() -> None:
    core = Core(Settings(shard=Shard(9, 50)))
    core.offload(FIRST)
    assert core.world.sagas[FIRST].reason == "no VLAN id is free on host h11"


def test_given_documents_of_several_shards_then_a_target_ought_to_hold_all_of_them() -> None:
    one, other = (TenantTag(Port(1), VlanId(vid), Vni(vid)) for vid in (100, 101))
    documents = {
        key_of("switch:tor1", 0): Desired(7, frozenset({one})),
        key_of("switch:tor1", 2): Desired(3, frozenset({other})),
    }
    assert list(documents) == ["switch.tor1", "switch.tor1.2"] and keys_of("switch:tor1") == (
        "switch.tor1",
        "switch.tor1.>",
    )
    assert [place_of(key).shard for key in documents] == [0, 2]
    assert union(documents.values()).items == {one, other}
    assert WHOLE.number == 0
