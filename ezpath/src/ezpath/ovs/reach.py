"""How one host's Open vSwitch is reached: over the sockets in its run directory, or over TCP, with TLS or without.

Adapter. OVSDB has one address, OpenFlow one for each bridge; ovs-vswitchd's control socket can only be had on the spot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ezpath.ovs.errors import OvsUnreachable, OvsUntrusted
from ezpath.tls import BadFile, TlsFiles

CONNECT_TIMEOUT_S = 3.0
NO_TLS = TlsFiles("--ovs")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Reach:
    """``openflow``: bridges whose management sockets are not those in ``run_dir``, each with its remote."""

    ovsdb: str
    run_dir: Path | None = None
    openflow: Mapping[str, str] = field(default_factory=dict)
    tls: TlsFiles = NO_TLS

    def bridge(self, name: str) -> str | None:
        """The OpenFlow remote of a bridge; None where nobody can tell."""
        if name in self.openflow:
            return self.openflow[name]
        return f"unix:{self.run_dir}/{name}.mgmt" if self.run_dir is not None else None

    def known(self, bridges: Iterable[str]) -> list[str]:
        """Those that can be talked to, in order."""
        return sorted(name for name in bridges if self.bridge(name) is not None)


async def open_streams(remote: str, tls: TlsFiles = NO_TLS) -> Streams:
    """Connect to ``unix:PATH``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``. Raises :class:`OvsUnreachable`."""
    kind, _, where = remote.partition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if kind == "unix":
                return await asyncio.open_unix_connection(where)
            host, port = _place(where)
            if kind != "ssl":
                return await asyncio.open_connection(host, port)
            if tls.ca is None:
                raise OvsUntrusted(f"{remote}: that is TLS, and {tls.option}-ca is not given. Give {tls.wanted}")
            return await asyncio.open_connection(host, port, ssl=tls.context(), server_hostname=host)
    except TimeoutError:
        raise OvsUnreachable(f"{remote}: no answer within {CONNECT_TIMEOUT_S:g} s") from None
    except (OSError, ValueError, BadFile) as error:
        if (refusal := tls.refusal(error)) is not None:
            raise OvsUntrusted(f"{remote}: {refusal}") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise OvsUnreachable(f"{remote}: {reason}") from None


async def explained(remote: str, tls: TlsFiles, error: OvsUnreachable) -> OvsUnreachable:
    """``error``, or what is behind it: who is refused for his certificate, or for having none, only sees the end."""
    kind, _, where = remote.partition(":")
    if kind == "unix" or isinstance(error, OvsUntrusted):
        return error
    refusal = await (tls if kind == "ssl" else TlsFiles(tls.option)).probe(*_place(where))
    return OvsUntrusted(f"{remote}: {refusal}") if refusal is not None else error


def _place(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)
