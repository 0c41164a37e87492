"""The commands that pages show are executed, with the real programs and a real NATS, and print what the pages say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT, commands, missing

pytest_plugins = ["contract.conftest"]
MARK = "-- that was it --"
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if commands(page.read_text()))


class Shell:
    """bash in a directory of its own, from which docs/, deploy/ and p4/ are reached as in a clone."""

    def __init__(self, directory: Path, nats: str) -> None:
        for name in ("docs", "deploy", "p4"):
            (directory / name).symlink_to(ROOT / name)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {
            **clean,
            "PATH": path,
            "EZPATH_NATS": nats,
            "TZ": "UTC",
            "HOME": str(directory),
            "LANG": "C.UTF-8",
        }
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=directory, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho; echo '{MARK}' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(MARK):
                return int(line.split()[-1]), "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended in {command}:\n{''.join(lines)}")

    def end(self) -> None:
        """With all that was started in the background."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def test_the_page_for_beginners_and_the_one_for_other_switches_have_commands() -> None:
    assert {"GETTING-STARTED.md", "PORTING.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_given_a_page_then_its_commands_print_what_it_says(page: Path, nats_server, tmp_path: Path) -> None:
    shell = Shell(tmp_path, nats_server.url)
    try:
        for command in commands(page.read_text()):
            status, output = shell.run(command.text)
            assert status == 0, f"$ {command.text}\nexit status {status}:\n{output}"
            lacks = missing(command.expected, output)
            assert lacks is None, f"$ {command.text}\nlacks {lacks!r}:\n{output}"
    finally:
        shell.end()


@pytest.mark.parametrize(
    ("expected", "output", "lacks"),
    [
        (["a  b", "c"], "a b\nx\nc\n", None),
        (["… b", "…"], "a  lot of b\n", None),
        (["{…1…}"], '{"v":1}\n', None),
        (["a", "b"], "b\na\n", "b"),
        (["a"], "ab\n", "a"),
        (["a …"], "b\n", "a …"),
    ],
)
def test_what_is_expected_has_to_be_there_in_its_order(expected: list[str], output: str, lacks: str | None) -> None:
    assert missing(expected, output) == lacks
