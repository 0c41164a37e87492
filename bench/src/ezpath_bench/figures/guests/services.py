"""Everything of EZPath's around two guests: NATS, a software ToR a rack, and the real services."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import yaml
from ezpath_lab.processes import BUS, SERVICE, TOR, Processes, accepts
from ezpath_lab.shell import program, run
from ezpath_lab.state import LabState

from ezpath_bench.dataplane.paths import Switch
from ezpath_bench.figures.guests import network, plan
from ezpath_bench.figures.guests.network import FABRIC_PORT, HOST_PORT
from ezpath_bench.figures.guests.plan import SIDES, Side

DRAIN_S = 1.0


class Services:
    """Started by :meth:`start`; ``stack`` stops them."""

    def __init__(self, folder: Path, p4_dir: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.nats = ""
        self.tors: list[Switch] = []
        self.vids = plan.VIDS
        self._p4_dir = p4_dir.resolve()
        self._inventory = folder / "network.yaml"
        self._processes = Processes(LabState(directory=folder, run_dir=folder))
        stack.callback(self._processes.stop_all)

    def start(self, wire: str, tors: Mapping[Side, str], ways: Mapping[Side, Mapping[str, str]]) -> None:
        """``wire`` is the cables' namespace, ``tors`` those of the switches; ``ways`` lead to each Open vSwitch socket
        (see ways.py). Raises LabError."""
        self._inventory.write_text(yaml.safe_dump(network.inventory(self.folder, self.vids), sort_keys=False))
        self._start_bus()
        for side, namespace in tors.items():
            self._start_tor(side, namespace)
        for side in SIDES:
            self._open_ways(side, wire, ways[side])
        for name, options in (
            ("switch-writer", ("--p4-dir", str(self._p4_dir))),
            ("host-writer", ()),
            ("decider", ("--strategy", "pinned", "--drain-s", str(DRAIN_S))),
        ):
            self._start_service(name, *options)

    def move(self, order: str, kind: str) -> None:
        """``offload`` or ``revert`` the pair of ``kind``; returns when it is done. Raises LabError."""
        words = (order, network.pair(kind), "--nats", self.nats, "--inventory", str(self._inventory))
        run(program("ezpath"), *words, timeout_s=40)

    def _start_bus(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(self.folder / "nats"))
        child = self._processes.start("nats-server", program("nats-server"), *words, rank=BUS)
        self._processes.wait_ready(child, lambda: _connects(port), "listening")
        self.nats = f"nats://127.0.0.1:{port}"

    def _start_tor(self, side: Side, namespace: str) -> None:
        where = network.tor_socket(side, self.folder)
        words = ["--device-id", str(side.number + 1), "--listen", f"unix:{where}", "--log-level", "error", "--empty"]
        words += ["--port", f"{HOST_PORT}=host", "--port", f"{FABRIC_PORT}=fabric", "--die-with-parent"]
        child = self._processes.start(
            network.switch(side), program("ezpath-tor"), *words, rank=TOR, namespace=namespace
        )
        self._processes.wait_ready(child, lambda: accepts(where), "listening")
        self.tors.append(Switch(child.popen.pid, f"unix:{where}", side.number + 1))

    def _open_ways(self, side: Side, wire: str, ways: Mapping[str, str]) -> None:
        there = network.ovs_dir(side, self.folder)
        there.mkdir()
        named = [f"{there / name}={way}" for name, way in ways.items()]
        words = (sys.executable, "-m", "ezpath_bench.figures.guests.ways", *named)
        child = self._processes.start(f"ways-{side.name}", *words, rank=TOR, namespace=wire)
        self._processes.wait_ready(child, lambda: all(accepts(there / name) for name in plan.SOCKETS), "listening")

    def _start_service(self, name: str, *options: str) -> None:
        ready = self.folder / f"{name}.ready"
        words = ("--nats", self.nats, "--inventory", str(self._inventory), "--log-level", "warning")
        argv = (program(f"ezpath-{name}"), *words, "--ready-file", str(ready), *options)
        child = self._processes.start(name, *argv, rank=SERVICE)
        self._processes.wait_ready(child, ready.exists, "ready", timeout_s=40)


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
