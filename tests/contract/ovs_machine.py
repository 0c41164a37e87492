"""One host's Open vSwitch for tests: its own namespace, database and daemons, containers, and the wire to the ToR.

Everything is named ``ezt-ovs-…`` and is gone at the end: daemons by pid, then the namespaces.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
TEST_TYPE = b"\x88\xb5"
"""Ethernet type for local experiments: what else passes a wire is not looked at."""
_CLONE_NEWNET = 0x40000000
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 8, 23
_AUXDATA = struct.Struct("=IIIHHHH")
_VLAN_VALID = 1 << 4
_serial = 0
FENCE_COOKIE = "cookie=0xe25f"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(dst: str, src: str, payload: bytes = b"hello", vid: int | None = None) -> bytes:
    """An Ethernet frame of the test type, tagged where ``vid`` is given."""
    tag = b"" if vid is None else b"\x81\x00" + vid.to_bytes(2, "big")
    return mac(dst) + mac(src) + tag + TEST_TYPE + payload.ljust(46, b"\0")


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


class Wire:
    """The far end of a veth pair: put frames in, take frames out as they were on the wire, tag included."""

    def __init__(self, namespace: str, interface: str) -> None:
        self._socket = _socket_in(namespace)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((interface, 3))

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self, count: int = 1, timeout_s: float = 2.0) -> list[bytes]:
        """Up to ``count`` frames of the test type; fewer where no more come in time."""
        frames: list[bytes] = []
        deadline = time.monotonic() + timeout_s
        while len(frames) < count and (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, 64)
            except TimeoutError:
                break
            data = _with_tag(data, ancillary)
            if TEST_TYPE in (data[12:14], data[16:18]):
                frames.append(data)
        return frames

    def silent(self, for_s: float = 0.3) -> bool:
        """Whether no frame of the test type comes within ``for_s`` seconds."""
        return not self.receive(1, for_s)

    def close(self) -> None:
        self._socket.close()


class OvsMachine:
    """One host: ``br-int`` with containers, ``br-phy`` with the uplink ``eth0``, whose far end is :attr:`uplink`."""

    def __init__(self, directory: Path) -> None:
        global _serial
        _serial += 1
        self.namespace = f"ezt-ovs-{os.getpid()}-{_serial}"
        self.directory = directory
        self._wires_namespace = f"{self.namespace}-w"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._wires: list[Wire] = []
        self._ports = 0
        self._number = _serial
        self._managed = ""

    # ---- life --------------------------------------------------------------

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for namespace in (self.namespace, self._wires_namespace):
            run("ip", "netns", "add", namespace)
            quiet = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done"
            run("ip", "netns", "exec", namespace, "sh", "-c", quiet)
        run("ovsdb-tool", "create", str(self.directory / "conf.db"), str(SCHEMA))
        self.start_ovsdb()
        self.vsctl("--no-wait", "init")
        self.start_vswitchd()
        for bridge in ("br-int", "br-phy"):
            self.vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
        self.uplink = self.plug("br-phy", "eth0")

    def start_ovsdb(self) -> None:
        socket_path = self.directory / "db.sock"
        # As distributions start it: what it shows over TLS, and where it listens beside, stands in the database.
        shown = [f"--{what.replace('_', '-')}=db:Open_vSwitch,SSL,{what}" for what in ("private_key", "certificate")]
        shown += ["--ca-cert=db:Open_vSwitch,SSL,ca_cert", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options"]
        self._daemon("ovsdb-server", str(self.directory / "conf.db"), f"--remote=punix:{socket_path}", *shown)
        wait_until(lambda: _accepts(socket_path), "ovsdb-server listens")

    def start_vswitchd(self) -> None:
        process = self._daemon("ovs-vswitchd", self.remote)
        control = self.directory / f"ovs-vswitchd.{process.pid}.ctl"
        wait_until(lambda: _accepts(control), "ovs-vswitchd listens")
        bridges = self.vsctl("--no-wait", "list-br").split()
        sockets = [self.directory / f"{bridge}.mgmt" for bridge in bridges]
        wait_until(lambda: all(_accepts(path) for path in sockets), "bridges are up")

    def kill(self, name: str) -> None:
        """End ``ovsdb-server`` or ``ovs-vswitchd`` at once, as a crash would."""
        process = self._daemons.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        self._daemons[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._daemons[name].send_signal(signal.SIGCONT)

    def restart_vswitchd(self) -> None:
        self.kill("ovs-vswitchd")
        self.start_vswitchd()

    def stop(self) -> None:
        for wire in self._wires:
            wire.close()
        for name in list(self._daemons):
            self.kill(name)
        for namespace in (self.namespace, self._wires_namespace):
            run("ip", "netns", "delete", namespace, check=False)

    def _daemon(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        pidfile = self.directory / f"{name}.pid"
        pidfile.unlink(missing_ok=True)
        options = (f"--pidfile={pidfile}", "-vconsole:off", "-vsyslog:off", f"--log-file={self.directory / name}.log")
        environment = {**os.environ, "OVS_RUNDIR": str(self.directory), "OVS_LOGDIR": str(self.directory)}
        # ip netns exec becomes the daemon, so its pid is the daemon's.
        command = ("ip", "netns", "exec", self.namespace, name, *arguments, *options)
        with (self.directory / f"{name}.err").open("ab") as err:
            process = subprocess.Popen(command, env=environment, stdout=err, stderr=err, start_new_session=True)
        self._daemons[name] = process
        return process

    # ---- what an operator does ---------------------------------------------

    @property
    def remote(self) -> str:
        return f"unix:{self.directory / 'db.sock'}"

    def openflow(self, bridge: str) -> str:
        return f"unix:{self.directory / bridge}.mgmt"

    @property
    def address(self) -> str:
        """On the management network."""
        return self._address(1)

    def _address(self, end: int) -> str:
        return f"198.18.{os.getpid() % 256}.{(2 * self._number + end) % 256}"

    def listen(self, kind: str, files: Sequence[Path] = ()) -> dict[str, str]:
        """On a management network of its own, as ``ssl`` with key, certificate and CA, or ``tcp``; returns remotes.

        By what is reached there: ``ovsdb`` and each bridge.
        """
        theirs = self.address
        if not self._managed:
            self._managed = f"ezt-m{os.getpid()}-{self._number}"
            run("ip", "link", "add", self._managed, "type", "veth", "peer", "name", "mgmt", "netns", self.namespace)
            run("ip", "address", "add", f"{self._address(0)}/31", "dev", self._managed)
            run("ip", "link", "set", self._managed, "up")
            run("ip", "-n", self.namespace, "address", "add", f"{theirs}/31", "dev", "mgmt")
            run("ip", "-n", self.namespace, "link", "set", "mgmt", "up")
        if files:
            self.vsctl("set-ssl", *map(str, files))
        # Others for each kind: who listens already does so until the new one does.
        first = {"ssl": 6640, "tcp": 6740}[kind]
        ports = {"ovsdb": first, "br-int": first + 13, "br-phy": first + 14}
        self.vsctl("set-manager", f"p{kind}:{first}:{theirs}")
        for bridge in ("br-int", "br-phy"):
            self.vsctl("set-controller", bridge, f"p{kind}:{ports[bridge]}:{theirs}")
        wait_until(lambda: all(_accepts((theirs, port)) for port in ports.values()), "Open vSwitch listens")
        return {what: f"{kind}:{theirs}:{port}" for what, port in ports.items()}

    def vsctl(self, *arguments: str) -> str:
        return run("ovs-vsctl", f"--db={self.remote}", "--timeout=30", *arguments).strip()

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        return run("ovs-ofctl", "-O", "OpenFlow14", command, f"unix:{self.directory / bridge}.mgmt", *arguments)

    def add_flow(self, bridge: str, flow: str) -> None:
        self.ofctl("add-flow", bridge, flow)

    def flows(self, bridge: str) -> list[str]:
        """All rules that are there for frames, without what changes by itself."""
        return [flow for flow in self._dumped(bridge) if FENCE_COOKIE not in flow]

    def fence(self, bridge: str) -> list[str]:
        """The rules that keep earlier writers out: others for each writer."""
        return [flow for flow in self._dumped(bridge) if FENCE_COOKIE in flow]

    def _dumped(self, bridge: str) -> list[str]:
        target = f"unix:{self.directory / bridge}.mgmt"
        text = run("ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "--no-names", "dump-flows", target)
        return sorted(line.strip() for line in text.splitlines() if "actions=" in line)

    def ours(self, bridge: str) -> list[str]:
        return [flow for flow in self.flows(bridge) if "cookie=0xe25a" in flow]

    def others(self, bridge: str) -> list[str]:
        return [flow for flow in self.flows(bridge) if "cookie=0xe25a" not in flow]

    def plug(self, bridge: str, name: str, iface_id: str = "", ofport: int | None = None) -> Wire:
        """A veth pair: one end on ``bridge`` as ``name``, the other in the test's hand."""
        self._ports += 1
        far = f"w{self._ports}"
        pair = ("type", "veth", "peer", "name", far, "netns", self._wires_namespace)
        run("ip", "link", "add", name, "netns", self.namespace, *pair)
        for namespace, interface in ((self.namespace, name), (self._wires_namespace, far)):
            run("ip", "-n", namespace, "link", "set", interface, "up")
            offloads = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")
            run("ip", "netns", "exec", namespace, "ethtool", "-K", interface, *offloads, check=False)
        words = ["add-port", bridge, name]
        if iface_id or ofport:
            words += ["--", "set", "interface", name]
            words += [f"external_ids:iface-id={iface_id}"] if iface_id else []
            words += [f"ofport_request={ofport}"] if ofport else []
        self.vsctl(*words)
        wire = Wire(self._wires_namespace, far)
        self._wires.append(wire)
        return wire


def _accepts(where: Path | tuple[str, int]) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as probe:
        return probe.connect_ex(str(where) if isinstance(where, Path) else where) == 0


def _socket_in(namespace: str) -> socket.socket:
    """A packet socket of ``namespace``: made by a thread that goes there and ends."""
    made: list[socket.socket] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{namespace}").open() as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                return
        made.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert made, f"cannot enter namespace {namespace}"
    return made[0]


def _with_tag(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The kernel takes a tag out of a frame on its way up; back to where it was."""
    for level, kind, extra in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            status, _, _, _, _, tag, _ = _AUXDATA.unpack_from(extra)
            if status & _VLAN_VALID:
                return b"".join((data[:12], b"\x81\x00", int(tag).to_bytes(2, "big"), data[12:]))
    return data
