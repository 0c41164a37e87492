"""The model check says what it explored, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.terminal import TerminalReporter

EXPLORED = "explored"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Have a line printed at the end of the run; it travels with the test's report, also from another process."""
    return lambda line: record_property(EXPLORED, str(line))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [line for report in reports for name, line in report.user_properties if name == EXPLORED]
    if lines:
        terminalreporter.section(EXPLORED)
        for line in lines:
            terminalreporter.write_line(line)
