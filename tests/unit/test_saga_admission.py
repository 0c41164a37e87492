"""More offloads than can be answered in time wait: how many go, who is next, and who never has to wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from ezpath.events import (
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)
from ezpath.inventory import Inventory, parse
from ezpath.names import PairId, Tenant
from ezpath.saga import (
    Admit,
    Phase,
    SagaInput,
    Settings,
    Want,
    World,
    resume,
    saga_from_json,
    saga_to_json,
    step,
    world_of,
)
from ezpath.saga.batch import Batch
from ezpath.saga.effects import Effects
from network import NETWORK

INVENTORY: Inventory = parse(NETWORK, "network.yaml")
PAIRS = [
    INVENTORY.pair(one, other).id
    for one in INVENTORY.endpoints.values()
    for other in INVENTORY.endpoints.values()
    if one.name < other.name and one.tenant == other.tenant and one.host != other.host
]
SETTINGS = Settings(under_way_most=1)


class Decider:
    """As the keeper does it: each input, and then those whose turn it is."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.world = World()
        self.now = 10.0
        self.effects: Effects = ()
        self.turns: list[Effects] = []

    def give(self, *inputs: SagaInput) -> None:
        batch = Batch()
        for event in (*inputs, Admit()):
            self.now += 1
            self.world, effects = step(self.world, event, self.now, INVENTORY, self.settings)
            self.turns.append(effects)
            batch.add(effects)
        self.effects = batch.effects

    def offload(self, pair: PairId, rate_bps: float = 1e7) -> None:
        self.give(OffloadRequested(pair, Tenant(pair.split(".")[0]), "busy", rate_bps, self.now))

    def answer(self, pair: PairId, *, ok: bool = True) -> None:
        """Everybody answers what the saga asked last."""
        asked = [e for turn in self.turns for e in turn if isinstance(e, SwitchCommand | HostCommand)]
        saga = self.world.sagas[pair]
        for command in [c for c in asked if c.pair == pair and c.generation == saga.generation]:
            target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
            self.give(StepReport(command.saga, pair, command.generation, command.phase, target, ok, "" if ok else "no"))

    def until_active(self, pair: PairId) -> None:
        for _ in range(4):
            self.answer(pair)

    @property
    def under_way(self) -> set[PairId]:
        at_rest = (Phase.REQUESTED, Phase.ACTIVE, Phase.REVERTED, Phase.ROLLED_BACK)
        return {pair for pair, saga in self.world.sagas.items() if saga.phase not in at_rest}


def said(effects: Iterable[object], pair: PairId) -> list[str]:
    return [e.reason for e in effects if isinstance(e, SagaStep) and e.pair == pair]


def test_given_more_than_may_be_then_the_rest_wait_and_ask_nothing_of_anybody() -> None:
    decider = Decider(Settings(under_way_most=2))
    for pair in PAIRS[:4]:
        decider.offload(pair)
    assert decider.under_way == set(PAIRS[:2])
    assert decider.world.sagas[PAIRS[3]].phase is Phase.REQUESTED
    assert said(decider.effects, PAIRS[3]) == ["waiting: 2 sagas are under way, 1 wait already"]
    assert not any(isinstance(effect, SwitchCommand | HostCommand | Want) for effect in decider.effects)


def test_given_room_then_a_person_is_first_and_then_the_busiest_and_then_who_came_first() -> None:
    decider = Decider()
    rates = dict(zip(PAIRS[1:6], (1e6, 9e6, 9e6, 0.0, 5e6), strict=True))
    decider.offload(PAIRS[0])
    for pair, rate in rates.items():
        decider.offload(pair, rate)
    came = [PAIRS[0]]
    for _ in rates:
        decider.until_active(came[-1])
        came += decider.under_way
    assert came == [PAIRS[0], PAIRS[4], PAIRS[2], PAIRS[3], PAIRS[5], PAIRS[1]]


def test_given_one_that_waits_then_a_revert_ends_it_at_once() -> None:
    decider = Decider()
    decider.offload(PAIRS[0])
    decider.offload(PAIRS[1])
    decider.give(RevertRequested(PAIRS[1], Tenant(PAIRS[1].split(".")[0]), "idle", decider.now))
    assert [e.outcome for e in decider.effects if isinstance(e, SagaOutcome)] == ["reverted"]
    decider.until_active(PAIRS[0])
    assert not decider.under_way


def test_given_a_saga_that_cannot_come_back_then_it_keeps_nobody_else() -> None:
    decider = Decider()
    decider.offload(PAIRS[0])
    decider.offload(PAIRS[1])
    # When a step is refused, and nobody answers to what takes it back
    decider.answer(PAIRS[0], ok=False)
    assert decider.world.sagas[PAIRS[0]].phase is Phase.SWITCH_OFF
    assert decider.world.sagas[PAIRS[1]].phase is Phase.SWITCH_RECEIVE


def test_given_one_that_takes_up_what_another_lets_go_then_the_document_is_written_all_the_same() -> None:
    # or a late removal would be as new as the document, and take it off (I1)
    decider = Decider()
    first, shared = PairId("red.red-1.red-3"), PairId("red.red-2.red-3")
    decider.offload(first)
    decider.offload(shared)
    decider.answer(first, ok=False)
    removed = {
        (command.switch, item): command.generation
        for turn in decider.turns
        for command in turn
        if isinstance(command, SwitchCommand)
        for item in command.remove
    }
    again = {key: g for key, g in removed.items() if key[1] in decider.world.holds.items(f"switch:{key[0]}")}
    assert again, "it is there as it was before"
    written = {want.target: want for turn in decider.turns[-4:] for want in turn if isinstance(want, Want)}
    for (switch, _), generation in again.items():
        assert f"switch:{switch}" in written and written[f"switch:{switch}"].generation >= generation


def test_given_another_decider_then_those_that_wait_go_on_waiting_and_have_their_turn() -> None:
    decider = Decider()
    for pair, rate in zip(PAIRS[:3], (1e6, 2e6, 3e6), strict=True):
        decider.offload(pair, rate)
    kept = [saga_from_json(saga_to_json(saga), INVENTORY) for saga in decider.world.sagas.values()]
    successor = Decider()
    successor.now = decider.now
    successor.world, effects = resume(world_of(kept), decider.now, INVENTORY, SETTINGS)
    successor.turns.append(effects)
    assert successor.under_way == {PAIRS[0]}
    successor.until_active(PAIRS[0])
    assert successor.under_way == {PAIRS[2]}
    assert successor.world.crowd == world_of(successor.world.sagas.values()).crowd


def test_given_a_record_from_before_there_were_priorities_then_it_is_read() -> None:
    decider = Decider()
    decider.offload(PAIRS[0])
    record = saga_to_json(decider.world.sagas[PAIRS[0]])
    old = record.replace(b'"rate_bps":10000000.0,', b"")
    assert old != record
    assert saga_from_json(old, INVENTORY) == replace(decider.world.sagas[PAIRS[0]], rate_bps=0.0)


@pytest.mark.parametrize("most", [1, 3])
def test_given_any_number_then_all_arrive(most: int) -> None:
    decider = Decider(Settings(under_way_most=most))
    for pair in PAIRS:
        decider.offload(pair)
    for _ in PAIRS:
        assert len(decider.under_way) <= most
        for pair in decider.under_way:
            decider.until_active(pair)
    assert {saga.phase for saga in decider.world.sagas.values()} == {Phase.ACTIVE}
