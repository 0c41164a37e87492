"""TCP ports for servers that are started here."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """TCP ports on loopback that nobody has. All different: they are looked for at once."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
