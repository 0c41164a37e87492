"""The options that name the files for TLS with switches, or with Open vSwitch: the same for every program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from ezpath.tls import TlsFiles, of_directory

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


def _variable(word: str, name: str) -> str:
    return f"EZPATH_{word.upper()}_{name.upper()}"


VARIABLES = frozenset(_variable(word, name) for word in ("p4runtime", "ovs") for name in ("ca", "certificate", "key"))
"""Of one service or another: where one has them in its environment, they are no slip for those of NATS."""


def tls_options(word: str, whom: str, address: str) -> Callable[[_F], _F]:
    """Give a click command `--WORD-ca`, `--WORD-certificate` and `--WORD-key`; it is called with a TlsFiles, ``WORD``.

    Beside :func:`ezpath.natsoptions.nats_options`, whose `--trust` stands for all of them. ``whom``: the servers, in
    words. ``address``: what of theirs is spoken to over TLS.
    """

    def option(name: str, says: str) -> Callable[[_F], _F]:
        variable = _variable(word, name)
        return click.option(
            f"--{word}-{name}", envvar=variable, type=_FILE, metavar="FILE", help=f"{says} [env: {variable}]"
        )

    def with_options(command: _F) -> _F:
        @option("ca", f"TLS at {address}, with {whom} whose certificate this one signed, PEM.")
        @option("certificate", f"Our own, which {whom} ask for, PEM.")
        @option("key", "The certificate's private key, PEM.")
        @functools.wraps(command)
        def with_files(*args: Any, **given: Any) -> Any:
            ca, certificate, key = (given.pop(f"{word}_{name}") for name in ("ca", "certificate", "key"))
            if (certificate is None) != (key is None):
                raise click.UsageError(f"--{word}-certificate and --{word}-key go together: give both")
            if (trust := click.get_current_context().params.get("trust")) is not None:
                ca, certificate, key = of_directory(trust, ca, certificate, key)
            if certificate is not None and ca is None:
                raise click.UsageError(f"--{word}-certificate is of no use without --{word}-ca: TLS begins with that")
            return command(*args, **given, **{word: TlsFiles(f"--{word}", ca, certificate, key)})

        return cast(_F, with_files)

    return with_options
