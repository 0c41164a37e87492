"""Options that services, the console and commands have in common, each written once.

Whoever has one has it under the same name, of the same type and from the same variable.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ezpath.telemetry import LOG_LEVELS

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


def inventory_file_option(help_: str, parameter: str = "inventory", *, required: bool = True) -> Callable[[_F], _F]:
    """`--inventory FILE`; the command gets the path as ``parameter``."""
    return click.option(
        "--inventory",
        parameter,
        envvar="EZPATH_INVENTORY",
        required=required,
        type=_FILE,
        metavar="FILE",
        help=f"{help_} [env: EZPATH_INVENTORY]",
    )


def log_level_option(command: _F) -> _F:
    """`--log-level`."""
    return click.option(
        "--log-level",
        envvar="EZPATH_LOG_LEVEL",
        default="info",
        show_default=True,
        type=click.Choice(LOG_LEVELS),
        help="How much the log says. [env: EZPATH_LOG_LEVEL]",
    )(command)


def ready_file_option(command: _F) -> _F:
    """`--ready-file FILE`."""
    return click.option(
        "--ready-file",
        envvar="EZPATH_READY_FILE",
        type=_FILE,
        metavar="FILE",
        help="Created when the service is ready, removed when it stops. [env: EZPATH_READY_FILE]",
    )(command)


def metrics_option(command: _F) -> _F:
    """`--metrics ADDRESS:PORT`."""
    return click.option(
        "--metrics",
        envvar="EZPATH_METRICS",
        metavar="ADDRESS:PORT",
        help="Serve metrics for Prometheus there, such as 127.0.0.1:9464. Off by default. [env: EZPATH_METRICS]",
    )(command)


def traces_option(command: _F) -> _F:
    """`--traces URL`."""
    return click.option(
        "--traces",
        envvar="EZPATH_TRACES",
        metavar="URL",
        help="Send a trace of each offload there, OTLP over HTTP, such as to http://127.0.0.1:4318. Off by default. "
        "[env: EZPATH_TRACES]",
    )(command)
