"""A recording is enough: an engine that is given the same again decides the same, whatever the inventory did."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from ezpath.events import FlowSample
from ezpath.inventory import Inventory, parse
from ezpath.names import SwitchName, mac_to_int
from ezpath_decider.directory import directory_of, succeed
from ezpath_decider.loading import load
from ezpath_decider.places import ON_SWITCH, OVERLAY
from ezpath_decider.policy import Policy
from ezpath_decider.recording import RecordedEngine, RecordingError, Tape, replay
from ezpath_decider.sagas import Standing
from ezpath_decider.sim.recorded import Recorded
from network import NETWORK

LOUD = Policy(strategy="topk")


class Live:
    """A recorded engine in small: a second of traffic, then a round."""

    def __init__(self, inventory: Inventory) -> None:
        self.stream = io.BytesIO()
        directory = directory_of(inventory)
        self.tape = Tape(self.stream.write, directory)
        self.engine = RecordedEngine(directory, load("topk", {}), self.tape)
        LOUD.apply(self.engine, load("topk", {}))
        self.now = 1000.0
        self.inventory = inventory

    def second(self, pair: str, octets: int) -> list[str]:
        self.now += 1
        ends = self.inventory.pair_by_id(pair)  # type: ignore[arg-type]
        assert ends is not None
        number = int(self.now)
        cell = (ends.vni, mac_to_int(ends.a.mac), mac_to_int(ends.b.mac), number, octets)
        for switch in self.inventory.switches:
            columns = np.array(cell, np.uint64).reshape(5, 1)
            sample = FlowSample(
                SwitchName(switch), number, number * 10**9, number * 10**9, 1.0, *columns, collector="c"
            )
            self.engine.sample(sample, self.now)
        self.tape.policy(LOUD, self.engine.pins.paused)
        decided = self.engine.round(self.now)
        self.tape.decided(decided, self.now)
        flows = decided.candidates.flow
        for rows, state in ((decided.moves.offload, ON_SWITCH), (decided.moves.revert, OVERLAY)):
            self.engine.places.enter(flows[rows], state, self.now, self.engine.series)
        return [f"{each.what} {each.pair}" for each in decided.decisions()]

    def adopt(self, inventory: Inventory) -> None:
        self.inventory = inventory
        Standing(self.engine).adopt(*succeed(self.engine.directory, inventory))


def test_given_endpoints_that_come_and_go_then_the_replay_follows(inventory: Inventory) -> None:
    live = Live(inventory)
    decided = [live.second("red.red-1.red-3", n * 1000) for n in range(1, 5)]
    without = "\n".join(line for line in NETWORK.splitlines() if "name: red-2," not in line)
    assert without != NETWORK
    live.adopt(parse(without))
    decided += [live.second("red.red-1.red-4", n * 5000) for n in range(1, 5)]
    live.engine.forget(live.now)
    live.adopt(inventory)
    decided += [live.second("red.red-2.red-3", n * 9000) for n in range(1, 5)]
    offloads = [each for moves in decided for each in moves if each.startswith("offload")]
    assert offloads == [f"offload red.red-{pair}" for pair in ("1.red-3", "1.red-4", "2.red-3")]
    steps = list(replay(io.BytesIO(live.stream.getvalue())))
    assert [step.difference() for step in steps] == [""] * 12
    assert [[f"{each.what} {each.pair}" for each in step.again] for step in steps] == decided
    with pytest.raises(RecordingError, match="endpoints came or went"):
        Recorded(io.BytesIO(live.stream.getvalue()))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a recording"),
        (b"nothing of the kind", "not a recording"),
        (b"\x93\xb0ezpath-recording\x63\x80", "a recording of version 99, where this ezpath reads 1"),
    ],
)
def test_given_something_else_then_it_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        list(replay(io.BytesIO(data)))


def test_given_a_missing_file_then_the_command_says_so(tmp_path: Path) -> None:
    from click.testing import CliRunner
    from ezpath_decider.sim.command import command

    result = CliRunner().invoke(command, ["--replay", str(tmp_path / "none.rec")])
    assert result.exit_code == 2 and "none.rec" in result.output
