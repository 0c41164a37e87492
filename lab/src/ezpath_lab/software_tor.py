"""The software ToR as one of the lab's kinds of switches: ``ezpath-tor`` with the program as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ezpath_lab.processes import Processes
from ezpath_lab.shell import program
from ezpath_lab.topology import TUNNEL_OCTETS, UPLINK_PORT, Topology, Tor, tor_socket
from ezpath_lab.tors import Limit, Prepared
from ezpath_lab.workload import USUAL


class SoftwareTor:
    """Takes a table's limit on its command line, and its program's packets from the kernel once it is loaded."""

    says_full = "RESOURCE_EXHAUSTED"
    pace = USUAL
    in_user_space = False

    def require(self) -> None:
        program("ezpath-tor")

    def prepare(self, topology: Topology, p4_dir: Path, run_dir: Path, limits: Sequence[Limit]) -> Prepared:
        return Prepared(p4_dir)

    def command(self, topology: Topology, tor: Tor, run_dir: Path, limits: Sequence[Limit]) -> list[str]:
        socket = tor_socket(run_dir, tor.name)
        words = [program("ezpath-tor"), "--device-id", str(tor.device_id), "--listen", f"unix:{socket}"]
        for number, interface in topology.ports_of(tor.name):
            words += ["--port", f"{number}={interface}"]
        # A tunnel's headers have to fit beside what a host may send.
        words += ["--min-mtu", f"{UPLINK_PORT}=+{TUNNEL_OCTETS}"]
        for limit in limits:
            words += ["--limit", f"{limit.table}={limit.entries}"]
        return words

    def start_beside(self, topology: Topology, tor: Tor, run_dir: Path, processes: Processes) -> None:
        """Nothing else is needed."""

    def take_over(self, topology: Topology) -> None:
        """It does so by itself: its program sees a frame before the kernel's router would."""
