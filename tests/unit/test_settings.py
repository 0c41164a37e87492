"""Settings: file, environment and flags, one model; and the pages that are made from it."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from ezpath.cli.console import console
from ezpath.cli.main import COMMANDS
from ezpath.cli.main import main as ezpath
from ezpath.configfile import (
    SERVICES,
    SHARED,
    check_environment,
    config_option,
    options_of,
    problems_of,
    service_of,
    settings_of,
)
from ezpath_collector.main import main as collector
from ezpath_decider.main import main as decider
from ezpath_host_writer.main import main as host_writer
from ezpath_lab.state import MARK
from ezpath_switch_writer.main import main as switch_writer

from ezpath import referencepage

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "ezpath-collector": collector,
    "ezpath-decider": decider,
    "ezpath-switch-writer": switch_writer,
    "ezpath-host-writer": host_writer,
    "ezpath console": console,
}


def read(text: str, command: click.Command = decider) -> tuple[dict[str, Any], list[str]]:
    values, problems = settings_of(text, "s.yaml", click.Context(command))
    return values, [str(problem) for problem in problems]


class TestFile:
    def test_what_all_share_is_at_the_top_and_a_section_is_one_service_s(self) -> None:
        text = "nats: nats://n:1\nlog-level: debug\ndecider: {interval: 0.5, shards: 4}\n"
        text += "collector: {switch: [tor1, tor2]}\n"
        assert read(text) == ({"nats": "nats://n:1", "log_level": "debug", "interval": 0.5, "shards": 4}, [])
        values, problems = read(text, collector)
        assert (values["switches"], problems) == (["tor1", "tor2"], [])
        assert read("") == ({}, [])

    def test_everything_wrong_is_named_at_once_with_line_key_cause_and_remedy(self) -> None:
        _, problems = read("natz: x\ndecider:\n  intervall: 1\n  shards: many\n  shards: 0\ninterval: 1\n")
        assert problems[0].startswith("s.yaml:1: natz: is not known here. Is nats meant? There are: ")
        assert problems[1].startswith("s.yaml:3: decider.intervall: is not known here. Is interval meant? ")
        assert any("decider.shards: 0 is not in the range 1<=x<=" in problem for problem in problems)
        assert any("decider.shards: is given twice" in problem for problem in problems)
        assert any(problem.startswith("s.yaml:6: interval: is not known here") for problem in problems)
        assert problems[0].endswith("other settings stand below the service that they are for")
        assert read("nats: [")[1][0].startswith("s.yaml:")
        assert "is not a mapping" in read("- nats")[1][0]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("nats: 127.0.0.1:99999", "nats: '127.0.0.1:99999' has no port from 1 to 65535: give nats://HOST:PORT"),
            ("log-level: off", "log-level: is read as false. See --log-level in --help; a word is put in quotes"),
            ("nats: [a, b]", "nats: is a list. Write one value"),
            ("decider: {policy: {a: b}}", "decider.policy: is a mapping. Write one value"),
            ("decider: {dry-run: maybe}", "decider.dry-run: maybe is neither true nor false."),
            ("decider: {nats: x}", "decider.nats: is for all services. Write it at the top of the file"),
            ("decider: 5", "decider: is not a mapping. Write settings of decider below it"),
            (
                "collector: {switch: tor1}",
                "collector.switch: is not a list. Write its items below it, each",
            ),
            ("collector: {switch: [[tor1]]}", "collector.switch: is a list. Write one value"),
            ("host-writer: {cleanup: true}", "host-writer.cleanup: is not known here."),
        ],
    )
    def test_a_value_that_its_option_would_not_take_is_refused_in_the_file(self, text: str, problem: str) -> None:
        [found] = problems_of(text, "s.yaml", PROGRAMS.values())
        assert str(found).startswith(f"s.yaml:1: {problem}")

    def test_the_console_reads_the_same_file_and_leaves_what_it_has_not_to_the_others(self) -> None:
        text = "nats: nats://n:1\ntraces: http://t:4318\nready-file: ready\nconsole: {listen: '[::1]:9000'}\n"
        assert read(text, console) == ({"nats": "nats://n:1", "listen": "[::1]:9000"}, [])
        _, problems = read("console: {listen: 9000, traces: x}\n", console)
        assert problems[0].startswith("s.yaml:1: console.listen: 9000: no address with a port. Give ADDRESS:PORT")
        assert problems[1].startswith("s.yaml:1: console.traces: is for all services.")

    def test_what_is_left_empty_is_not_given(self) -> None:
        assert read("inventory:\ndecider:\n") == ({"inventory": None}, [])

    def test_all_services_look_at_a_file_and_name_each_mistake_once(self) -> None:
        text = "natz: x\nnats: n:0\ncollector: {intervall: 1}\nhost-writer: {host: h11}\n"
        fields = [problem.field for problem in problems_of(text, "s.yaml", PROGRAMS.values())]
        assert fields == ["natz", "nats", "collector.intervall", "host-writer.host"]

    @pytest.fixture
    def program(self) -> click.Command:
        @click.command()
        @config_option
        @click.option("--nats", envvar="EZPATH_NATS", default="default")
        def main(nats: str) -> None:
            click.echo(nats)

        return main

    def test_a_flag_outdoes_the_environment_that_the_file_that_the_default(
        self, program: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in os.environ if name.startswith("EZPATH_")]:
            monkeypatch.delenv(name)
        file = tmp_path / "s.yaml"
        file.write_text("nats: file\n")

        def run(*arguments: str, **variables: str) -> str:
            return CliRunner().invoke(program, arguments, env=variables).output.strip()

        config = ("--config", str(file))
        assert run() == "default"
        assert run(*config) == run(EZPATH_CONFIG=str(file)) == "file"
        assert run(*config, EZPATH_NATS="variable") == "variable"
        assert run(*config, "--nats", "flag", EZPATH_NATS="variable") == "flag"
        # and a variable that nearly is one is refused, for it would be passed over in silence
        slip = CliRunner().invoke(program, [], env={"EZPATH_NTAS": "x"})
        assert (
            slip.exit_code == 2 and "EZPATH_NTAS in the environment is no setting. Is EZPATH_NATS meant?" in slip.output
        )
        assert run(EZPATH_DECIDER_SERVICE_HOST="10.0.0.1") == "default", "Kubernetes's own are let be"

    @pytest.mark.parametrize("command", PROGRAMS.values(), ids=PROGRAMS)
    def test_a_variable_of_another_service_or_of_the_lab_is_no_slip(
        self, command: click.Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for other in PROGRAMS.values():
            for option in options_of(other).values():
                monkeypatch.setenv(str(option.envvar), "1")
        for name in (MARK, "EZPATH_CHAOS_CLOCK"):
            monkeypatch.setenv(name, "1")
        check_environment(command)


class TestReference:
    def test_the_committed_pages_are_what_the_programs_say(self) -> None:
        made = {
            "SETTINGS.md": referencepage.settings(PROGRAMS),
            "CLI.md": referencepage.cli(ezpath, sorted(COMMANDS)),
        }
        for name, text in made.items():
            assert (ROOT / "docs" / name).read_text() == text, f"run `make reference` and commit docs/{name}"
        assert runpy.run_path(str(ROOT / "tools/reference"), run_name="looked at")["PROGRAMS"] == PROGRAMS

    @pytest.mark.parametrize("command", PROGRAMS.values(), ids=PROGRAMS)
    def test_every_setting_says_what_it_is_and_all_services_share_theirs(self, command: click.Command) -> None:
        options = options_of(command)
        lacks = {"ready-file", "traces"} if command is console else set()
        assert set(SHARED) - set(options) == lacks
        assert all((option.help or "").split("[env")[0].strip() for option in options.values())
        assert service_of(command) in SERVICES

    @pytest.mark.parametrize("command", PROGRAMS.values(), ids=PROGRAMS)
    def test_every_option_is_a_setting_but_those_that_do_something(self, command: click.Command) -> None:
        names = {max(option.opts, key=len).lstrip("-") for option in command.params}
        assert names - set(options_of(command)) - {"config"} <= {"cleanup"}

    def test_every_setting_says_what_it_may_be_and_what_it_is_by_default(self) -> None:
        rows = [line.split(" | ") for line in referencepage.settings(PROGRAMS).splitlines() if line.startswith("| `")]
        assert len(rows) > 30
        assert all(all(cell.strip() for cell in row) for row in rows)
        [enter] = [row for row in rows if row[0] == "| `enter-bps`"]
        assert enter[3:5] == ["BITS/S, more than 0", "`5000000`"]


def commands(group: click.Group = ezpath, path: str = "ezpath") -> dict[str, click.Command]:
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in sorted(COMMANDS) if group is ezpath else group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{path} {name}"] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{path} {name}")
    return found


@pytest.mark.parametrize(("path", "command"), commands().items(), ids=commands())
def test_every_command_s_help_has_an_example_and_its_exit_status(path: str, command: click.Command) -> None:
    text = command.get_help(click.Context(command, info_name=path))
    assert "Example" in text and f"  {path}" in text[text.index("Example") :]
    assert "Exit status: 0" in text
    assert all(
        option.help for option in command.params if isinstance(option, click.Option) and option.name != "timeout"
    )
