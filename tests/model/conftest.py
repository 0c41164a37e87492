"""The model check says what it explored, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.terminal import TerminalReporter

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Have a line printed at the end of the run."""
    return lambda line: request.config.stash.setdefault(_LINES, []).append(str(line))


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("explored")
        for line in lines:
            terminalreporter.write_line(line)
