"""Settings of a service from a file, behind its flags and its environment: `--config FILE`.

A service's options are the model: what a file may say, of what type, is what its command line may. The file has keys
that all services share at the top, and a section for each service. Whatever is wrong is named with file, line, key and
remedy, all at once; keys that nobody knows are refused, with the nearest right one, and so are variables that nearly
are one. `ezpath check-config` says of a file what all the services would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from ezpath.inventory.lines import Lines
from ezpath.inventory.problems import Problem
from ezpath.nearest import meant, nearest
from ezpath.tlsoptions import VARIABLES

SHARED = (
    "nats",
    "trust",
    "nats-credentials",
    "nats-ca",
    "nats-certificate",
    "nats-key",
    "inventory",
    "log-level",
    "ready-file",
    "traces",
)
SERVICES = ("collector", "console", "decider", "host-writer", "switch-writer")
PREFIX = "EZPATH_"
NEARLY = 0.74
"""How like a variable's name has to be to be taken for a slip. Kubernetes puts others there that begin with EZPATH_;
and INTERVAL, which another service has, is like AUDIT_INTERVAL by 0.73."""

_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(command: _F) -> _F:
    """`--config FILE`. What it says is a default: flags and the environment outdo it."""
    return click.option(
        "--config",
        envvar="EZPATH_CONFIG",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_read,
        metavar="FILE",
        help="Settings, YAML; flags and the environment outdo them. [env: EZPATH_CONFIG]",
    )(command)


def _read(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    check_environment(ctx.command)
    if file is None:
        return
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--config {file} cannot be read: {error}. Give a readable file of UTF-8 text") from None
    values, problems = settings_of(text, str(file), ctx)
    if problems:
        for problem in problems:
            click.echo(str(problem), err=True)
        click.echo(f"{len(problems)} problem(s), settings {file}: nothing was started.", err=True)
        ctx.exit(2)
    ctx.default_map = {**(ctx.default_map or {}), **values}


def service_of(command: click.Command) -> str:
    """``ezpath_switch_writer.main`` is of ``switch-writer``, and ``ezpath.cli.console`` of ``console``."""
    module = getattr(command.callback, "__module__", "") or ""
    package, _, within = module.partition(".")
    name = within.rpartition(".")[2] if package == "ezpath" else package.removeprefix("ezpath_")
    return name.replace("_", "-")


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Its settings, by the key they have in a file. What has no variable is something to do, not a setting."""
    found: dict[str, click.Option] = {}
    for option in command.params:
        if isinstance(option, click.Option) and option.expose_value and isinstance(option.envvar, str):
            found[_flag(option).lstrip("-")] = option
    return found


def problems_of(text: str, file: str, commands: Iterable[click.Command]) -> list[Problem]:
    """What these services, each reading ``text``, would find wrong with it: each mistake once, by its line."""
    found = dict.fromkeys(
        problem for command in commands for problem in settings_of(text, file, click.Context(command))[1]
    )
    return sorted(found, key=lambda problem: problem.line)


def settings_of(text: str, file: str, ctx: click.Context) -> tuple[dict[str, Any], list[Problem]]:
    """What ``text`` says to the command of ``ctx``, by parameter, and what is wrong with it."""
    try:
        lines, raw = Lines(yaml.compose(text, Loader=yaml.SafeLoader)), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        cause = f"not YAML: {getattr(error, 'problem', error)}"
        return {}, [Problem(file, mark.line + 1 if mark else 1, "file", cause, "Correct it there")]
    if raw is None:
        return {}, []
    if not isinstance(raw, dict):
        return {}, [Problem(file, 1, "file", "is not a mapping", "Write settings, each with a colon")]
    service, options = service_of(ctx.command), options_of(ctx.command)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for where, value in _said(raw, service):
        if len(where) == 1 and where[0] in SHARED and where[0] not in options:
            continue  # for the others: a page in a browser has no traces
        option = options.get(where[-1]) if (len(where) == 1) is (where[-1] in SHARED) else None
        cause, remedy = _not_known(where, options) if option is None else _misfit(option, value, ctx)
        if cause:
            problems.append(Problem(file, lines.of(where), ".".join(where), cause, remedy))
        elif option is not None and option.name is not None:
            values[option.name] = value
    problems += [
        Problem(file, line, ".".join(map(str, where)), "is given twice", "Keep one of them")
        for where, line in lines.doubled_keys()
    ]
    return values, problems


def _said(raw: Mapping[Any, Any], service: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is for ``service``, with its place: what all share, and its own section. Others' sections are theirs."""
    for key, value in raw.items():
        name = str(key)
        if name == service and isinstance(value, dict):
            yield from (((name, str(inner)), content) for inner, content in value.items())
        elif name not in SERVICES or (name == service and value is not None):
            yield (name,), value


def _not_known(where: tuple[str, ...], options: Iterable[str]) -> tuple[str, str]:
    """Cause and remedy, of what is no option's place."""
    if where[0] in SERVICES and len(where) == 1:
        return "is not a mapping", f"Write settings of {where[0]} below it, indented, each with a colon"
    if len(where) == 2 and where[1] in SHARED:
        return "is for all services", "Write it at the top of the file"
    right = sorted([*SHARED, *SERVICES] if len(where) == 1 else set(options) - set(SHARED))
    below = "; other settings stand below the service that they are for" if len(where) == 1 else ""
    return "is not known here", f"{meant(where[-1], right)}There are: {', '.join(right)}{below}"


def _misfit(option: click.Option, value: Any, ctx: click.Context) -> tuple[str, str]:
    """Cause and remedy, of a value that the option would not take; click would make text of some of these."""
    if option.multiple and not isinstance(value, list | None):
        return "is not a list", "Write its items below it, each with a dash"
    for one in value if isinstance(value, list) and option.multiple else [value]:
        if isinstance(one, list | dict):
            return f"is a {'list' if isinstance(one, list) else 'mapping'}", "Write one value"
        if isinstance(one, bool) is not option.is_flag and one is not None:
            if option.is_flag:
                return f"{one} is neither true nor false", "Write true or false, without quotes"
            return f"is read as {str(one).lower()}", f"See {_flag(option)} in --help; a word is put in quotes"
    try:
        if value is not None:
            option.process_value(ctx, value)
    except (click.BadParameter, TypeError, ValueError) as error:
        return getattr(error, "message", str(error)).rstrip("."), f"See {_flag(option)} in --help"
    return "", ""


def _flag(option: click.Option) -> str:
    return max(option.opts, key=len)


def check_environment(command: click.Command) -> None:
    """A variable that is nearly one of the command's is a slip of the keyboard, and would be passed over in silence."""
    right = {option.envvar for option in command.params if isinstance(option.envvar, str)}
    short = {name.removeprefix(PREFIX): name for name in right}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in right and name not in VARIABLES:
            near = nearest(name.removeprefix(PREFIX), short, NEARLY)
            if near is not None:
                raise click.UsageError(f"{name} in the environment is no setting. Is {short[near]} meant?")
