"""The lab's memory of what it started: no process but that very one is ever signalled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ezpath_lab import state
from ezpath_lab.processes import WORKLOAD, Processes
from ezpath_lab.shell import LabError
from ezpath_lab.state import LabState, ProcessRecord

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
)


@pytest.fixture
def lab(tmp_path: Path) -> LabState:
    return LabState(directory=tmp_path, run_dir=tmp_path / "run")


@pytest.fixture
def processes(lab: LabState) -> Iterator[Processes]:
    found = Processes(lab)
    yield found
    found.stop_all()


def test_a_recycled_pid_is_not_signalled() -> None:
    # Given a process, and a record of its pid with another start time
    with subprocess.Popen(SLEEP) as process:
        started = state.started_at(process.pid)
        assert started is not None
        stranger = ProcessRecord("was ours", process.pid, started - 1, rank=0)

        # When the record is stopped
        state.stop([stranger], grace_s=0.2)

        # Then the process still runs
        assert process.poll() is None
        assert not state.alive(stranger)
        process.kill()


def test_what_was_saved_is_loaded_and_its_processes_can_be_stopped(lab: LabState, processes: Processes) -> None:
    # Given a lab with a process, as another run of the command would find it
    child = processes.start("sleeper", *SLEEP, rank=WORKLOAD)
    found = state.load(lab.directory)
    assert found is not None

    # When that run stops what it finds
    killed = state.stop(found.processes, grace_s=5)

    # Then the process is gone, without force
    assert child.popen.wait(5) is not None
    assert killed == []


def test_a_process_that_was_never_written_down_is_found_by_its_mark(lab: LabState, processes: Processes) -> None:
    child = processes.start("sleeper", *SLEEP, rank=WORKLOAD)
    lab.processes.clear()

    deadline = time.monotonic() + 5
    while not (found := list(state.marked(lab.directory))) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert [record.pid for record in found] == [child.record.pid]
    assert list(state.marked(lab.directory / "another")) == []


def test_a_deaf_process_is_killed_and_named(processes: Processes) -> None:
    child = processes.start("deaf", *STUBBORN, rank=WORKLOAD)
    processes.wait_ready(child, lambda: "deaf" in child.log.read_text(), "deaf")

    assert processes.stop(child, grace_s=0.3) == ["deaf"]
    assert not Path(f"/proc/{child.record.pid}").exists()


def test_a_child_that_ends_before_it_is_ready_is_told_with_its_last_words(processes: Processes) -> None:
    child = processes.start("broken", sys.executable, "-c", "import sys; sys.exit('no such port')", rank=WORKLOAD)

    with pytest.raises(LabError, match=r"broken ended with status 1 before listening(.|\n)*no such port"):
        processes.wait_ready(child, lambda: False, "listening")


def test_a_program_that_is_not_there_is_named(processes: Processes) -> None:
    with pytest.raises(LabError, match="no-such-program is not installed"):
        processes.start("x", "no-such-program", rank=WORKLOAD)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_dir": 3}'])
def test_a_state_file_that_cannot_be_read_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)

    assert state.load(tmp_path) is None


def test_a_name_with_blanks_and_parentheses_does_not_hide_the_start_time(tmp_path: Path) -> None:
    # Given a process whose name, as /proc tells it, looks like the fields behind it
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as odd, subprocess.Popen(SLEEP) as plain:
        # When both are asked when they started
        started = [state.started_at(process.pid) for process in (odd, plain)]
        odd.kill()
        plain.kill()

    # Then it was within a second of each other, in clock ticks
    assert None not in started
    assert abs((started[0] or 0) - (started[1] or 0)) <= os.sysconf("SC_CLK_TCK")
