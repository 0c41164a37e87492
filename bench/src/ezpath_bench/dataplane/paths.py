"""The ways from host a to host b that are compared, each in namespaces of its own, all up for the whole run.

bare     a ------------------------------------- b
bridge   a -- Linux bridge --------------------- b
vxlan    a -- bridge, VXLAN -- VXLAN, bridge --- b      what two ToRs do, by Linux's own devices
least    a -- least.c ------- least.c ---------- b      one tunnel by hand, nothing looked up: the kernel's own share
tor      a -- software ToR -- software ToR ----- b      tag to VXLAN, VXLAN to tag
bmv2     a -- BMv2 ---------- BMv2 ------------- b      the same program, the reference switch
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ezpath_lab.shell import in_namespace, program, run

from p4rt import Client, P4Info, TableEntry, Update

HOST_MTU, FABRIC_MTU = 1500, 1550
VNI = 5001
ADDRESSES = ("10.0.0.1", "10.0.0.2")
MACS = (0x020000000001, 0x020000000002)
VTEPS = (0x0AFF0001, 0x0AFF0002)
ROUTER_MACS = (0x02000000FF01, 0x02000000FF02)
VIDS = (100, 300)
HOST_PORT, FABRIC_PORT = 1, 10
PROGRAM = "ezpath"
EXTRA_MAC = 0x020100000000
"""Endpoints that only fill the table count upwards from here."""

_QUIET = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done"


class Unavailable(Exception):
    """This way cannot be had on this machine. The message says what is missing."""


@dataclass(slots=True)
class Way:
    """One way from a to b, ready for traffic."""

    name: str
    a: str
    b: str
    vid: int = 0
    """The tag that frames need which do not come out of a's own stack."""
    switches: list[Switch] = field(default_factory=list)


@dataclass(slots=True)
class Switch:
    """A P4 switch on the way, for those who fill its tables or ask what its program costs."""

    pid: int
    address: str
    device_id: int

    def program_time(self) -> tuple[int, int]:
        """Nanoseconds spent in its BPF program, and runs, since it was loaded (with kernel.bpf_stats_enabled)."""
        spent = runs = 0
        for info in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            fields = dict(line.split(":\t", 1) for line in info.read_text().splitlines() if ":\t" in line)
            if "run_cnt" in fields:
                spent, runs = spent + int(fields["run_time_ns"]), runs + int(fields["run_cnt"])
        return spent, runs


class Workshop:
    """Names, compiled programs and a folder that all ways share, and what takes them down in the end."""

    def __init__(self, folder: Path, p4: Path, runner: asyncio.Runner) -> None:
        """``runner``: gRPC keeps to the one event loop that it first met."""
        self.folder = folder
        self.runner = runner
        self.p4 = p4

    def namespace(self, stack: ExitStack, way: str, part: str) -> str:
        """A network namespace that is deleted with ``stack``."""
        name = f"ezbench-{way}-{part}-{os.getpid()}"
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "del", name)
        run(*in_namespace(name, "sh", "-ec", _QUIET))
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def load_program(self) -> str:
        """The load generator, compiled once."""
        made = self.folder / "load"
        if not made.exists():
            run("clang", "-O2", "-o", str(made), str(Path(__file__).with_name("load.c")))
        return str(made)

    def host(self, namespace: str, side: int, interface: str, vid: int) -> None:
        """Give a host its address, its peer's MAC, and the programs of host.c."""
        made = self.bpf("host", f"host-{vid}", VID=vid)
        link = ("ip", "-n", namespace)
        run(*link, "link", "set", interface, "address", colons(MACS[side]), "up")
        run(*link, "addr", "add", f"{ADDRESSES[side]}/24", "dev", interface)
        peer = (ADDRESSES[1 - side], "lladdr", colons(MACS[1 - side]))
        run(*link, "neigh", "add", *peer, "dev", interface, "nud", "permanent")
        attach(namespace, interface, made, egress="egress", ingress="ingress")

    def bpf(self, source: str, name: str, **defines: int) -> Path:
        """``source``.c compiled for tc with ``defines``, once under each ``name``."""
        made = self.folder / f"{name}.o"
        if not made.exists():
            include = ("-idirafter", f"/usr/include/{platform.machine()}-linux-gnu")
            options = [f"-D{key}={value}" for key, value in defines.items()]
            path = str(Path(__file__).parent / f"{source}.c")  # an absolute path stays what it is
            run("clang", "-O2", "-g", "-target", "bpf", *options, *include, "-c", path, "-o", str(made))
        return made


def colons(mac: int) -> str:
    return ":".join(f"{octet:02x}" for octet in mac.to_bytes(6, "big"))


