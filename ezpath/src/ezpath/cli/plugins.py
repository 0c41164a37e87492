"""The commands of `ezpath`, looked up when asked for: its own, and those that other packages bring along.

The latter are entry points of the group `ezpath.commands`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from ezpath.nearest import meant

GROUP = "ezpath.commands"
EXIT_BROKEN = 1
EXIT_INTERRUPTED = 130
_OPTIONS = {"help": "Is `ezpath COMMAND --help` meant? ", "version": "Is `ezpath --version` meant? "}
"""Commands of other tools that are options of this one."""


class WithPlugins(click.Group):
    """A group with its own commands and everybody's. Own ones outdo others of the same name.

    ``commands_at``: where own ones are, as ``module:attribute`` in this package.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, str] | None = None, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._commands_at = dict(commands_at or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._commands_at, *entry_points(group=GROUP).names})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # as `kubectl` has them in front
            ctx.fail(f"{error.format_message()} Options stand behind the command: `ezpath tail {error.option_name} …`")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            hint = _OPTIONS.get(args[0]) or meant(args[0], self.list_commands(ctx))
            ctx.fail(f"There is no command {args[0]}. {hint}`{ctx.command_path} --help` lists them")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `ezpath tail | head`: the reader has what it wanted.
            _write_no_more()
            ctx.exit(0)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            # `ezpath status > file` on a disk that is full
            _write_no_more()
            click.echo(f"What is shown cannot be written: {error.strerror}. Send it where there is room", err=True)
            ctx.exit(EXIT_BROKEN)
        except KeyboardInterrupt:
            # before there was an answer: neither yes nor no, and click's own status, 1, would say no
            ctx.exit(EXIT_INTERRUPTED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        if (place := self._commands_at.get(cmd_name)) is not None:
            module, attribute = place.split(":")
            command: click.Command = getattr(import_module(f"ezpath.cli.{module}"), attribute)
            return command
        found = next(iter(entry_points(group=GROUP, name=cmd_name)), None)
        return None if found is None else load(found)


def _write_no_more() -> None:
    """Python would complain once more when flushing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load(found: EntryPoint) -> click.Command:
    """The command; where it cannot be had, one that says so."""
    try:
        command = found.load()
    except Exception as error:  # noqa: BLE001 - whatever somebody's module raises
        return _broken(found, f"{found.value} cannot be imported: {type(error).__name__}: {error}")
    if not isinstance(command, click.Command):
        return _broken(found, f"{found.value} is no click command")
    return command


def _broken(found: EntryPoint, cause: str) -> click.Command:
    package = found.dist.name if found.dist is not None else "unknown"

    def callback() -> None:
        click.echo(f"{found.name}, of package {package}: {cause}. Repair or remove that package", err=True)
        raise SystemExit(EXIT_BROKEN)

    # whatever options it was given: none of them can be known
    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        found.name, callback=callback, context_settings=settings, short_help=f"Broken: {cause}", add_help_option=False
    )
