"""The saga's transition function: order, the way back, and what does not move it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.events import (
    HostCommand,
    JsonEvent,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    SwitchCommand,
)
from ezpath.inventory import Inventory
from ezpath.items import EndpointLocal, EndpointRemote, SendRule, TenantTag
from ezpath.names import HostName, PairId, Tenant, VlanId
from ezpath.saga import (
    Effects,
    Keep,
    Phase,
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
from ezpath.saga.phases import BACKWARD, INSTALLS, TABLE, On
from ezpath.saga.vlans import Rest
from saga_support import commands, report, said

UNDO = {phase: TABLE[(phase, On.REVERT)].then for phase in (*INSTALLS, Phase.ACTIVE)}

RACKS = PairId("red.red-1.red-3")
SAME_RACK = PairId("red.red-1.red-2")
BLUE = PairId("blue.blue-1.blue-3")
SETTINGS = Settings(step_timeout_s=5, retry_first_s=1, retry_most_s=4, drain_s=1, quarantine_s=30)


class Driver:
    """Feeds the machine and keeps what it said."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.world = World()
        self.now = 1000.0
        self.said: list[JsonEvent] = []
        self.effects: Effects = ()

    def give(self, event: object) -> list[JsonEvent]:
        self.world, effects = step(self.world, event, self.now, self.inventory, SETTINGS)  # type: ignore[arg-type]
        events = said(effects)
        self.effects = effects
        self.said.extend(events)
        return events

    def offload(self, pair: PairId = RACKS) -> list[JsonEvent]:
        return self.give(OffloadRequested(pair, Tenant(pair.split(".")[0]), "test", 1e7, self.now))

    def revert(self, pair: PairId = RACKS) -> list[JsonEvent]:
        return self.give(RevertRequested(pair, Tenant(pair.split(".")[0]), "idle", self.now))

    def tick(self, seconds: float) -> list[JsonEvent]:
        self.now += seconds
        return self.give(Tick())

    def answer(self, commands: list[JsonEvent], ok: bool = True, reason: str = "") -> list[JsonEvent]:
        """Every target of ``commands`` reports."""
        events: list[JsonEvent] = []
        for command in commands:
            if isinstance(command, SwitchCommand | HostCommand):
                events += self.give(report(command, ok, reason))
        return events

    def until(self, phase: Phase, pair: PairId = RACKS) -> list[JsonEvent]:
        """Confirm step after step until ``pair`` is in ``phase``; the commands it waits for there."""
        for _ in range(20):
            saga = self.world.sagas[pair]
            asked = [c for c in commands(self.said) if c.pair == pair and c.generation == saga.generation]
            if saga.phase is phase:
                return list(asked)
            if saga.phase is Phase.DRAIN:
                self.tick(1.1)
            else:
                self.answer(list(asked))
        raise AssertionError(f"never came to {phase}")

    def phases(self) -> list[str]:
        return [event.phase for event in self.said if isinstance(event, SagaStep)]


@pytest.fixture
def driver(inventory: Inventory) -> Driver:
    return Driver(inventory)


