"""Shared by all tests: what a test may ask of the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from ezpath_lab.net import NETNS, mounted
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a script: what a shell ignores there, every child would ignore too, and the tests
    # that press Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

for name in ("COLUMNS", "LINES"):
    # A worker inherits what readline found out about the terminal of pytest's own process. Where a test draws on a
    # terminal, or on none, that is not its size.
    os.environ.pop(name, None)


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


ONE_AT_A_TIME = ("tests/lab/", "tests/compose/", "tests/chaos/")
"""What uses names that a machine has once, those of the lab's namespaces, and moves packets while time runs."""

ONLY_COMPUTES = ("tests/model/", "tests/unit/")
"""What asks for nothing but one core."""

ORDER = (*ONE_AT_A_TIME, *ONLY_COMPUTES, "tests/packet/", "tests/conformance/", "tests/bench/", "tests/contract/")
"""In which files are handed out. Beside the lab, on the other core, goes what only computes; a long file begun last
would leave that core idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order in which they are best begun."""
    items.sort(key=lambda item: next((n for n, path in enumerate(ORDER) if path in item.nodeid), len(ORDER)))


@pytest.fixture(autouse=True)
def computing_gives_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """What only computes gives way to what has to keep up with packets, on the other worker."""
    nice = request.node.nodeid.startswith(ONLY_COMPUTES) and os.geteuid() == 0 and "PYTEST_XDIST_WORKER" in os.environ
    if nice:
        os.setpriority(os.PRIO_PROCESS, 0, 10)
    yield
    if nice:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Where tests run on several cores (``-n``), a file stays together: its fixtures are made once."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


class ByFile(LoadScopeScheduling):
    """A file is what a worker takes at once; but a test, of the model: each takes long, and none has a fixture."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ONE_AT_A_TIME):
            return "the machine"
        return nodeid if nodeid.startswith("tests/model/") else nodeid.split("::")[0]


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured (``record_property``) is shown below the results."""
    figures = [
        f"{name}: {value}" for report in terminalreporter.getreports("passed") for name, value in report.user_properties
    ]
    if figures:
        terminalreporter.section("figures")
        terminalreporter.write("\n".join((*figures, "")))
