"""A minute of chaos as CI runs it: every promise kept, nothing left behind. At length: ``make chaos``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ezpath_lab import lab, net, state
from ezpath_lab.chaos.plan import KINDS
from ezpath_lab.topology import two_racks

pytestmark = [pytest.mark.root, pytest.mark.lab, pytest.mark.timeout(420)]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path, needs: Callable[..., None]) -> Iterator[Path]:
    needs(*lab.TOOLS, "clang", root=True)
    yield tmp_path
    lab.remove(tmp_path, two_racks())


def _chaos(directory: Path, *options: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("ezpath-lab")
    return subprocess.Popen(
        [program, "--state", directory, "chaos", "--containers", "1", *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _left(directory: Path) -> dict[str, list[object]]:
    """What must not be left on a machine."""
    return {
        "namespaces": list(net.existing(two_racks().prefix)),
        "processes": [record.pid for record in state.marked(directory.resolve())],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line],
        "files": [name for name in ("run", "nats", "clocks", "state.json") if (directory / name).exists()],
    }


_NOTHING: dict[str, list[object]] = {"namespaces": [], "processes": [], "mounts": [], "files": []}


def test_a_minute_of_chaos_breaks_no_promise_and_leaves_nothing(directory: Path) -> None:
    # When everything is broken for a minute
    process = _chaos(directory, "--minutes", "0.7", "--seed", "2", "--faults-a-round", "8", "--outage-every", "1")
    said, _ = process.communicate(timeout=400)

    # Then it says that every promise was kept
    assert process.returncode == 0, said
    assert "Every promise was kept" in said
    report = json.loads((directory / "chaos.json").read_text())
    assert report["passed"] is True
    assert report["violations"] == []

    # And that is worth something: tunnels moved, things broke, packets were counted, and an outage had its counterpart
    assert report["rounds"] >= 1
    assert report["faults_total"] >= 9
    assert report["switch_overs"] >= 10
    packets = report["packets"]
    assert packets["sent"] > 1000
    assert (packets["lost"], packets["duplicated"], packets["foreign"]) == (0, 0, 0)
    assert len(report["outages"]) == len(report["idle_outages"]) == report["rounds"]

    # And nothing is left
    assert _left(directory) == _NOTHING


def test_stopped_in_the_middle_it_leaves_nothing(directory: Path) -> None:
    # Given chaos with its services running, and NATS's disk mounted
    process = _chaos(directory, "--minutes", "5")
    deadline = time.monotonic() + 120
    while not (found := state.load(directory)) or not any(r.name == "decider" for r in found.processes):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)

    # When somebody presses Ctrl-C
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=90)

    # Then it ends as Ctrl-C ends programs, and nothing is left
    assert process.returncode == 128 + signal.SIGINT, said
    assert _left(directory) == _NOTHING


def test_the_plan_of_a_seed_can_be_read() -> None:
    program = Path(sys.executable).with_name("ezpath-lab")
    argv = [program, "chaos", "--plan", "60", "--seed", "4"]

    said = [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for _ in range(2)]

    assert said[0] == said[1]
    assert [kind for kind in KINDS if kind not in said[0]] == []
