"""Everything that moves a tunnel, running: nats-server, decider, writers, a software ToR and an Open vSwitch a rack.

All of it is what runs in a network: only the containers are missing. Endpoints are patch ports of Open vSwitch, which
have numbers like any other port and cost the kernel nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ezpath_lab.ports import free_ports
from ezpath_lab.shell import LabError, in_namespace, program, run

from ezpath_bench.dataplane.paths import Workshop, veth
from ezpath_bench.saga.network import FABRIC_PORT, FIRST_OFPORT, HOST_PORT, Network, Rack

MTU = 1500
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_PROTOCOLS = "OpenFlow10,OpenFlow13,OpenFlow14"
_PORTS_AT_ONCE = 250
READY_S = 60.0


class Site:
    """Brought up by its parts' methods, in order; ``stack`` takes it down in the opposite one."""

    def __init__(self, network: Network, workshop: Workshop, p4_dir: Path, stack: ExitStack) -> None:
        self.network = network
        self.processes: list[tuple[str, int]] = []
        """(kind, process id) of each."""
        self.nats = ""
        self._workshop = workshop
        self._p4_dir = p4_dir
        self._stack = stack
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._inventory = network.directory / "network.yaml"

    def start_network(self) -> None:
        """NATS, and the ToR and the host of each rack."""
        (port,) = free_ports(1)
        store = self.network.directory / "nats"
        self._start("nats-server", program("nats-server"), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(store))
        self.nats = f"nats://127.0.0.1:{port}"
        self._wait("nats-server", lambda: _connects(("127.0.0.1", port)))
        for rack in self.network.all_racks():
            tor = self._workshop.namespace(self._stack, rack.switch, "t")
            host = self._workshop.namespace(self._stack, rack.host, "h")
            veth((tor, "p1"), (host, "eth0"), MTU)
            veth((tor, "p10"), (tor, "far"), MTU + 50)
            self._start_tor(rack, tor)
            self._start_ovs(rack, host)

    def start_services(self, decider: Mapping[str, str]) -> None:
        """The inventory, and the three services that move tunnels; ``decider``'s options as they are given."""
        self._inventory.write_text(self.network.inventory(), encoding="utf-8")
        common = ("--nats", self.nats, "--inventory", str(self._inventory), "--log-level", "warning")
        services = {
            "switch-writer": ("--p4-dir", str(self._p4_dir)),
            "host-writer": (),
            "decider": tuple(word for option in decider.items() for word in option),
        }
        for name, options in services.items():
            ready = self.network.directory / f"{name}.ready"
            words = (*common, *options, "--ready-file", str(ready))
            self._start(name, program(f"ezpath-{name}"), *words)
        for name in services:
            self._wait(name, (self.network.directory / f"{name}.ready").exists)

    def check_alive(self) -> None:
        """Raises :class:`LabError` where one of them has ended."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise LabError(
                    f"{name} ended with status {child.returncode}. {self._log(name)} ends:{self._tail(name)}"
                )

    # ---- parts ---------------------------------------------------------------

    def _start_tor(self, rack: Rack, namespace: str) -> None:
        words = ["--device-id", str(rack.number), "--listen", f"unix:{rack.tor_socket}", "--log-level", "error"]
        words += ["--port", f"{HOST_PORT}=p1", "--port", f"{FABRIC_PORT}=p10", "--empty", "--die-with-parent"]
        self._start(f"software ToR {rack.number}", program("ezpath-tor"), *words, namespace=namespace)
        self._wait(f"software ToR {rack.number}", lambda: _connects(str(rack.tor_socket)))

    def _start_ovs(self, rack: Rack, namespace: str) -> None:
        directory = rack.ovs
        directory.mkdir()
        database, remote = directory / "conf.db", f"unix:{directory}/db.sock"
        run("ovsdb-tool", "create", str(database), _SCHEMA)
        options = ("-vsyslog:off", "-vfile:off", "-vconsole:err")
        here = {"OVS_RUNDIR": str(directory), "OVS_LOGDIR": str(directory), "OVS_DBDIR": str(directory)}

        def daemon(name: str, *words: str) -> None:
            pid = f"--pidfile={directory}/{name.split()[0]}.pid"
            self._start(name, name.split()[0], *words, pid, *options, namespace=namespace, env=here)

        daemon(f"ovsdb-server {rack.number}", str(database), f"--remote=p{remote}")
        self._wait(f"ovsdb-server {rack.number}", lambda: _connects(f"{directory}/db.sock"))
        vsctl = ("ovs-vsctl", f"--db={remote}", "--timeout=60")
        run(*vsctl, "--no-wait", "init")
        daemon(f"ovs-vswitchd {rack.number}", remote)
        words = []
        for bridge in ("br-int", "br-phy"):
            words += ["--", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev"]
            words += ["fail_mode=secure", f"protocols={_PROTOCOLS}"]
        run(*vsctl, *words, "--", "add-port", "br-phy", "eth0", "--", "set", "interface", "eth0", "ofport_request=1")
        for first in range(0, self.network.endpoints, _PORTS_AT_ONCE):
            numbers = range(first, min(first + _PORTS_AT_ONCE, self.network.endpoints))
            run(*vsctl, *(word for number in numbers for word in self._port(number)), timeout_s=90)

    def _port(self, number: int) -> list[str]:
        name, peer = self.network.interface(number), self.network.interface(number ^ 1)
        port = ["--", "add-port", "br-int", name, "--", "set", "interface", name, "type=patch"]
        return [*port, f"options:peer={peer}", f"ofport_request={FIRST_OFPORT + number}"]

    # ---- processes -----------------------------------------------------------

    def _start(self, name: str, *argv: str, namespace: str = "", env: Mapping[str, str] | None = None) -> None:
        command = in_namespace(namespace, *argv) if namespace else argv
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        with self._log(name).open("ab") as log:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, env={**clean, **(env or {})}, start_new_session=True
            )
        self._stack.callback(_end, child)
        self._children[name] = child
        kind = name.rstrip(" 0123456789")
        self.processes.append((kind, child.pid))

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise LabError(f"{name}: not ready after {READY_S:.0f} s. {self._log(name)} ends:{self._tail(name)}")
            time.sleep(0.05)

    def _log(self, name: str) -> Path:
        return self.network.directory / f"{name.replace(' ', '-')}.log"

    def _tail(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n    {line}" for line in lines) or "\n    (nothing)"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(12)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _connects(where: str | tuple[str, int]) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as probe:
        return probe.connect_ex(where) == 0
