"""What an operator asks of a running decider and tells it: why, pause, policy, dry run. Only the writers are played."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import ezpath
from decider_rig import PAIR, Decider, World
from ezpath.events import (
    DESIRED_BUCKET,
    SAGA_BUCKET,
    DryRunDecision,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
)
from ezpath.names import Tenant


@pytest.fixture
def onlooker(world: World, tmp_path: Path) -> Iterator[Decider]:
    """A second decider, for dry runs."""
    (tmp_path / "onlooker").mkdir()
    decider = Decider(world.nats, tmp_path / "onlooker")
    yield decider
    decider.stop(signal.SIGKILL)


async def why(world: World, *arguments: str) -> tuple[int, str, str]:
    return await ezpath("why", "--nats", world.nats, *arguments)


# ---- why ------------------------------------------------------------------


async def test_given_a_flow_on_the_switches_then_why_says_what_put_it_there_also_when_the_decider_has_gone(
    decider: Decider, world: World
) -> None:
    decider.start()
    world.rate_bps = 20e6
    await world.until(world.outcome("active"))
    await world.next_snapshot()
    async with asyncio.timeout(60):
        code, out, _ = await why(world, "red.red-3.red-1")
        while "no fresh word" in out:  # on a busy machine the samples may come late
            await world.next_snapshot()
            code, out, _ = await why(world, "red.red-3.red-1")
    assert code == 0
    assert out.startswith("red.red-1.red-3 is on the switches for ")
    said = {line[2:11].strip(): line[13:] for line in reversed(out.splitlines())}
    assert "Mbit/s: in from 5 for 2 polls on, out below 1 for 2 polls" in said["because"]
    assert said["saga"].startswith("active since ")
    assert said["strategy"].startswith("threshold (enter_bps 5e+06, enter_polls 2, exit_bps 1e+06")
    assert said["rank"].startswith("1 of ")
    assert said["history"].endswith("Mbit/s, the newest first") and "20.0" in said["history"]
    assert said["needs"] == "tor1: 3 of its own, 0 shared: endpoint red-1, endpoint red-3, tenant_tag red on h11"
    assert said["room"] == "tor1: endpoint 2, tenant_tag 1, all tables 3 of 1024"
    assert "in the overlay; it is to go to the switches: busy: " in out[out.index("\nbefore") :]
    # and as JSON the numbers
    code, out, _ = await why(world, "red-1", "red-3", "-o", "json")
    document = json.loads(out)
    assert code == 0
    assert document["now"]["traffic"]["bits_s"] == pytest.approx(20e6, rel=0.01)
    assert document["now"]["where"] == "switch" and document["now"]["course"]["phase"] == "active"
    assert "offload" in [account["verdict"] for account in document["before"]]
    # when there is no decider any more, then the last record is shown, with its time
    decider.stop()
    code, out, _ = await why(world, "red-1.red-3")
    assert code == 0
    assert out.startswith("No decider answers. The last record:\n\nred.red-1.red-3 is ")
    assert re.search(r"\n  at +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", out)
    assert (await why(world, "red.red-1.red-4"))[0] == 1


async def test_given_a_name_that_is_wrong_then_which_part_and_what_is_near(decider: Decider, world: World) -> None:
    decider.start()
    await world.next_snapshot()
    for flow, said in (
        ("rad.red-1.red-3", "There is no tenant rad. Is red meant?"),
        ("red.red-1.red-9", "Tenant red has no endpoint red-9. Is "),
        ("red-1.blue-1", "Red-1 and blue-1 belong to different tenants: there is no flow between them"),
    ):
        code, out, err = await why(world, flow)
        assert (code, out) == (1, "")
        assert err.startswith(said)


# ---- pause and resume -----------------------------------------------------


async def test_given_a_pause_then_no_move_until_it_is_lifted_and_a_restart_forgets_nothing(
    decider: Decider, world: World
) -> None:
    decider.start()
    await world.next_snapshot()
    code, out, _ = await ezpath("pause", "--nats", world.nats, "--rack", "r1", "--reason", "firmware")
    assert (code, out.splitlines()[0]) == (0, "paused: rack r1")
    world.rate_bps = 20e6
    for _ in range(10):
        await world.next_snapshot()
    assert not world.commands
    assert "paused: rack r1" in (await why(world, "red-1.red-3"))[1]
    # when the decider is another one
    decider.stop(signal.SIGKILL)
    decider.start()
    for _ in range(10):
        await world.next_snapshot()
    assert not world.commands
    _, out, _ = await ezpath("pause", "--nats", world.nats, "--list")
    assert "rack r1" in out and "firmware" in out
    # when it is lifted
    assert (await ezpath("resume", "--nats", world.nats, "--rack", "r1"))[0] == 0
    await world.until(world.outcome("active"))


async def test_given_a_pause_then_what_is_on_the_switches_stays_and_a_person_may_still_move_it(
    decider: Decider, world: World
) -> None:
    decider.start()
    world.rate_bps = 20e6
    await world.until(world.outcome("active"))
    assert (await ezpath("pause", "--nats", world.nats, "--tenant", "red"))[0] == 0
    world.rate_bps = 0
    for _ in range(10):
        await world.next_snapshot()
    assert not any(world.outcome("reverted")(event) for event in world.said), "idle, and left there"
    await world.bus.publish(RevertRequested(PAIR, Tenant("red"), "operator", time.time()))
    await world.until(world.outcome("reverted"))


async def test_given_a_saga_under_way_when_paused_everywhere_then_it_is_carried_through(
    decider: Decider, world: World
) -> None:
    world.answer = lambda command: None if command.phase == "host-send" else ""
    decider.start()
    world.rate_bps = 20e6
    await world.until(lambda event: isinstance(event, SagaStep) and event.phase == "host-send")
    assert (await ezpath("pause", "--nats", world.nats))[0] == 0
    decider.stop(signal.SIGKILL)
    world.answer = lambda command: ""
    decider.start()
    await world.until(world.outcome("active"))


async def test_given_names_that_nobody_has_then_nothing_is_paused(decider: Decider, world: World) -> None:
    decider.start()
    await world.next_snapshot()
    code, _, err = await ezpath("pause", "--nats", world.nats, "--rack", "r1", "--tenant", "rad")
    assert (code, err) == (1, "There is no tenant rad. Is red meant?\n")
    assert "nothing is paused" in (await ezpath("pause", "--nats", world.nats, "--list"))[1]
    code, _, err = await ezpath("resume", "--nats", world.nats)
    assert (code, err) == (1, "not paused: everywhere. See `ezpath pause --list`\n")


# ---- policy ---------------------------------------------------------------


async def test_given_a_policy_that_is_set_then_it_outdoes_the_options_until_it_is_reset(
    decider: Decider, world: World, tmp_path: Path
) -> None:
    decider.start()
    world.rate_bps = 20e6
    await world.until(world.outcome("active"))
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("strategy: value\nflows: {deny: ['red.*.*']}")
    bad.write_text("strategy: value\nbudget:\n  entries: many\n")
    code, _, err = await ezpath("policy", "set", str(bad), "--nats", world.nats)
    assert code == 1
    assert err.startswith(f"{bad}:3: budget.entries: is not a whole number. Write it in digits")
    assert (await ezpath("policy", "show", "--nats", world.nats))[1].startswith("# from the decider's options\n")
    # when a good one is set
    assert (await ezpath("policy", "set", str(good), "--nats", world.nats))[0] == 0
    await world.until(world.outcome("reverted"))
    # then it holds for the next decider too, until it is reset
    decider.stop(signal.SIGKILL)
    decider.start()
    await world.next_snapshot()
    shown = (await ezpath("policy", "show", "--nats", world.nats))[1]
    assert shown.startswith(f"# from {good}, by `ezpath policy set`\n") and "strategy: value" in shown
    assert (await ezpath("policy", "reset", "--nats", world.nats))[0] == 0
    await world.until(lambda event: isinstance(event, SagaOutcome) and event.saga.endswith(".2"))


# ---- dry run --------------------------------------------------------------


async def test_given_a_dry_run_then_it_decides_and_publishes_and_nothing_is_written(
    onlooker: Decider, world: World
) -> None:
    onlooker.start("--dry-run")
    await onlooker.until_logged("dry run: nothing is written")
    world.rate_bps = 20e6
    said = [event async for event in first(world, "ezpath.dryrun.>", 1)]
    assert isinstance(said[0], DryRunDecision) and (said[0].pair, said[0].what) == (PAIR, "offload")
    world.rate_bps = 0
    said = [event async for event in first(world, "ezpath.dryrun.>", 2)]
    assert isinstance(said[1], DryRunDecision) and said[1].what == "revert", "it took the first as done"
    tail = (await ezpath("tail", "--no-follow", "--nats", world.nats))[1]
    assert "dry run: offload" in tail
    assert not world.commands and not world.said
    assert not await world.bus.kv_items(SAGA_BUCKET) and not await world.bus.kv_items(DESIRED_BUCKET)
    code, out, _ = await why(world, "red-1.red-3", "--dry-run")
    assert code == 0 and "(dry run)" in out
    assert onlooker.stop() == 0


async def test_given_a_decider_in_charge_then_a_dry_run_beside_it_moves_nothing(
    decider: Decider, onlooker: Decider, world: World, tmp_path: Path
) -> None:
    # given one that would never move the flow, and beside it one that would
    decider.start("--enter-bps", "1e9")
    onlooker.start("--dry-run")
    await world.next_snapshot()
    world.rate_bps = 20e6
    [event async for event in first(world, "ezpath.dryrun.offload.>", 1)]
    for _ in range(10):
        await world.next_snapshot()
    assert not world.commands and not world.said
    # when a person moves it
    await world.bus.publish(OffloadRequested(PAIR, Tenant("red"), "operator", 0, time.time()))
    await world.until(world.outcome("active"))
    assert sum(isinstance(event, SagaOutcome) for event in world.said) == 1


async def first(world: World, subject: str, count: int):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(15):
        async for delivery in world.bus.follow([subject], 0):
            yield delivery.event
            count -= 1
            if not count:
                return
