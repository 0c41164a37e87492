"""The decider as a process, against a real NATS: samples in, sagas through, a kill in the middle.

The writers are played by the test, by their contract; the decider, the bus and the records are real.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time

import pytest
from decider_rig import PAIR, Decider, World
from ezpath.bus import FENCE
from ezpath.events import (
    DESIRED_BUCKET,
    SAGA_BUCKET,
    DeadLetter,
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    SwitchTables,
    TableUse,
)
from ezpath.names import SwitchName, Tenant


async def test_given_a_busy_pair_that_goes_idle_then_it_is_offloaded_and_comes_back(
    decider: Decider, world: World
) -> None:
    decider.start()
    world.rate_bps = 20e6
    await world.until(world.outcome("active"))
    desired = await world.bus.kv_get(DESIRED_BUCKET, "switch.tor1")
    assert desired is not None and len(json.loads(desired[0])["items"]) == 3
    assert any(line.where == "switch" for line in (await world.next_snapshot()).flows)
    world.rate_bps = 0
    await world.until(world.outcome("reverted"))
    phases = [event.phase for event in world.said if isinstance(event, SagaStep)]
    assert phases[:6] == ["requested", "switch-receive", "switch-send", "host-receive", "host-send", "active"]
    assert phases[6:11] == ["host-send-off", "drain", "host-receive-off", "switch-off", "reverted"]
    assert decider.stop() == 0


async def test_given_a_switch_that_refuses_then_rolled_back_and_left_alone(decider: Decider, world: World) -> None:
    world.answer = lambda command: (
        "RESOURCE_EXHAUSTED: table endpoint is full" if command.phase == "switch-send" else ""
    )
    decider.start()
    world.rate_bps = 20e6
    outcome = await world.until(world.outcome("rolled-back"))
    assert isinstance(outcome, SagaOutcome) and "table endpoint is full" in outcome.reason
    await asyncio.sleep(1)
    assert sum(isinstance(event, SagaOutcome) for event in world.said) == 1, "not tried again at once"
    assert not any(isinstance(command, HostCommand) for command in world.commands), "no host was touched"


@pytest.mark.parametrize("phase", ["switch-send", "host-send", "drain", "switch-off"])
async def test_given_a_kill_in_the_middle_then_the_next_decider_finishes_it(
    decider: Decider, world: World, phase: str
) -> None:
    # given that nobody answers in the phase where the decider is to die
    world.answer = lambda command: None if command.phase == phase else ""
    decider.start()
    world.rate_bps = 20e6
    if phase in ("drain", "switch-off"):
        await world.until(world.outcome("active"))
        world.rate_bps = 0
    await world.until(lambda event: isinstance(event, SagaStep) and event.phase == phase)
    # when it is killed and another one starts, and the writers answer again
    decider.stop(signal.SIGKILL)
    world.answer = lambda command: ""
    decider.start()
    # then the saga ends as it was to end
    await world.until(world.outcome("reverted" if phase in ("drain", "switch-off") else "active"))


async def test_given_records_of_an_older_decider_then_they_are_taken_up_and_generations_go_on(
    decider: Decider, world: World
) -> None:
    # given an active pair as version 1 of the record had it, and a record that nobody understands
    old = {"pair": PAIR, "tenant": "red", "attempt": 1, "phase": "active", "goal": "active", "generation": 41}
    old |= {"requested_at": 1.0, "entered_at": 2.0, "deadline": None, "waiting": [], "tries": 0, "vids": [101, 102]}
    await world.bus.kv_put_cas(SAGA_BUCKET, PAIR, json.dumps(old).encode(), None)
    await world.bus.kv_put_cas(SAGA_BUCKET, "red.x.y", b'{"v":9,"generation":99}', None)
    decider.start()
    await world.next_snapshot()
    await world.bus.publish(RevertRequested(PAIR, Tenant("red"), "operator", time.time()))
    await world.until(world.outcome("reverted"))
    assert min(command.generation for command in world.commands) > 99
    removed = [item for command in world.commands for item in command.remove]
    assert {item.vid for item in removed if hasattr(item, "vid")} == {101, 102}
    kept = await world.bus.kv_get(SAGA_BUCKET, "red.x.y")
    assert kept is not None and kept[0] == b'{"v":9,"generation":99}', "what is not understood is left alone"


async def test_given_malformed_events_then_dead_letters_and_work_goes_on(decider: Decider, world: World) -> None:
    decider.start()
    await world.next_snapshot()
    client = await world.bus._link.client(5)
    await client.publish("ezpath.samples.tor1", b"\xc1 not msgpack")
    await client.jetstream().publish("ezpath.report.switch.tor1", b'{"v":1,"type":"step-report","saga":7}')
    await client.jetstream().publish("ezpath.decision.offload.x.y.z", b"[")
    letters = {
        subject: await world.until(lambda e, s=subject: isinstance(e, DeadLetter) and e.subject == s)  # type: ignore[misc]
        for subject in ("ezpath.samples.tor1", "ezpath.report.switch.tor1", "ezpath.decision.offload.x.y.z")
    }
    assert all(isinstance(letter, DeadLetter) and letter.reason for letter in letters.values())
    await world.bus.publish(OffloadRequested(PAIR, Tenant("red"), "operator", 0, time.time()))
    await world.until(world.outcome("active"))


async def test_given_somebody_who_moved_the_fence_then_nothing_is_written_until_it_leads_anew(
    decider: Decider, world: World
) -> None:
    # given a saga under way, and somebody who says that he leads, of a later epoch
    decider.start()
    world.answer = lambda command: None
    await world.bus.publish(OffloadRequested(PAIR, Tenant("red"), "operator", 0, time.time()))
    await world.until(lambda event: isinstance(event, SagaStep) and event.phase == "switch-receive")
    fence = await world.bus.kv_get(SAGA_BUCKET, f"{FENCE}0")
    assert fence is not None
    moved = json.loads(fence[0]) | {"epoch": 40, "holder": "somebody"}
    await world.bus.kv_put_cas(SAGA_BUCKET, f"{FENCE}0", json.dumps(moved).encode(), fence[1])
    before = await world.bus.kv_get(SAGA_BUCKET, PAIR)
    # when the saga is to go on
    world.answer = lambda command: ""
    await world.bus.publish(RevertRequested(PAIR, Tenant("red"), "operator", time.time()))
    # then it says who is in the way, writes nothing, and begins anew in a later epoch, for the lease is its own
    await decider.until_logged("somebody leads shard 0 of 1, in epoch 40")
    await world.until(world.outcome("reverted"))
    fence, after = await world.bus.kv_get(SAGA_BUCKET, f"{FENCE}0"), await world.bus.kv_get(SAGA_BUCKET, PAIR)
    assert fence is not None and json.loads(fence[0])["epoch"] == 41
    assert before is not None and after is not None and json.loads(after[0])["attempt"] == 1
    assert decider.process is not None and decider.process.poll() is None


async def test_given_a_policy_that_changes_then_it_holds_without_a_restart(decider: Decider, world: World) -> None:
    file = decider.policy("strategy: value\nflows: {deny: ['red.*.*']}")
    decider.start("--policy", str(file))
    world.rate_bps = 20e6
    for _ in range(15):
        snapshot = await world.next_snapshot()
    assert [line.where for line in snapshot.flows] == ["overlay"], "denied, however busy"
    decider.policy("strategy: none-such")
    await decider.until_logged("no strategy is called 'none-such'")
    decider.policy("strategy: value")
    await world.until(world.outcome("active"))
    decider.policy("strategy: pinned")
    await world.until(world.outcome("reverted"))
    assert decider.stop() == 0


async def test_given_a_bad_policy_at_the_start_then_nothing_is_started(decider: Decider, world: World) -> None:
    decider.start("--policy", str(decider.policy("budget: {entries: many}")))
    assert decider.process is not None
    assert await asyncio.to_thread(decider.process.wait, 15) == 2
    assert "policy.yaml:1: budget.entries: is not a whole number" in decider.log


async def test_given_a_switch_whose_table_is_small_then_it_is_asked_for_no_more(decider: Decider, world: World) -> None:
    decider.start()
    await world.next_snapshot()
    full = SwitchTables(SwitchName("tor2"), time.time(), (TableUse("endpoint", 2, 1),))
    for _ in range(3):
        await world.bus.publish(full)
    world.rate_bps = 20e6
    for _ in range(15):
        await world.next_snapshot()
    assert not world.commands, "one entry is somebody else's, and a flow needs two"
    roomy = SwitchTables(SwitchName("tor2"), time.time(), (TableUse("endpoint", 3, 1),))
    await world.bus.publish(roomy)
    await world.until(world.outcome("active"))


async def test_given_a_table_that_is_full_all_the_same_then_no_loop_of_errors(decider: Decider, world: World) -> None:
    world.answer = lambda command: (
        "RESOURCE_EXHAUSTED: table endpoint is full: 4 entries"
        if command.put and command.phase == "switch-send"
        else ""
    )
    decider.start("--retry-after-s", "0.1")
    world.rate_bps = 20e6
    await world.until(world.outcome("rolled-back"))
    for _ in range(40):
        await world.next_snapshot()
    assert sum(isinstance(event, SagaOutcome) for event in world.said) == 1
