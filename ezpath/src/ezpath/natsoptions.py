"""The options that say where NATS is, and how to show it who we are: the same for every service and command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from ezpath import natsurl
from ezpath.bus.access import Access
from ezpath.tls import NKEY, of_directory

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


def nats_options(help_: str) -> Callable[[_F], _F]:
    """Give a click command `--nats` and what belongs to it; it is called with one ``nats``, an :class:`Access`."""

    def with_options(command: _F) -> _F:
        @click.option(
            "--nats",
            envvar="EZPATH_NATS",
            default="nats://127.0.0.1:4222",
            show_default=True,
            metavar="URL[,URL…]",
            callback=natsurl.checked,
            help=f"{help_} [env: EZPATH_NATS]",
        )
        @click.option(
            "--trust",
            envvar="EZPATH_TRUST",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="What `ezpath trust init` made for this user: nkey, ca.pem, cert.pem, key.pem; shown to NATS and all "
            "else that is reached over TCP; options for single files outdo it. [env: EZPATH_TRUST]",
        )
        @click.option(
            "--nats-credentials",
            envvar="EZPATH_NATS_CREDENTIALS",
            type=_FILE,
            metavar="FILE",
            help="The NKey seed that says who this is. [env: EZPATH_NATS_CREDENTIALS]",
        )
        @click.option(
            "--nats-ca",
            envvar="EZPATH_NATS_CA",
            type=_FILE,
            metavar="FILE",
            help="TLS, with servers whose certificate this one signed, PEM. [env: EZPATH_NATS_CA]",
        )
        @click.option(
            "--nats-certificate",
            envvar="EZPATH_NATS_CERTIFICATE",
            type=_FILE,
            metavar="FILE",
            help="Our own, for servers that ask for one, PEM. [env: EZPATH_NATS_CERTIFICATE]",
        )
        @click.option(
            "--nats-key",
            envvar="EZPATH_NATS_KEY",
            type=_FILE,
            metavar="FILE",
            help="The certificate's private key, PEM. [env: EZPATH_NATS_KEY]",
        )
        @functools.wraps(command)
        def with_nats(
            *args: Any,
            nats: str,
            trust: Path | None,
            nats_credentials: Path | None,
            nats_ca: Path | None,
            nats_certificate: Path | None,
            nats_key: Path | None,
            **rest: Any,
        ) -> Any:
            if (nats_certificate is None) != (nats_key is None):
                raise click.UsageError("--nats-certificate and --nats-key go together: give both")
            if trust is not None:
                nats_credentials = nats_credentials or trust / NKEY
                nats_ca, nats_certificate, nats_key = of_directory(trust, nats_ca, nats_certificate, nats_key)
            if nats_certificate is not None and nats_ca is None:
                raise click.UsageError("--nats-certificate is of no use without --nats-ca: TLS begins with that")
            return command(*args, nats=Access(nats, nats_credentials, nats_ca, nats_certificate, nats_key), **rest)

        return cast(_F, with_nats)

    return with_options
