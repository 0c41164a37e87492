"""A saga's record in KV: what a restart makes of it, and of those that older deciders wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ezpath.events import OffloadRequested, RevertRequested, SagaOutcome, SagaStep
from ezpath.inventory import Inventory, parse
from ezpath.names import PairId, Tenant
from ezpath.saga import (
    Keep,
    Phase,
    Saga,
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
from network import NETWORK
from saga_support import commands, report, run_to_active

RED = PairId("red.red-1.red-3")
BLUE = PairId("blue.blue-1.blue-3")
SETTINGS = Settings()
VERSION_1 = {
    "pair": RED,
    "tenant": "red",
    "attempt": 3,
    "phase": "active",
    "goal": "active",
    "generation": 41,
    "requested_at": 1000.0,
    "entered_at": 1001.0,
    "deadline": None,
    "waiting": [],
    "tries": 0,
    "vids": [100, 101],
    "reason": "busy",
}
"""As the first version of the decider wrote it."""


def reverted(world: World, inventory: Inventory, pair: PairId, now: float = 0.0) -> World:
    """``pair`` is asked back, every step confirmed, drain and all."""
    world, effects = step(world, RevertRequested(pair, world.sagas[pair].tenant, "idle", now), now, inventory, SETTINGS)
    while not world.sagas[pair].ended:
        pending = commands(effects)
        effects = ()
        for command in pending:
            world, more = step(world, report(command), now, inventory, SETTINGS)
            effects += more
        if world.sagas[pair].phase is Phase.DRAIN:
            drained = replace(world.sagas[pair], deadline=now)
            world, effects = step(world.with_saga(drained), Tick(), now, inventory, SETTINGS)
    return world


def restarted(world: World, inventory: Inventory, now: float) -> World:
    """Only the records are left, in the order that KV happens to give."""
    records = [saga_from_json(saga_to_json(saga), inventory) for saga in world.sagas.values()]
    return resume(world_of(records), now, inventory, SETTINGS)[0]


def granted(world: World, inventory: Inventory, pair: PairId, now: float) -> Saga:
    tenant = Tenant(pair.split(".")[0])
    return step(world, OffloadRequested(pair, tenant, "busy", 1e7, now), now, inventory, SETTINGS)[0].sagas[pair]


class TestFormat:
    def test_given_a_record_then_it_is_read_back_as_it_was_written(self, inventory: Inventory) -> None:
        for saga in run_to_active(inventory, RED).sagas.values():
            assert saga_from_json(saga_to_json(saga), inventory) == saga
            assert json.loads(saga_to_json(saga))["v"] == 2

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"phase": "upside-down"}, "phase"),
            ({"generation": "seven"}, "generation"),
            ({"v": 3}, "version 3"),
            ({"v": True}, "version True"),
            ({"sides": [{"host": "h11"}, {"host": "h21"}]}, "sides"),
        ],
    )
    def test_given_a_damaged_record_then_the_error_says_where(
        self, inventory: Inventory, change: dict[str, Any], words: str
    ) -> None:
        (saga,) = run_to_active(inventory, RED).sagas.values()
        record = json.loads(saga_to_json(saga)) | change
        with pytest.raises(ValueError, match=words):
            saga_from_json(json.dumps(record).encode(), inventory)

    @pytest.mark.parametrize(
        "record", [b"", b"[1]", b"7", b'{"v":2}', b'{"vids":7,"pair":"red.red-1.red-3"}', b"\xff", b"[" * 99999]
    )
    def test_given_what_is_no_record_then_an_error_and_no_more(self, inventory: Inventory, record: bytes) -> None:
        with pytest.raises(ValueError):
            saga_from_json(record, inventory)


class TestVersion1:
    def test_given_an_active_pair_then_the_inventory_says_what_was_installed(self, inventory: Inventory) -> None:
        saga = saga_from_json(json.dumps(VERSION_1).encode(), inventory)
        assert saga.vids == (100, 101) and saga.told and saga.phase is Phase.ACTIVE
        assert len(desired(world_of([saga]), inventory)["switch:tor1"]) == 3

    def test_given_an_ended_one_then_its_tags_rest(self, inventory: Inventory) -> None:
        saga = saga_from_json(json.dumps(VERSION_1 | {"phase": "reverted"}).encode(), inventory)
        world = resume(world_of([saga]), 2000.0, inventory, SETTINGS)[0]
        assert granted(world, inventory, BLUE, 2000.0).vids == (101, 100)

    def test_given_a_pair_that_the_inventory_no_longer_has_then_the_error_says_what_to_do(
        self, inventory: Inventory
    ) -> None:
        record = VERSION_1 | {"pair": "red.red-1.red-9"}
        with pytest.raises(ValueError, match=r"red\.red-1\.red-9\. Put its endpoints back"):
            saga_from_json(json.dumps(record).encode(), inventory)


class TestRests:
    """I3 across restarts: what the explorer found no way around, and the first version of the core did."""

    def test_given_a_refused_attempt_and_a_restart_then_the_tag_of_the_attempt_before_still_rests(
        self, inventory: Inventory
    ) -> None:
        world = reverted(run_to_active(inventory, RED), inventory, RED)
        # given an attempt that is refused at once, and leaves a record of its own
        refused = OffloadRequested(RED, Tenant("blue"), "by mistake", 0, 1.0)
        world, _ = step(world, refused, 1.0, inventory, SETTINGS)
        assert world.sagas[RED].phase is Phase.ROLLED_BACK
        world = restarted(world, inventory, 2.0)
        assert granted(world, inventory, BLUE, 3.0).vids == (101, 101)

    def test_given_a_tag_that_two_tenants_had_then_after_a_restart_it_rests_for_both(
        self, inventory: Inventory
    ) -> None:
        world = reverted(run_to_active(inventory, RED), inventory, RED)
        later = 100.0
        world, effects = step(world, OffloadRequested(BLUE, Tenant("blue"), "", 0, later), later, inventory, SETTINGS)
        assert world.sagas[BLUE].vids == (100, 100), "red's tag has rested, and is anybody's"
        while pending := commands(effects):
            effects = ()
            for command in pending:
                world, more = step(world, report(command), later, inventory, SETTINGS)
                effects += more
        world = restarted(reverted(world, inventory, BLUE, later), inventory, later + 1)
        # then red does not get it while blue's frames may be under way, whatever its own old record says
        assert granted(world, inventory, RED, later + 2).vids == (101, 101)
        assert granted(world, inventory, BLUE, later + 2).vids == (101, 101)
        assert granted(world, inventory, RED, later + 40).vids == (100, 100)


class TestRestart:
    def test_given_a_crash_before_the_outcome_was_published_then_the_next_start_tells_it(
        self, inventory: Inventory
    ) -> None:
        (saga,) = run_to_active(inventory, RED).sagas.values()
        world, effects = resume(world_of([replace(saga, told=False)]), 5.0, inventory, SETTINGS)
        assert [e.outcome for e in effects if isinstance(e, SagaOutcome)] == ["active"]
        assert world.sagas[RED].told
        # and not once more
        _, effects = resume(world, 6.0, inventory, SETTINGS)
        assert not [e for e in effects if isinstance(e, SagaOutcome | SagaStep | Keep)]

    def test_given_any_start_then_every_target_s_desired_state_is_written(self, inventory: Inventory) -> None:
        _, effects = resume(run_to_active(inventory, RED), 5.0, inventory, SETTINGS)
        wanted = {effect.target for effect in effects if isinstance(effect, Want)}
        assert wanted == set(desired(World(), inventory))

    def test_given_a_clock_that_was_set_back_then_nothing_lies_in_the_future(self, inventory: Inventory) -> None:
        world = reverted(run_to_active(inventory, RED), inventory, RED, now=5000.0)
        saga = resume(world, 100.0, inventory, SETTINGS)[0].sagas[RED]
        assert saga.entered_at <= 100.0 and saga.requested_at <= 100.0
        assert all(rest.until == 100.0 + SETTINGS.quarantine_s for rest in saga.rests)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda text: text.replace("host: h21, interface: red3", "host: h22, interface: red3"), "elsewhere"),
            (lambda text: "\n".join(line for line in text.splitlines() if "red-3" not in line), "no longer has"),
        ],
        ids=["moved", "gone"],
    )
    def test_given_an_endpoint_that_moved_or_went_then_what_was_installed_is_taken_off_in_order(
        self, inventory: Inventory, change: Any, words: str
    ) -> None:
        before = run_to_active(inventory, RED)
        installed = desired(before, inventory)
        now = parse(change(NETWORK), "network.yaml")
        world, effects = resume(before, 5.0, now, SETTINGS)
        assert world.sagas[RED].phase is Phase.HOST_SEND_OFF and words in world.sagas[RED].reason
        assert {c.host for c in commands(effects) if hasattr(c, "host")} == {"h11", "h21"}
        # and the switches keep what those hosts may still send, though the inventory would not have put it there
        assert desired(world, now)["switch:tor2"] == installed["switch:tor2"]
