"""Several deciders that share the counting of flows, as processes, over a real NATS; some of them are killed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from cli_process import ezpath
from decider_rig import Decider, World
from ezpath.bus.bulk import Cutter, Joiner
from ezpath.events import MalformedEvent, SagaOutcome
from ezpath.names import pair_id
from hypothesis import given
from hypothesis import strategies as st

RACK_1, RACK_2 = (1, 2, 5), (3, 4)
FLOWS = [(5001, 0x020000000000 + one, 0x020000000000 + other) for one, other in product(RACK_1, RACK_2)]
PAIRS = {pair_id("red", f"red-{one}", f"red-{other}") for one, other in product(RACK_1, RACK_2)}
SLOW_S = 60


@pytest.fixture
def deciders(world: World, tmp_path: Path) -> Iterator[list[Decider]]:
    found = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        found.append(Decider(world.nats, tmp_path / str(number)))
        policy = found[-1].policy("half_life_s: 3")
        found[-1].start("--share-flows", "--shards", "2", "--interval", "0.5", "--policy", str(policy))
    yield found
    for decider in found:
        decider.stop(signal.SIGKILL)


def count(world: World, outcome: str) -> int:
    return sum(isinstance(event, SagaOutcome) and event.outcome == outcome for event in world.said)


async def until(happened, seconds: float = SLOW_S) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(0.05)


def in_charge(deciders: list[Decider]) -> Decider:
    """The one that decides: it leads the first of two shards; the flows' sagas are in the other one."""
    (found,) = [each for each in deciders if each.log.rfind("decides, with what") > each.log.rfind("decides no longer")]
    return found


@pytest.mark.timeout(300)
async def test_given_three_that_share_when_two_are_killed_then_the_flows_are_decided_as_ever(
    deciders: list[Decider], world: World
) -> None:
    # given three that share, and flows that are busy
    world.flows = FLOWS
    await until(lambda: any(_shared_among(each) == 3 for each in deciders))
    world.rate_bps = 20e6
    await until(lambda: count(world, "active") == len(PAIRS))
    assert {event.pair for event in world.said if isinstance(event, SagaOutcome)} == PAIRS
    code, out, _ = await ezpath("why", "--nats", world.nats, "red.red-1.red-3")
    assert code == 0 and "is on the switches" in out
    # when one that only counts is killed
    first = in_charge(deciders)
    victim = next(each for each in deciders if each is not first)
    victim.stop(signal.SIGKILL)
    await until(lambda: _shared_among(first) == 2)
    # then its flows stay where they are until another has counted them for long enough, and come back when idle
    assert count(world, "reverted") == 0
    world.rate_bps = 0
    await until(lambda: count(world, "reverted") == len(PAIRS))
    # when the one that decides is killed as well
    first.stop(signal.SIGKILL)
    last = next(each for each in deciders if each.process is not None)
    await until(lambda: _shared_among(last) == 1 and in_charge([last]) is last)
    world.rate_bps = 20e6
    # then the last one decides about all of them, alone
    await until(lambda: count(world, "active") == 2 * len(PAIRS))
    assert last.stop() == 0


def _shared_among(decider: Decider) -> int:
    """How many share the flows, as the one that decides says."""
    lines = [json.loads(line) for line in decider.log.splitlines() if "flows are shared anew" in line]
    return len(lines[-1]["among"]) if lines else 0


# ---- messages larger than NATS takes ---------------------------------------------


@given(st.binary(max_size=500), st.integers(40, 200))
def test_what_is_cut_is_joined_whatever_else_comes(data: bytes, most: int) -> None:
    one, other, joiner = Cutter(), Cutter(), Joiner()
    noise = list(other.cut(b"x" * 300, 60))
    pieces = list(one.cut(data, most))
    assert all(len(piece) <= most for piece in pieces)
    joined = [whole for piece in (noise[0], *reversed(pieces), noise[1]) if (whole := joiner.add(piece)) is not None]
    assert joined == [data]


def test_a_message_that_lost_a_piece_is_gone_and_the_next_is_whole() -> None:
    cutter, joiner = Cutter(), Joiner()
    first, second = list(cutter.cut(b"a" * 100, 60)), list(cutter.cut(b"b" * 100, 60))
    assert [joiner.add(piece) for piece in first[1:]] == [None] * (len(first) - 1)
    assert [joiner.add(piece) for piece in second][-1] == b"b" * 100
    for wrong in (b"", first[0][:10], first[0][:20] + b"\xff" * 8):
        with pytest.raises(MalformedEvent):
            joiner.add(wrong)
