"""TLS for P4Runtime, on both sides, by files that are read anew for each connection.

Over TCP only: a unix socket is guarded by who may open its file.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import grpc

from p4rt.service import Context


class BadTls(Exception):
    """A file is not what it should be; the message names it, and says why."""


class Refusal(Protocol):
    """Why a handshake came to nothing, and what to do."""

    @property
    def why(self) -> str: ...

    @property
    def remedy(self) -> str: ...


class Files(Protocol):
    """What a client shows and believes, and how it finds out why it was refused: gRPC does not say.

    ``ca``: who signs the switches that are believed; without, nothing is encrypted.
    """

    @property
    def ca(self) -> Path | None: ...

    @property
    def certificate(self) -> Path | None: ...

    @property
    def key(self) -> Path | None: ...

    async def probe(self, host: str, port: int) -> Refusal | None: ...


def over_tcp(address: str) -> bool:
    """Whether TLS has to guard what is said to ``address``."""
    return not address.startswith("unix:")


def place_of(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``[::1]:port`` or ``dns:///host:port``."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    return host.strip("[]"), int(port)


def client_credentials(ca: Path, certificate: Path | None, key: Path | None) -> grpc.ChannelCredentials:
    """Raises :class:`BadTls`."""
    _check(ca, certificate, key)
    own = (_read(key), _read(certificate)) if certificate is not None and key is not None else (None, None)
    return grpc.ssl_channel_credentials(_read(ca), *own)


def server_credentials(
    ca: Path, certificate: Path, key: Path, complain: Callable[[BadTls], None]
) -> grpc.ServerCredentials:
    """Clients have to show a certificate that ``ca`` signed. Renewed files are shown from the next handshake on.

    Where they are no good then, what was shown before is shown again, and ``complain`` is told. Raises :class:`BadTls`.
    """

    def shown() -> grpc.ServerCertificateConfiguration:
        _check(ca, certificate, key)
        return grpc.ssl_server_certificate_configuration([(_read(key), _read(certificate))], _read(ca))

    def shown_anew() -> grpc.ServerCertificateConfiguration | None:
        try:
            return shown()
        except BadTls as error:
            complain(error)
            return None

    # None for no change is gRPC's own word, and not known to its types.
    return grpc.dynamic_ssl_server_credentials(shown(), shown_anew, True)  # type: ignore[arg-type]


def common_name(context: Context) -> str | None:
    """Of the client's certificate; None where it has shown none, as over a unix socket."""
    shown: Mapping[str, Iterable[bytes]] = context.auth_context()
    return next((name.decode(errors="replace") for name in shown.get("x509_common_name", ())), None)


def _check(ca: Path, certificate: Path | None, key: Path | None) -> None:
    """gRPC takes what cannot work as well, and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise BadTls(f"{ca} is no certificate to check others by, PEM: {_words(error)}") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise BadTls(f"{certificate} does not go with the key {key}: {_words(error)}") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadTls(f"{file} cannot be read: {_words(error)}") from None


def _words(error: OSError) -> str:
    return str(error.reason).lower().replace("_", " ") if isinstance(error, ssl.SSLError) else str(error.strerror)
