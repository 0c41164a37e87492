"""The two top-of-rack switches: the software ToR in a namespace each, ports bound to its interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ezpath_lab.processes import TOR, Processes, accepts
from ezpath_lab.shell import program
from ezpath_lab.topology import UPLINK_PORT, Topology, Tor, tor_socket


def start_all(topology: Topology, run_dir: Path, processes: Processes, limits: Sequence[tuple[str, str]]) -> None:
    """Start both ToRs and wait until they serve P4Runtime. ``limits``: (ToR, ``TABLE=N``). Raises LabError."""
    for tor in topology.tors:
        socket = tor_socket(run_dir, tor.name)
        child = processes.start(
            tor.name,
            *_command(topology, tor, socket, [limit for name, limit in limits if name == tor.name]),
            rank=TOR,
            namespace=topology.namespace(tor.name),
        )
        processes.wait_ready(child, lambda socket=socket: accepts(socket), "listening")  # type: ignore[misc]


def _command(topology: Topology, tor: Tor, socket: Path, limits: Sequence[str]) -> list[str]:
    words = [program("ezpath-tor"), "--device-id", str(tor.device_id), "--listen", f"unix:{socket}"]
    for number in (*(host.port for host in topology.hosts_of(tor.name)), UPLINK_PORT):
        words += ["--port", f"{number}=eth{number}"]
    for limit in limits:
        words += ["--limit", limit]
    return words
