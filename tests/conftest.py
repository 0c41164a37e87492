"""Shared by all tests: what a test may ask of the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from ezpath_lab.net import NETNS, mounted

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a script: what a shell ignores there, every child would ignore too, and the tests
    # that press Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def require(*tools: str, root: bool = False) -> None:
    """Go on only where ``tools`` are on PATH (and, with ``root``, as root).

    Elsewhere the test is skipped with the reason; in CI, where nothing may be missing, it fails.
    """
    missing = [f"{tool} is not on PATH" for tool in tools if shutil.which(tool) is None]
    if root and os.geteuid() != 0:
        missing.append("not root")
    if not missing:
        return
    reason = "; ".join(missing)
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have everything: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def no_mount_left() -> Iterator[None]:
    """`ip netns add` leaves a mount behind; where these tests were the first to use it, it goes with them."""
    was_there = mounted(NETNS)
    yield
    if not was_there and os.geteuid() == 0 and mounted(NETNS) and not any(NETNS.iterdir()):
        subprocess.run(["umount", str(NETNS)], check=False)


@pytest.fixture(scope="session")
def needs() -> object:
    """The function :func:`require`, for tests that cannot import this file."""
    return require
