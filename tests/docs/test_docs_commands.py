"""The commands that pages show are executed, with the real programs and a real NATS, and print what the pages say.

Where they need switches and hosts, the services run beside them, with a real ToR and two real Open vSwitches. What is
not executed says so on its page, and why; and no command on any page has an option or a target that there is not.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from contract.services_rig import A, B, running
from docs.pages import ROOT, Block, beside, blocks, commands, indented, markdown_files, missing, what_is_wrong
from ezpath.cli.main import main

pytest_plugins = ["contract.conftest", "contract.ovs_fixture"]
MARK = "-- that was it --"
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if commands(page.read_text()))


class Shell:
    """bash in a directory of its own, from which docs/, deploy/ and p4/ are reached as in a clone."""

    def __init__(self, directory: Path, nats: str, inventory: str = "") -> None:
        directory.mkdir(exist_ok=True)
        for name in ("docs", "deploy", "p4"):
            (directory / name).symlink_to(ROOT / name)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {
            **clean,
            "PATH": path,
            "EZPATH_NATS": nats,
            **({"EZPATH_INVENTORY": inventory} if inventory else {}),
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


def played(page: Path, shell: Shell) -> None:
    """All of a page's commands, one after the other."""
    try:
        for command in commands(page.read_text()):
            status, output = shell.run(command.text)
            assert status == 0, f"$ {command.text}\nexit status {status}:\n{output}"
            lacks = missing(command.expected, output)
            assert lacks is None, f"$ {command.text}\nlacks {lacks!r}:\n{output}"
    finally:
        shell.end()


def of(what: str) -> list[Path]:
    return [page for page in PAGES if beside(page.read_text()) == what]


def test_the_pages_for_beginners_and_for_operators_have_commands() -> None:
    assert {"GETTING-STARTED.md", "PORTING.md", "TRUST.md", "CONSOLE.md"} <= {page.name for page in of("nats")}
    assert {"FROM-LAB-TO-RACK.md"} <= {page.name for page in of("services")}
    assert set(PAGES) == {*of("nats"), *of("services")}


@pytest.mark.parametrize("page", of("nats"), ids=lambda page: page.name)
@pytest.mark.timeout(400)
def test_given_a_page_then_its_commands_print_what_it_says(page: Path, nats_server, tmp_path: Path) -> None:
    played(page, Shell(tmp_path, nats_server.url))


@pytest.mark.root
@pytest.mark.timeout(400)
async def test_given_services_at_work_then_so_do_those_of_the_pages_for_operators(
    nats_server, make_machine, tmp_path: Path
) -> None:
    ends = (("red-web", A, "h1"), ("red-db", B, "h2"))
    async with running(tmp_path, nats_server.url, make_machine, ends) as services:
        for page in of("services"):
            shell = Shell(tmp_path / page.stem, nats_server.url, services.inventory)
            await asyncio.to_thread(played, page, shell)


# ---- what is not executed says so --------------------------------------------


ALL_PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_whatever_a_page_shows_is_executed_or_says_who_does_it_or_why_nobody_can(page: Path) -> None:
    text = page.read_text()
    wrong = [f"line {block.line}: {said}" for block in blocks(text) if (said := what_is_wrong(block))]
    wrong += [f"line {line}: put code between fences, with its kind" for line in indented(text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("kind", "above", "said"),
    [
        ("sh", "", "nobody runs these"),
        ("sh", "<!-- run by tests/nothing.py -->", "there is no tests/nothing.py"),
        ("sh", "<!-- not run: -->", "nobody runs these"),
        ("", "", "no kind: write console"),
        ("bash", "", "bash: write console"),
    ],
)
def test_what_says_nothing_is_noticed(kind: str, above: str, said: str) -> None:
    text = f"# A page\n\n{above}\n```{kind}\nls\n```\n"
    assert [what_is_wrong(block)[: len(said)] for block in blocks(text)] == [said]
    assert list(indented("# A page\n\n    ls\n\n- x\n\n    more of x\n")) == [3]
    assert what_is_wrong(Block("console", "ls\n", 1, "")) != ""


# ---- and is at least no command that there is not -----------------------------


COMMAND = re.compile(r"^\s*(?:\$ )?(?P<call>ezpath [a-z].*)$", re.MULTILINE)
TARGET = re.compile(r"^(?:\$ )?make (?P<target>[a-z][a-z0-9-]+)\b", re.MULTILINE)
TARGETS = {found[1] for found in re.finditer(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}


def calls(text: str) -> list[list[str]]:
    """`ezpath …` as shells see it, in every fence: up to a pipe, a comment, or a column of explanation."""
    found: list[list[str]] = []
    for block in blocks(text):
        for line in COMMAND.finditer(block.body.replace("\\\n", " ")):
            call = re.split(r"\s{2,}|\s#\s|\s*\d?[|;&<>]|`", line["call"].rstrip())[0]
            found.append(shlex.split(call.replace("…", "x")))
    return found


def refused(call: list[str]) -> str:
    """Why ``ezpath`` would not understand it; what it names need not be there."""
    context, command, rest = click.Context(main, info_name="ezpath"), main, call[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0]) if rest else None
        if found is None:
            return f"no command {rest[:1]}"
        context, command, rest = click.Context(found, parent=context), found, rest[1:]  # type: ignore[assignment]
    try:
        given, positional, _ = command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    except AttributeError:
        return ""
    return f"too much: {positional}" if positional else "" if given is not None else "nothing"


@pytest.mark.parametrize("page", markdown_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_page_shows_a_command_an_option_or_a_target_that_there_is_not(page: Path) -> None:
    text = page.read_text()
    wrong = {" ".join(call): said for call in calls(text) if (said := refused(call))}
    assert wrong == {}
    if page.name != "CHANGELOG.md":
        assert {found["target"] for block in blocks(text) for found in TARGET.finditer(block.body)} <= TARGETS


def test_a_command_that_there_is_not_is_noticed() -> None:
    wrong = "ezpath tial\nezpath tail --tennant red   # x\nezpath status what it says\n"
    right = "ezpath trust init DIR --inventory F\nezpath flows -w | head\n"
    said = [bool(refused(call)) for call in calls(f"```sh\n{wrong}{right}```\n")]
    assert said == [True, True, True, False, False]


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
