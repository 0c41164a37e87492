"""A real decider records what it hears and decides; replayed, the same engine decides the same, one by one.

NATS, the decider, the samples on the wire and the recording are real; the writers are played by their contract.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from cli_process import ezpath
from decider_rig import PAIR, Decider, World
from ezpath.events import HostCommand, OffloadRequested, RevertRequested, SwitchCommand, SwitchTables, TableUse
from ezpath.names import SwitchName
from ezpath.samples import decode_sample, encode_sample
from ezpath_decider.loading import load
from ezpath_decider.recording import RecordingError, replay
from ezpath_decider.sim.recorded import Recorded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "live.rec"


async def busy_life(decider: Decider, world: World, file: Path) -> None:
    """Offloads, a full table, a policy that changes, reverts: all that an engine can be told of."""
    full = {"now": False}

    def answer(command: SwitchCommand | HostCommand) -> str:
        refused = full["now"] and isinstance(command, SwitchCommand) and bool(command.put)
        return "RESOURCE_EXHAUSTED: table endpoint is full: 4 entries" if refused else ""

    world.answer = answer
    policy = decider.policy("strategy: threshold\nsettings: {enter_bps: 5e6, enter_polls: 2}\nretry_after_s: 0.1")
    decider.start("--policy", str(policy), "--record", str(file))
    await world.next_snapshot()
    await world.bus.publish(SwitchTables(SwitchName("tor2"), time.time(), (TableUse("endpoint", 100, 1),)))
    world.rate_bps = 20e6
    await world.until(world.outcome("active"))
    world.rate_bps = 0
    await world.until(world.outcome("reverted"))
    full["now"] = True
    world.rate_bps = 30e6
    await world.until(world.outcome("rolled-back"))
    full["now"] = False
    decider.policy("strategy: value\nretry_after_s: 0.1\nflows: {deny: ['red.*.*']}")
    await decider.until_logged("policy changed")
    for _ in range(5):
        await world.next_snapshot()
    assert decider.stop() == 0


async def published(world: World) -> list[tuple[str, str, str]]:
    """The decisions as everybody saw them."""
    kinds = {OffloadRequested: "offload", RevertRequested: "revert"}
    return [
        (kinds[type(each.event)], each.event.pair, each.event.reason)  # type: ignore[index, union-attr]
        async for each in world.bus.history(["ezpath.decision.>"], None)
    ]


async def test_given_a_recording_then_the_replay_decides_what_was_decided_live(
    decider: Decider, world: World, file: Path
) -> None:
    await busy_life(decider, world, file)
    with file.open("rb") as stream:
        steps = list(replay(stream))
    # then every round decides the same: which flow, where to, why, at what rate
    assert [step.difference() for step in steps if not step.same] == []
    again = [(each.what, each.pair, each.reason) for step in steps for each in step.again]
    assert again == await published(world), "and it is what was published"
    assert [what for what, _, _ in again][:3] == ["offload", "revert", "offload"]
    assert {pair for _, pair, _ in again} == {PAIR}
    code, said, _ = await ezpath("sim", "--replay", str(file))
    assert code == 0 and said.endswith(f"{len(steps)} rounds with {len(again)} decisions: all the same again\n")

    # when something is not as it was, then the round is named
    doubled = change(file, "sample", lambda now, data: [now, twice(data)])
    code, said, _ = await ezpath("sim", "--replay", str(doubled))
    assert code == 1 and "rounds differ" in said and f"decided offload {PAIR}" in said
    untold = change(file, "enter", lambda *values: None)
    assert (await ezpath("sim", "--replay", str(untold)))[0] == 1

    # and another strategy may be tried on what was heard
    with file.open("rb") as stream:
        tried = [each.what for step in replay(stream, load("pinned", {})) for each in step.again]
    assert "offload" not in tried and "revert" in tried

    # and the traffic is good for the simulator
    with file.open("rb") as stream:
        traffic = Recorded(stream)
    assert traffic.interval_s == pytest.approx(0.1, rel=0.5)
    sent = [traffic.next() for _ in range(len(steps))]
    assert max(float(each.octets.sum()) for each in sent) / traffic.interval_s == pytest.approx(30e6 / 8, rel=0.5)

    # and what was cut off by a kill is read up to there
    with pytest.raises(RecordingError, match="not a recording"):
        list(replay(io.BytesIO(b"\x93\x01\x02\x03")))
    assert 0 < len(list(replay(io.BytesIO(half(file))))) < len(steps)


async def test_given_pins_that_come_and_go_then_the_replay_follows_them(
    decider: Decider, world: World, file: Path
) -> None:
    decider.start("--record", str(file))
    await world.next_snapshot()
    # given a silent pair pinned to the switches, unpinned, and pinned to the hosts while it is loud
    assert (await ezpath("pin", PAIR, "--nats", world.nats, "--reason", "nightly copy"))[0] == 0
    await world.until(world.outcome("active"))
    assert (await ezpath("unpin", PAIR, "--nats", world.nats))[0] == 0
    await world.until(world.outcome("reverted"))
    assert (await ezpath("pin", PAIR, "--to", "hosts", "--nats", world.nats))[0] == 0
    await decider.until_logged('"to": "hosts"')
    world.rate_bps = 20e6
    for _ in range(5):
        await world.next_snapshot()
    assert decider.stop() == 0

    # when it is replayed, then the same is decided, in the same rounds
    with file.open("rb") as stream:
        steps = list(replay(stream))
    assert [step.difference() for step in steps if not step.same] == []
    assert [each.what for step in steps for each in step.again] == ["offload", "revert"]

    # and the pins are what made it so: without them, the silent pair stays and the loud one goes
    def without_pins(text: str, *paused: object) -> list[object]:
        return [json.dumps({**json.loads(text), "flows": {}}), *paused]

    with change(file, "policy", without_pins).open("rb") as stream:
        differ = [step for step in replay(stream) if not step.same]
    assert [each.what for each in differ[0].live] == ["offload"] and not differ[0].again
    assert "offload" in [each.what for step in differ for each in step.again]


async def test_given_a_place_that_cannot_be_written_then_nothing_is_started(
    decider: Decider, world: World, tmp_path: Path
) -> None:
    decider.start("--record", str(tmp_path / "nowhere" / "live.rec"))
    assert decider.process is not None
    assert await asyncio.to_thread(decider.process.wait, 20) == 2
    assert f"--record {tmp_path}/nowhere/live.rec: cannot be written: No such file or directory. Give" in decider.log
    assert "nothing was started" in decider.log and '"ready"' not in decider.log


def change(file: Path, kind: str, how: Callable[..., list[object] | None]) -> Path:
    """The recording with all messages of a kind as ``how`` has them; None takes them out."""
    changed = file.with_name(f"changed-{kind}.rec")
    with file.open("rb") as stream, changed.open("wb") as out:
        for name, *values in msgpack.Unpacker(stream, strict_map_key=False):
            new = how(*values) if name == kind else values
            if new is not None:
                out.write(msgpack.packb([name, *new]))
    return changed


def half(file: Path) -> bytes:
    """What there is of it after a kill."""
    whole = file.read_bytes()
    return whole[: len(whole) // 2]


def twice(data: bytes) -> bytes:
    """A sample that says double."""
    sample = decode_sample(data)
    sample.bytes[:] *= 2
    return encode_sample(sample)
