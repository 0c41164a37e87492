"""Settings of a service from a file, behind its flags and its environment: `--config FILE`.

A service's options are the model: what a file may say, of what type, is what its command line may. The file has keys
that all services share at the top, and a section for each service. Whatever is wrong is named with file, line, key and
remedy, all at once; keys that nobody knows are refused, with the nearest right one, and so are variables that nearly
are one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from ezpath.inventory.lines import Lines
from ezpath.inventory.problems import Problem
from ezpath.nearest import meant, nearest

SHARED = ("nats", "inventory", "log-level", "ready-file")
SERVICES = ("collector", "decider", "host-writer", "switch-writer")
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
    _check_environment(ctx.command)
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
    """``ezpath_switch_writer.main`` is of ``switch-writer``."""
    module = getattr(command.callback, "__module__", "") or ""
    return module.split(".")[0].removeprefix("ezpath_").replace("_", "-")


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Its settings, by the key they have in a file."""
    found: dict[str, click.Option] = {}
    for option in command.params:
        if isinstance(option, click.Option) and option.expose_value and option.envvar != "EZPATH_CONFIG":
            found[max(option.opts, key=len).lstrip("-")] = option
    return found


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
        option = options.get(where[-1]) if len(where) == 2 or where[0] in SHARED else None
        line, name = lines.of(where), ".".join(where)
        if option is None:
            right = [*SHARED, *SERVICES] if len(where) == 1 else options
            remedy = f"{meant(where[-1], right)}There are: {', '.join(sorted(right))}"
            problems.append(Problem(file, line, name, "is not known here", remedy))
            continue
        try:
            option.type_cast_value(ctx, value)
        except (click.BadParameter, TypeError, ValueError) as error:
            cause = getattr(error, "message", str(error)).rstrip(".")
            problems.append(Problem(file, line, name, cause, f"See {max(option.opts, key=len)} in --help"))
            continue
        values[option.name or ""] = value
    problems += [
        Problem(file, line, ".".join(map(str, where)), "is given twice", "Keep one of them")
        for where, line in lines.doubled_keys()
    ]
    return values, problems


def _said(raw: Mapping[Any, Any], service: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is for ``service``, with its place: what all share, and its own section. Others' sections are theirs."""
    for key, value in raw.items():
        name = str(key)
        if name not in SERVICES:
            yield (name,), value
        elif name == service and isinstance(value, dict):
            yield from (((name, str(inner)), content) for inner, content in value.items())


def _check_environment(command: click.Command) -> None:
    """A variable that is nearly one of the command's is a slip of the keyboard, and would be passed over in silence."""
    right = {option.envvar for option in command.params if isinstance(option.envvar, str)}
    short = {name.removeprefix(PREFIX): name for name in right}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in right:
            near = nearest(name.removeprefix(PREFIX), short, NEARLY)
            if near is not None:
                raise click.UsageError(f"{name} in the environment is no setting. Is {short[near]} meant?")
