"""docs/SETTINGS.md and docs/CLI.md, from the options themselves: `make reference` writes them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from ezpath.configfile import SHARED, options_of, service_of

WIDTH = 100
_SETTINGS = """\
# Settings

Made from the services' own options by `make reference`; a test holds it in step. Each may be given as a flag, in the
environment, or in a file (`--config settings.yaml`, or EZPATH_CONFIG); a flag outdoes the environment, that the file,
and that the default. The file has what all services share at the top, and a section for each service:

```yaml
nats: nats://10.0.0.5:4222
inventory: /etc/ezpath/network.yaml
decider:
  interval: 0.5
  shards: 4
collector:
  interval: 0.5
```

A key that nobody knows is refused, with the nearest right one, file and line; so is a variable that nearly is one.
`ezpath check-config settings.yaml` says so of the sections of all services before they do. What
the network is (tenants, switches, hosts, endpoints) stands in the inventory ([INVENTORY.md](INVENTORY.md)), what is
moved in the policy ([STRATEGIES.md](STRATEGIES.md)).
"""
_CLI = """\
# The command line

Made from the commands' own help by `make reference`; a test holds it in step.

Exit status of all: 0 done, 1 asked, and the answer is no, 2 wrong usage (the command line, or a file given with it),
3 NATS not reachable, 130 interrupted before there was an answer (what goes on until it is interrupted ends with 0).
They are part of the interface: scripts may rely on them. Every listing has `-o table|wide|json|jsonl|yaml`; on a narrow
terminal tables leave out what can be spared, and `wide` never does. Colours appear on a terminal only, and never with
NO_COLOR.
"""


def settings(commands: Mapping[str, click.Command]) -> str:
    """docs/SETTINGS.md. ``commands``: the services' programs by name."""
    return "\n".join(_settings(commands)) + "\n"


def _settings(commands: Mapping[str, click.Command]) -> Iterator[str]:
    yield _SETTINGS.rstrip()
    first = next(iter(commands.values()))
    yield from ("", "## All services", "")
    yield from _table({name: option for name, option in options_of(first).items() if name in SHARED})
    for program, command in commands.items():
        yield from ("", f"## {program}", "", (command.help or "").split("\n\n")[0].replace("\n", " "), "")
        without = [f"`{name}`" for name in SHARED if name not in options_of(command)]
        lacks = f" Of those of all services it has no {' and no '.join(without)}." if without else ""
        yield f"In a file: below `{service_of(command)}:`.{lacks}"
        yield ""
        yield from _table({name: option for name, option in options_of(command).items() if name not in SHARED})


def _table(options: Mapping[str, click.Option]) -> Iterator[str]:
    yield "| key | flag | variable | value | default | |"
    yield "|---|---|---|---|---|---|"
    for name, option in options.items():
        flag = "/".join((*option.opts, *option.secondary_opts))
        variable = f"`{option.envvar}`" if isinstance(option.envvar, str) else ""
        text = (option.help or "").split(" [env: ")[0].replace("|", "\\|")
        yield f"| `{name}` | `{flag}` | {variable} | {_value(option)} | {_default(option)} | {text} |"


def _value(option: click.Option) -> str:
    """What it may be: its unit, and its bounds."""
    if option.is_flag:
        return "true or false"
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    what = option.metavar or ("NUMBER" if isinstance(option.type, click.FloatRange | click.IntRange) else "TEXT")
    if option.multiple:
        return f"list of {what}; in the variable with spaces between"
    bounds = option.type
    if not isinstance(bounds, click.FloatRange | click.IntRange):
        return what
    if bounds.min is not None:
        what += f", {'more than' if bounds.min_open else 'at least'} {bounds.min:g}"
    return f"{what}, at most {bounds.max:g}" if bounds.max is not None else what


def _default(option: click.Option) -> str:
    if option.required:
        return "has to be given"
    if option.is_flag:
        return "`false`"
    if option.multiple or option.default in (None, "") or callable(option.default) or "UNSET" in repr(option.default):
        return "none"
    return f"`{str(option.default).removesuffix('.0')}`"


def cli(main: click.Group, names: list[str]) -> str:
    """docs/CLI.md: the commands of ``names``, with those below them."""
    root = click.Context(main, info_name="ezpath", terminal_width=WIDTH, **main.context_settings)
    return "\n".join([_CLI, *_commands(root, main, names)])


def _commands(above: click.Context, group: click.Group, names: list[str]) -> Iterator[str]:
    for name in names:
        command = group.get_command(above, name)
        assert command is not None, name
        command._help_option = None  # click keeps the one that it made first, whatever context that was for
        here = click.Context(command, info_name=name, parent=above, terminal_width=WIDTH)
        yield f"## {here.command_path}\n\n```text\n{command.get_help(here)}\n```\n"
        if isinstance(command, click.Group):
            yield from _commands(here, command, command.list_commands(here))