def attach(namespace: str, interface: str, compiled: Path, **sections: str) -> None:
    """Sections of a compiled program to an interface's ``ingress`` and ``egress``."""
    run(*in_namespace(namespace, "tc", "qdisc", "add", "dev", interface, "clsact"))
    for direction, section in sections.items():
        what = ("bpf", "da", "obj", str(compiled), "sec", section)
        run(*in_namespace(namespace, "tc", "filter", "add", "dev", interface, direction, *what))


def veth(one: tuple[str, str], other: tuple[str, str], mtu: int) -> None:
    """A pair between two (namespace, interface), both up."""
    link = f"link add {one[1]} netns {one[0]} mtu {mtu} type veth peer name {other[1]} netns {other[0]} mtu {mtu}"
    run("ip", *link.split())
    for namespace, interface in (one, other):
        run("ip", "-n", namespace, "link", "set", interface, "up")


@contextmanager
def bare(workshop: Workshop) -> Iterator[Way]:
    with ExitStack() as stack:
        a, b = _hosts(workshop, stack, "bare")
        veth((a, "eth0"), (b, "eth0"), HOST_MTU)
        _finish(workshop, a, b)
        yield Way("bare", a, b)


@contextmanager
def bridge(workshop: Workshop) -> Iterator[Way]:
    with ExitStack() as stack:
        a, b = _hosts(workshop, stack, "bridge")
        middle = workshop.namespace(stack, "bridge", "br")
        _bridge(middle)
        for number, host in enumerate((a, b)):
            veth((host, "eth0"), (middle, f"port{number}"), HOST_MTU)
            run("ip", "-n", middle, "link", "set", f"port{number}", "master", "br0")
        _finish(workshop, a, b)
        yield Way("bridge", a, b)


@contextmanager
def vxlan(workshop: Workshop) -> Iterator[Way]:
    with ExitStack() as stack:
        a, b = _hosts(workshop, stack, "vxlan")
        middles = [workshop.namespace(stack, "vxlan", f"gw{number}") for number in (0, 1)]
        veth((middles[0], "fabric"), (middles[1], "fabric"), FABRIC_MTU)
        for number, (host, middle) in enumerate(zip((a, b), middles, strict=True)):
            _bridge(middle)
            veth((host, "eth0"), (middle, "host"), HOST_MTU)
            run("ip", "-n", middle, "addr", "add", f"192.168.0.{number + 1}/24", "dev", "fabric")
            ends = f"local 192.168.0.{number + 1} remote 192.168.0.{2 - number} dstport 4789"
            run("ip", "-n", middle, *f"link add vx0 mtu {HOST_MTU} type vxlan id {VNI} {ends}".split())
            for port in ("vx0", "host"):
                run("ip", "-n", middle, "link", "set", port, "master", "br0", "up")
        _finish(workshop, a, b)
        yield Way("vxlan", a, b)


@contextmanager
def least(workshop: Workshop) -> Iterator[Way]:
    with ExitStack() as stack:
        a, b = _hosts(workshop, stack, "least")
        middles = _middles(workshop, stack, "least", a, b)
        _finish(workshop, a, b, VIDS)
        for number, middle in enumerate(middles):
            for interface, out, section in (("host", "fabric", "encap"), ("fabric", "host", "decap")):
                [link] = json.loads(run("ip", "-n", middle, "-json", "link", "show", "dev", out))
                name = f"least-{number}-{section}"
                made = workshop.bpf("least", name, VID=VIDS[number], WAY_OUT=int(link["ifindex"]))
                attach(middle, interface, made, ingress=section)
        yield Way("least", a, b, VIDS[0])


@contextmanager
def tor(workshop: Workshop, name: str = "tor") -> Iterator[Way]:
    """``name`` tells several pairs apart."""

    def command(number: int) -> list[str]:
        listen = ("--listen", f"unix:{workshop.folder}/{name}{number}.sock")
        ports = ("--port", f"{HOST_PORT}=host", "--port", f"{FABRIC_PORT}=fabric")
        own = ("--device-id", str(number + 1), "--log-level", "warning", "--die-with-parent", "--empty")
        return [program("ezpath-tor"), *own, *listen, *ports]

    with _p4_switches(workshop, name, command) as way:
        yield way