class TestForward:
    def test_given_a_request_then_the_receive_side_of_both_tors_comes_first(self, driver: Driver) -> None:
        events = driver.offload()
        sent = commands(events)
        assert {c.switch for c in sent if isinstance(c, SwitchCommand)} == {"tor1", "tor2"}
        assert all(isinstance(item, EndpointLocal) for c in sent for item in c.put)

    def test_given_every_confirmation_then_the_order_is_the_one_that_loses_nothing(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        assert driver.phases() == [
            "requested",
            "switch-receive",
            "switch-send",
            "host-receive",
            "host-send",
            "active",
        ]
        assert driver.said[-1] == replace(driver.said[-1], outcome="active")  # type: ignore[type-var, call-arg]

    def test_given_one_of_two_confirmations_then_nothing_more_is_sent(self, driver: Driver) -> None:
        first, _second = commands(driver.offload())
        assert driver.give(report(first)) == []
        assert driver.world.sagas[RACKS].phase is Phase.SWITCH_RECEIVE

    def test_given_one_rack_then_no_tunnel_and_one_switch(self, driver: Driver) -> None:
        driver.offload(SAME_RACK)
        driver.until(Phase.ACTIVE, SAME_RACK)
        switch = [c for c in commands(driver.said) if isinstance(c, SwitchCommand)]
        assert {c.switch for c in switch} == {"tor1"}
        assert not any(isinstance(item, EndpointRemote) for c in switch for item in c.put)
        assert sum(isinstance(item, TenantTag) for c in switch for item in c.put) == 2

    def test_given_one_host_then_it_is_refused_by_name(self, driver: Driver) -> None:
        (note, outcome) = driver.offload(PairId("red.red-1.red-5"))
        assert isinstance(outcome, SagaOutcome) and outcome.outcome == "rolled-back"
        assert "h11" in outcome.reason
        assert isinstance(note, SagaStep)

    def test_given_an_unknown_pair_then_it_is_refused_by_name(self, driver: Driver) -> None:
        outcome = driver.offload(PairId("red.red-1.nobody"))[-1]
        assert isinstance(outcome, SagaOutcome) and "red.red-1.nobody" in outcome.reason

    def test_given_a_second_request_while_under_way_then_nothing_happens(self, driver: Driver) -> None:
        driver.offload()
        assert driver.offload() == []

    def test_given_two_tenants_on_one_host_then_their_tags_differ(self, driver: Driver) -> None:
        driver.offload(RACKS)
        driver.offload(BLUE)
        red, blue = (driver.world.sagas[p].vids for p in (RACKS, BLUE))
        assert red and blue and red[0] != blue[0] and red[1] != blue[1]

    def test_given_no_tag_left_then_rolled_back_with_the_host_named(self, inventory: Inventory) -> None:
        driver = Driver(inventory)
        driver.offload(RACKS)
        # given that on h11 other tenants' tags, in use or at rest, take the other two of 100-102
        tags = [Rest(HostName("h11"), VlanId(vid), Tenant("green"), driver.now + 9) for vid in (101, 102)]
        resting = replace(driver.world.sagas[RACKS], pair=PairId("green.a.b"), phase=Phase.REVERTED, sides=None)
        driver.world = driver.world.with_saga(replace(resting, tenant=Tenant("green"), rests=tuple(tags)))
        outcome = driver.offload(BLUE)[-1]
        assert isinstance(outcome, SagaOutcome) and outcome.outcome == "rolled-back"
        assert "h11" in outcome.reason and "VLAN" in outcome.reason
        # when they have rested, then there is one
        driver.tick(9.1)
        driver.offload(BLUE)
        assert driver.world.sagas[BLUE].vids == (101, 101)


class TestBack:
    def test_given_a_revert_then_hosts_stop_sending_first_and_switches_come_last(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        driver.said.clear()
        driver.revert()
        driver.until(Phase.REVERTED)
        assert driver.phases() == ["host-send-off", "drain", "host-receive-off", "switch-off", "reverted"]
        first, last = commands(driver.said)[0], commands(driver.said)[-1]
        assert all(isinstance(item, SendRule) for item in first.remove)
        assert isinstance(last, SwitchCommand) and last.remove and not last.put

    def test_given_a_drain_then_nothing_is_removed_before_it_is_over(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        driver.revert()
        driver.until(Phase.DRAIN)
        assert driver.tick(0.5) == []
        assert [c.phase for c in commands(driver.tick(0.6))] == ["host-receive-off"] * 2

    @pytest.mark.parametrize("phase", [p for p in UNDO if p is not Phase.ACTIVE])
    def test_given_a_failure_in_any_phase_then_it_is_undone_in_reverse(self, driver: Driver, phase: Phase) -> None:
        driver.offload()
        asked = commands(driver.until(phase))
        events = driver.give(report(asked[0], ok=False, reason="RESOURCE_EXHAUSTED: table endpoint is full"))
        assert isinstance(events[0], SagaStep) and events[0].phase == UNDO[phase].value
        driver.said = list(events)
        driver.until(Phase.ROLLED_BACK)
        outcome = driver.said[-1]
        assert isinstance(outcome, SagaOutcome) and "table endpoint is full" in outcome.reason
        assert all(not items for items in desired(driver.world, driver.inventory).values())

    @pytest.mark.parametrize("phase", [p for p in UNDO if p is not Phase.ACTIVE])
    def test_given_silence_in_any_phase_then_the_deadline_undoes_it_and_names_who(
        self, driver: Driver, phase: Phase
    ) -> None:
        driver.offload()
        asked = commands(driver.until(phase))
        for command in asked[1:]:
            driver.give(report(command))
        assert driver.tick(4.9) == []
        events = driver.tick(0.2)
        assert isinstance(events[0], SagaStep) and events[0].phase == UNDO[phase].value
        assert report(asked[0]).target in events[0].reason

    def test_given_a_host_that_cannot_be_reached_then_the_way_back_waits_and_says_so(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        asked = commands(driver.revert())
        driver.give(report(asked[0]))
        # when the other host is silent for long
        for _ in range(50):
            events = driver.tick(5)
            # then its tunnel's entries stay, and it alone is asked again
            assert driver.world.sagas[RACKS].phase is Phase.HOST_SEND_OFF
            assert desired(driver.world, driver.inventory)["switch:tor1"]
            for command in commands(events):
                assert isinstance(command, HostCommand) and command.host == "h21"
        assert any(isinstance(e, SagaStep) and "host:h21" in e.reason for e in driver.said)
        # when it answers, then the saga ends
        driver.until(Phase.REVERTED)

    def test_given_a_failed_step_on_the_way_back_then_it_is_asked_again(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        asked = commands(driver.revert())
        (note,) = driver.give(report(asked[0], ok=False, reason="ovs-ofctl: connection refused"))
        assert isinstance(note, SagaStep) and "connection refused" in note.reason
        assert [c.phase for c in commands(driver.tick(1.1))] == ["host-send-off"] * 2

    def test_given_a_revert_before_active_then_it_ends_reverted(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.HOST_RECEIVE)
        driver.said = driver.revert()
        driver.until(Phase.REVERTED)


class TestShared:
    def test_given_a_shared_endpoint_then_the_first_revert_leaves_what_the_other_needs(self, driver: Driver) -> None:
        other = PairId("red.red-1.red-4")
        driver.offload()
        driver.until(Phase.ACTIVE)
        driver.said.clear()
        driver.offload(other)
        driver.until(Phase.ACTIVE, other)
        before = desired(driver.world, driver.inventory)["switch:tor1"]
        driver.said.clear()
        driver.revert()
        driver.until(Phase.REVERTED)
        sent = [c for c in commands(driver.said) if isinstance(c, SwitchCommand) and c.switch == "tor1"]
        removed = {item for c in sent for item in c.remove}
        assert removed
        kept = desired(driver.world, driver.inventory)["switch:tor1"]
        assert kept < before
        assert not removed & kept
        assert any(isinstance(item, TenantTag) for item in kept)

    def test_given_a_tag_let_go_then_another_tenant_waits_for_it_and_its_own_does_not(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        mine = driver.world.sagas[RACKS].vids
        driver.revert()
        driver.until(Phase.REVERTED)
        driver.offload(BLUE)
        theirs = driver.world.sagas[BLUE].vids
        assert mine and theirs and not set(mine) & set(theirs)
        driver.offload()
        assert driver.world.sagas[RACKS].vids == mine

    def test_given_the_quarantine_is_over_then_the_tag_is_anybodys(self, driver: Driver) -> None:
        driver.offload()
        driver.until(Phase.ACTIVE)
        mine = driver.world.sagas[RACKS].vids
        driver.revert()
        driver.until(Phase.REVERTED)
        driver.tick(31)
        driver.offload(BLUE)
        assert driver.world.sagas[BLUE].vids == mine


class TestUnmoved:
    def test_given_a_late_report_of_an_older_generation_then_nothing_changes(self, driver: Driver) -> None:
        asked = commands(driver.offload())
        driver.answer(list(asked))
        before = driver.world
        assert driver.give(report(asked[0])) == []
        assert driver.give(report(asked[0], ok=False, reason="late")) == []
        assert driver.world == before

    def test_given_a_repeated_report_then_it_counts_once(self, driver: Driver) -> None:
        asked = commands(driver.offload())
        driver.give(report(asked[0]))
        driver.give(report(asked[0]))
        assert driver.world.sagas[RACKS].phase is Phase.SWITCH_RECEIVE

    def test_given_a_stale_answer_then_the_step_is_asked_again_under_a_new_generation(self, driver: Driver) -> None:
        asked = commands(driver.offload())
        again = commands(driver.give(report(asked[0], ok=False, reason="stale: generation 9 was applied")))
        assert {c.phase for c in again} == {"switch-receive"}
        assert all(c.generation > asked[0].generation for c in again)
        driver.said = list(again)
        driver.until(Phase.ACTIVE)

    def test_given_a_revert_of_nothing_then_nothing_happens(self, driver: Driver) -> None:
        assert driver.revert() == []

    def test_given_a_request_that_is_delivered_again_later_then_nothing_happens(self, driver: Driver) -> None:
        asked = OffloadRequested(RACKS, Tenant("red"), "busy", 1e7, at=7.0)
        back = RevertRequested(RACKS, Tenant("red"), "idle", at=8.0)
        driver.give(asked)
        driver.until(Phase.ACTIVE)
        driver.give(back)
        driver.until(Phase.REVERTED)
        # when the bus brings the old request again, after all is over
        assert driver.give(asked) == []
        # and the old revert, when the pair is on the switches once more
        driver.give(replace(asked, at=9.0))
        driver.until(Phase.ACTIVE)
        assert driver.give(back) == []
        assert driver.world.sagas[RACKS].phase is Phase.ACTIVE


class TestEffects:
    """In which order they come: whoever carries them out may die after each of them."""

    def test_given_any_turn_then_records_come_first_then_desired_states_then_what_is_said(self, driver: Driver) -> None:
        driver.offload()
        kinds = [type(effect) for effect in driver.effects]
        assert kinds == [Keep, Want, Want, SagaStep, SagaStep, SwitchCommand, SwitchCommand]
        (kept,) = (effect.saga for effect in driver.effects if isinstance(effect, Keep))
        wants = [effect for effect in driver.effects if isinstance(effect, Want)]
        assert {c.generation for c in commands(driver.effects)} == {kept.generation} == {w.generation for w in wants}

    def test_given_an_outcome_then_the_record_says_that_it_was_told_only_afterwards(self, driver: Driver) -> None:
        driver.offload()
        last = commands(driver.until(Phase.HOST_SEND))[-1]
        driver.answer(driver.until(Phase.HOST_SEND)[:1])
        driver.give(report(last))
        kinds = [(type(e), e.saga.told if isinstance(e, Keep) else None) for e in driver.effects]
        assert kinds == [(Keep, False), (SagaStep, None), (SagaOutcome, None), (Keep, True)]

    def test_given_one_of_two_confirmations_then_nothing_is_written(self, driver: Driver) -> None:
        first = commands(driver.offload())[0]
        driver.give(report(first))
        assert driver.effects == ()


class TestRestart:
    @pytest.mark.parametrize("phase", [*UNDO, *sorted(BACKWARD)])
    def test_given_a_crash_in_any_phase_then_the_records_carry_it_to_an_end(self, driver: Driver, phase: Phase) -> None:
        driver.offload()
        if phase in BACKWARD:
            driver.until(Phase.ACTIVE)
            driver.said = driver.revert()
        driver.until(phase)
        # when the decider is gone and only its records are left
        records = [saga_from_json(saga_to_json(saga), driver.inventory) for saga in driver.world.sagas.values()]
        assert records == list(driver.world.sagas.values())
        driver.world, effects = resume(world_of(records), driver.now, driver.inventory, SETTINGS)
        assert driver.world.generation >= max(saga.generation for saga in records)
        driver.said = said(effects)
        # then the saga goes on from there
        driver.until(Phase.REVERTED if phase in BACKWARD else Phase.ACTIVE)
