"""Where something listens, as it is given on a command line. Pure."""

from __future__ import annotations


def address_of(listen: str) -> tuple[str, int]:
    """Address and port of ``127.0.0.1:9464``, ``[::1]:9464`` or ``:9464``. Raises ValueError saying what is wrong."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{listen}: no address with a port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{listen}: an IPv6 address stands in brackets: [::1]:{port}")
    return host.strip("[]") or "0.0.0.0", int(port)
