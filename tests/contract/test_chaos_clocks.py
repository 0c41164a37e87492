"""A service's wall clock jumps when the harness says so, at once; its monotonic clock and others' clocks do not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ezpath_lab.chaos.clocks import Clocks

_SERVICE = """
import sys, time
while sys.stdin.readline():
    print(time.time(), time.time_ns() / 1e9, time.monotonic(), flush=True)
"""


@pytest.fixture
def clocks(tmp_path: Path, needs: Callable[..., None]) -> Clocks:
    needs("clang")
    clocks = Clocks(tmp_path / "clocks")
    clocks.build()
    return clocks


def _ask(service: subprocess.Popen[str]) -> tuple[float, float, float]:
    assert service.stdin is not None and service.stdout is not None
    service.stdin.write("\n")
    service.stdin.flush()
    wall, wall_ns, monotonic = map(float, service.stdout.readline().split())
    return wall, wall_ns, monotonic


def _start(clocks: Clocks, name: str) -> subprocess.Popen[str]:
    environment = os.environ | clocks.environment(name)
    argv = (sys.executable, "-c", _SERVICE)
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_jump_is_seen_at_once_by_that_service_alone_and_outlives_it(clocks: Clocks) -> None:
    one, other = _start(clocks, "one"), _start(clocks, "other")
    try:
        # Given two services with the true time
        assert _ask(one)[0] == pytest.approx(time.time(), abs=5)

        # When one's clock is set a day ahead, and then an hour back
        clocks.jump("one", 86_400.0)
        clocks.jump("one", -3600.0)
        wall, wall_ns, monotonic = _ask(one)

        # Then it has that time, in every way of asking, and nothing else changed
        assert wall == pytest.approx(time.time() + 82_800, abs=5)
        assert wall_ns == pytest.approx(wall, abs=1)
        assert monotonic == pytest.approx(time.monotonic(), abs=5)
        assert _ask(other)[0] == pytest.approx(time.time(), abs=5)

        # And when it is started again its clock is still wrong
        one.kill()
        one.communicate()
        one = _start(clocks, "one")
        assert _ask(one)[0] == pytest.approx(time.time() + 82_800, abs=5)
    finally:
        for service in (one, other):
            service.kill()
            service.communicate()