@contextmanager
def bmv2(workshop: Workshop) -> Iterator[Way]:
    if shutil.which("simple_switch_grpc") is None:
        raise Unavailable("simple_switch_grpc is not on PATH")

    def command(number: int) -> list[str]:
        ports = ("-i", f"{HOST_PORT}@host", "-i", f"{FABRIC_PORT}@fabric")
        server = ("--", "--grpc-server-addr", f"unix:{workshop.folder}/bmv2{number}.sock")
        own = ("--device-id", str(number + 1), "--thrift-port", str(9090 + number))
        return ["simple_switch_grpc", "--no-p4", *own, *ports, *server]

    with _p4_switches(workshop, "bmv2", command) as way:
        for host in (way.a, way.b):
            # It copies frames out of the kernel: nobody would finish their checksums or cut them up.
            run(*in_namespace(host, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"))
        yield way


WAYS: dict[str, Callable[[Workshop], AbstractContextManager[Way]]] = {
    "bare": bare,
    "bridge": bridge,
    "vxlan": vxlan,
    "least": least,
    "tor": tor,
    "bmv2": bmv2,
}


def _hosts(workshop: Workshop, stack: ExitStack, way: str) -> tuple[str, str]:
    return workshop.namespace(stack, way, "a"), workshop.namespace(stack, way, "b")


def _middles(workshop: Workshop, stack: ExitStack, way: str, a: str, b: str) -> list[str]:
    """Two namespaces in series between a and b, cabled: `host` to its host, `fabric` to the other one."""
    middles = [workshop.namespace(stack, way, f"sw{number}") for number in (0, 1)]
    veth((middles[0], "fabric"), (middles[1], "fabric"), FABRIC_MTU)
    for host, middle in zip((a, b), middles, strict=True):
        veth((host, "eth0"), (middle, "host"), HOST_MTU)
    return middles


def _finish(workshop: Workshop, a: str, b: str, vids: tuple[int, int] = (0, 0)) -> None:
    for side, namespace in enumerate((a, b)):
        workshop.host(namespace, side, "eth0", vids[side])


def _bridge(namespace: str) -> None:
    run("ip", "-n", namespace, *["link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"])
    run("ip", "-n", namespace, "link", "set", "br0", "up")


@contextmanager
def _p4_switches(workshop: Workshop, name: str, command: Callable[[int], list[str]]) -> Iterator[Way]:
    """a - switch 1 - switch 2 - b, both with the program and one pair of endpoints offloaded."""
    with ExitStack() as stack:
        a, b = _hosts(workshop, stack, name)
        way = Way(name, a, b, VIDS[0])
        for number, middle in enumerate(_middles(workshop, stack, name, a, b)):
            argv = command(number)
            switch = subprocess.Popen(in_namespace(middle, *argv), stdout=subprocess.DEVNULL, start_new_session=True)
            stack.callback(_stop, switch)
            way.switches.append(Switch(switch.pid, f"unix:{workshop.folder}/{name}{number}.sock", number + 1))
        _finish(workshop, a, b, VIDS)
        for number, one in enumerate(way.switches):
            workshop.runner.run(_configure(one, number, workshop.p4 / PROGRAM))
        yield way


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _configure(switch: Switch, number: int, build: Path) -> None:
    info = P4Info.load(build.with_suffix(".p4info.txtpb"))
    client = Client(switch.address, switch.device_id)
    await _connected(client)
    try:
        await client.become_primary(1)
        await client.set_pipeline(info, build.with_suffix(".json").read_bytes(), 1)
        failures = await client.write([Update.insert(entry) for entry in _entries(number)])
    finally:
        await client.close()
    if failures:
        raise RuntimeError(f"{client.target} refused an entry: {failures[0]}")


async def _connected(client: Client) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            await client.connect()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            await client.close()
            await asyncio.sleep(0.1)


def _entries(number: int) -> Iterator[TableEntry]:
    other = 1 - number
    next_hop = {"port": FABRIC_PORT, "src": ROUTER_MACS[number], "dst": ROUTER_MACS[other]}
    yield TableEntry("local_vtep", {"vtep": VTEPS[number]}, "is_local_vtep")
    yield TableEntry("tunnel_source", {"ingress_port": FABRIC_PORT, "vtep": VTEPS[other]}, "allow_source")
    yield TableEntry("tenant_tag", {"ingress_port": HOST_PORT, "vid": VIDS[number]}, "set_tenant", {"vni": VNI})
    yield TableEntry("route", {"prefix": (VTEPS[other], 32)}, "next_hop", next_hop)
    yield endpoint(MACS[number], number, local=True)
    yield endpoint(MACS[other], number, local=False)


def endpoint(mac: int, number: int, *, local: bool) -> TableEntry:
    """An endpoint in switch ``number``'s own rack, or in the other."""
    key = {"vni": VNI, "mac": mac}
    if local:
        return TableEntry("endpoint", key, "to_port", {"port": HOST_PORT, "vid": VIDS[number]})
    return TableEntry("endpoint", key, "to_tunnel", {"local_ip": VTEPS[number], "vtep": VTEPS[1 - number]})
