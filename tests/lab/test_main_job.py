"""The main job end to end, as a newcomer runs it: ``ezpath-lab run`` on real packets, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from bmv2 import need_bmv2
from ezpath_lab import lab, net, state
from ezpath_lab.topology import two_racks

pytestmark = [pytest.mark.root, pytest.mark.lab, pytest.mark.timeout(420)]

ROOT = Path(__file__).parents[2]
PREFIX = two_racks().prefix


class Require(Protocol):
    def __call__(self, *tools: str, root: bool = False) -> None: ...


@pytest.fixture
def directory(tmp_path: Path, needs: Require) -> Iterator[Path]:
    """A state directory of the test's own; whatever the test leaves is removed."""
    needs(*lab.TOOLS, "clang", root=True)
    yield tmp_path
    lab.remove(tmp_path, two_racks())


def _start(directory: Path, *command: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("ezpath-lab")
    return subprocess.Popen(
        [program, "--state", directory, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _wait(what: Callable[[], bool], process: subprocess.Popen[str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            said, _ = process.communicate()
            pytest.fail(f"ezpath-lab ended ({process.poll()}) or took too long. It said:\n{said}")
        time.sleep(0.05)


def _left(directory: Path) -> dict[str, Any]:
    """What a lab may leave on a machine: everything here has to be empty."""
    return {
        "namespaces": net.existing(PREFIX),
        "processes": [record.pid for record in state.marked(directory.resolve())],
        "links": [line for line in _said("ip", "-brief", "link") if any(n in line for n in ("br-int", "vxlan", "ez-"))],
        "qdiscs": [line for line in _said("tc", "qdisc", "show") if "clsact" in line],
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if f"netns/{PREFIX}" in line],
        "files": [
            name for name in ("run", "nats", "trust", "state.json", "inventory.yaml") if (directory / name).exists()
        ],
    }


def _said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def _nothing() -> dict[str, list[Any]]:
    return {key: [] for key in ("namespaces", "processes", "links", "qdiscs", "mounts", "files")}


def _running(directory: Path) -> Callable[[], bool]:
    """Whether the lab in ``directory`` has got as far as its ToRs, switches and services."""

    def reached() -> bool:
        found = state.load(directory)
        return found is not None and any(record.name == "decider" for record in found.processes)

    return reached


TRUST, BMV2 = ("--trust",), ("--tor", "bmv2")
"""In the clear and with the software ToR it is told in containers, tests/compose."""


@pytest.mark.parametrize(("how", "at_least"), [(TRUST, 1000), (BMV2, 300)], ids=["trust", "bmv2"])
def test_the_main_job_loses_no_packet_and_leaves_nothing(directory: Path, how: tuple[str, ...], at_least: int) -> None:
    if how == BMV2:
        need_bmv2()
    # Given a machine without a lab
    assert _left(directory) == _nothing()

    # When the main job is run
    process = _start(directory, "run", *how)
    said, _ = process.communicate(timeout=400)

    # Then it ends well, and says so
    assert process.returncode == 0, said
    assert "All as it should be" in said
    summary = json.loads((directory / "summary.json").read_text())
    assert [check for check in summary["checks"] if not check["ok"]] == []
    assert summary["passed"] is True

    # And every act had traffic of which nothing was lost, doubled, or received by another tenant
    acts = {act["act"]: act for act in summary["acts"]}
    assert set(acts) == {
        *("overlay", "offload", "on the switch", "rollback", "revert"),
        *("overlay again", "without EZPath"),
    }
    for act in acts.values():
        assert act["sent"] > at_least, act
        assert (act["lost"], act["duplicated"]) == (0, 0), act
    assert summary["foreign"] == 0

    # And the forced failure was rolled back for the reason that the switch gave
    assert "tor2" in summary["rollback_reason"]
    assert summary["decision_to_active_ms"]["count"] == 3

    # And what the decider heard there is decided again in the same way, without any network
    ezpath = Path(sys.executable).with_name("ezpath")
    replay = subprocess.run(
        [ezpath, "sim", "--replay", directory / "decisions.rec"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert replay.returncode == 0, replay.stdout + replay.stderr
    found = re.search(r"with (\d+) decisions: all the same again", replay.stdout)
    assert found is not None and int(found[1]) >= 7, replay.stdout  # three there and back, and the one that failed

    # And with trust on, NATS, the ToRs and the hosts were spoken to over TLS
    if how == TRUST:
        logs = {name: (directory / "log" / f"{name}.log").read_text() for name in ("nats-server", "tor1")}
        assert "TLS required for client connections" in logs["nats-server"]
        assert '"tls": true' in logs["tor1"]

    # And nothing is left
    assert _left(directory) == _nothing()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_stopped_in_the_middle_it_leaves_nothing(directory: Path, number: signal.Signals) -> None:
    # Given a lab whose services are starting
    process = _start(directory, "run")
    _wait(_running(directory), process, timeout_s=90)

    # When it is asked to stop, twice, as impatient people do
    process.send_signal(number)
    time.sleep(0.5)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)

    # Then it says why it ended, and nothing is left
    assert process.returncode == 128 + number, said
    assert _left(directory) == _nothing()


def test_down_removes_what_a_killed_run_left(directory: Path) -> None:
    # Given a run that was killed, and so could not clean up
    process = _start(directory, "run")
    _wait(_running(directory), process, timeout_s=90)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert _left(directory) != _nothing()

    # When the lab is taken down, twice
    ends = []
    for _ in range(2):
        down = _start(directory, "down")
        ends.append((down.communicate(timeout=60)[0], down.returncode))

    # Then nothing is left, and the second time there was nothing to do
    assert [status for _, status in ends] == [0, 0], ends
    assert _left(directory) == _nothing()


def test_two_labs_do_not_get_into_each_others_way(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Given a lab that is being brought up
    process = _start(directory, "run")
    _wait(lambda: bool(net.existing(PREFIX)), process, timeout_s=60)

    # When another one is started from another directory
    other = _start(tmp_path_factory.mktemp("other"), "down")
    said, _ = other.communicate(timeout=60)

    # Then it refuses, and says who is in the way
    assert other.returncode == 1
    assert "another ezpath-lab is at work" in said
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
