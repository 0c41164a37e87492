"""The HTTP server that Prometheus scrapes. Adapter around prometheus-client's, which answers in threads of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from ezpath.listen import address_of as listen_address

LISTEN_HINT = "Give --metrics ADDRESS:PORT, such as 127.0.0.1:9464"


class CannotListen(Exception):
    """Metrics were asked for at an address where they cannot be served."""


def address_of(listen: str) -> tuple[str, int]:
    """Address and port of ``127.0.0.1:9464``, ``[::1]:9464`` or ``:9464``. Raises :class:`CannotListen`."""
    try:
        return listen_address(listen)
    except ValueError as error:
        raise CannotListen(f"--metrics {error}. {LISTEN_HINT}") from None


def expose(listen: str, registry: CollectorRegistry) -> None:
    """Serve ``registry`` at ``http://listen/metrics`` until the process ends. Raises :class:`CannotListen`."""
    host, port = address_of(listen)
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise CannotListen(
            f"--metrics {listen}: cannot be listened on: {error.strerror or error}. "
            "Give an address of this machine with a port that is free (ss -ltnp names who has it)"
        ) from None
