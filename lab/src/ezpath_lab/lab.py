"""One lab on this machine: up, down, and what is left of a lab that was killed.

Imperative shell around :mod:`ezpath_lab.topology`: namespaces, the ToRs, each host's Open vSwitch, and NATS and
EZPath's services when asked for. Whatever way it ends, :func:`remove` finds all of it again.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from ezpath import inventory
from ezpath_lab import net, ovs_host, state, tors
from ezpath_lab.ovs_host import OvsHost
from ezpath_lab.processes import BUS, GRACE_S, SERVICE, Child, Processes
from ezpath_lab.shell import LabError, program, require_tools, run
from ezpath_lab.software_tor import SoftwareTor
from ezpath_lab.state import LabState, ProcessRecord
from ezpath_lab.topology import Topology, inventory_document, ovs_dir
from ezpath_lab.tors import Kind, Limit, Prepared
from ezpath_lab.trust import Trust

TOOLS = ("ip", "ethtool", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ping", "iperf3")
SERVICES = ("switch-writer", "host-writer", "decider", "collector")
"""In the order they are started: nothing is decided before there is somebody to carry it out."""
RACKS_UP = "racks-up"
"""A file in the state directory once racks, ToRs and overlay are there: services elsewhere wait for it."""
_SOCKET_PATH_MAX = 107
Say = Callable[[str], None]


class Lab:
    """A lab that this process brings up and takes down again."""

    def __init__(self, topology: Topology, lab: LabState, kind: Kind, trust: Trust | None = None) -> None:
        """``trust``: everybody has to show who he is; without, whoever comes is believed."""
        self.topology = topology
        self.trust = trust
        self.state = lab
        self.kind = kind
        self.processes = Processes(lab)
        self.hosts: dict[str, OvsHost] = {}

    @property
    def inventory_file(self) -> Path:
        return self.state.directory / "inventory.yaml"

    def up(self, p4_dir: Path = Path("p4"), *, limits: Sequence[Limit] = ()) -> Path:
        """Wire the racks, start the ToRs and the hosts' overlay. Returns where the ToRs' programs are.

        Raises :class:`LabError`; what came up so far is removed by :meth:`down`.
        """
        prepared = self.kind.prepare(self.topology, p4_dir.resolve(), self.state.run_dir, limits)
        self._write_inventory(prepared)
        self.state.namespaces = list(self.topology.namespaces)
        self.state.datapath = ovs_host.datapath_type()
        self.state.save()
        net.build(self.topology, userspace_ovs=self.state.datapath == "netdev", userspace_tors=self.kind.in_user_space)
        if self.trust is not None:
            self.trust.build()
        more = self.trust.tor_options if self.trust is not None else None
        tors.start_all(self.topology, self.state.run_dir, self.processes, self.kind, limits, more)
        self.hosts = ovs_host.start_all(self.topology, self.state.run_dir, self.processes, self.state.datapath)
        if self.trust is not None:
            for ovs in self.hosts.values():
                self.trust.listen(ovs)
        return prepared.p4_dir

    def let_services_start(self) -> None:
        """The ToRs are about to get their program. :data:`RACKS_UP` is the sign for services elsewhere."""
        self.kind.take_over(self.topology)
        (self.state.directory / RACKS_UP).touch()

    def _write_inventory(self, prepared: Prepared) -> None:
        document = inventory_document(self.topology, self.state.run_dir)
        for switch, fields in prepared.switches.items():
            document["switches"][switch] |= fields
        if self.trust is not None:
            self.trust.describe(document)
        text = yaml.safe_dump(document, sort_keys=False)
        checked = inventory.parse(text, str(self.inventory_file))
        if self.trust is not None and not self.trust.made:
            self.trust.make(checked)
        # Written in one go: services in other containers may be waiting for the file.
        new = self.inventory_file.with_suffix(".new")
        new.write_text("# Written by ezpath-lab: the lab as EZPath's operator would describe it.\n" + text)
        new.replace(self.inventory_file)

    def start_bus(self) -> str:
        """Start nats-server with JetStream on a free loopback port; returns its URL."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        store = self.state.directory / "nats"
        told = ["--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(store)]
        if self.trust is not None:
            told = ["--config", str(self.trust.nats_configuration(f"127.0.0.1:{port}"))]
        child = self.processes.start("nats-server", program("nats-server"), *told, rank=BUS)
        self.processes.wait_ready(child, lambda: _port_open(port), "listening")
        self.state.nats = f"nats://127.0.0.1:{port}"
        if self.trust is not None:
            self.trust.make_streams(self.state.nats)
        self.state.save()
        return self.state.nats

    def start_service(self, service: str, *options: str) -> Child:
        """Start one of :data:`SERVICES` and wait until it says that it is ready."""
        ready = self.state.run_dir / f"{service}.ready"
        child = self.processes.start(
            service,
            *(program(f"ezpath-{service}"), "--nats", self.state.nats, "--inventory", str(self.inventory_file)),
            *(("--trust", str(self.trust.user(service))) if self.trust is not None else ()),
            *("--ready-file", str(ready), *options),
            rank=SERVICE,
        )
        self.processes.wait_ready(child, ready.exists, "ready", timeout_s=40)
        return child

    def down(self) -> list[str]:
        """Stop and remove everything. Returns the names of processes that had to be killed."""
        stubborn: list[str] = []
        try:
            stubborn += self.processes.stop_all()
        finally:
            stubborn += remove(self.state.directory, self.topology)
        return stubborn


def create(directory: Path, topology: Topology, say: Say, kind: Kind | None = None, trust: Path | None = None) -> Lab:
    """A new lab with its state in ``directory``; leftovers of an earlier one there are removed first."""
    kind = kind or SoftwareTor()
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and needs root. Run it as root")
    require_tools(TOOLS)
    kind.require()
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    remove(directory, topology)
    shutil.rmtree(directory / "log", ignore_errors=True)
    lab = LabState(directory=directory, run_dir=directory / "run")
    longest = max(len(str(ovs_dir(lab.run_dir, host.name) / "ovs-vswitchd.4194304.ctl")) for host in topology.hosts)
    if longest > _SOCKET_PATH_MAX:
        lab.run_dir = Path(tempfile.mkdtemp(prefix="ezpath-lab-"))
        say(f"{directory} is too long a path for unix sockets: they are in {lab.run_dir}")
    lab.save()
    lab.run_dir.mkdir(exist_ok=True)
    return Lab(topology, lab, kind, Trust(topology, trust) if trust is not None else None)


def remove(directory: Path, topology: Topology) -> list[str]:
    """Remove all that a lab with its state in ``directory`` left. Idempotent; returns who had to be killed.

    Raises :class:`LabError` where the namespaces belong to a lab with another state directory.
    """
    directory = directory.resolve()
    left = state.load(directory)
    # What is left may have been another topology, with more containers.
    known = {*topology.namespaces, *(left.namespaces if left is not None else ())}
    present = [name for name in net.existing(topology.prefix) if name in known]
    _refuse_others_lab(directory, present)
    stubborn: list[ProcessRecord] = []
    if left is not None:
        for rank in sorted({record.rank for record in left.processes}, reverse=True):
            stubborn += state.stop((record for record in left.processes if record.rank == rank), GRACE_S)
    stubborn += state.stop(state.marked(directory), GRACE_S)
    # A shell or a tcpdump that somebody started in a namespace keeps it alive.
    stubborn += state.stop(_inside(present), grace_s=1.0)
    net.remove(present)
    if left is not None and left.run_dir != directory / "run":
        shutil.rmtree(left.run_dir, ignore_errors=True)
    for place in (directory / "nats").glob("*"):
        unmount(place)
    for leftover in ("run", "nats", "clocks", "trust"):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    for file in (RACKS_UP, "state.json", "inventory.yaml"):
        (directory / file).unlink(missing_ok=True)
    return [record.name for record in stubborn]


def unmount(place: Path) -> None:
    """A file system of its own that NATS had its store on, if it had one. Raises :class:`LabError`."""
    while net.mounted(place):
        run("umount", str(place))


@contextmanager
def alone(prefix: str) -> Iterator[None]:
    """Hold the right to change the lab on this machine. Raises :class:`LabError` where another process has it.

    The lock is an abstract socket: it leaves no file and goes with the process.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0ezpath-lab/{prefix}")
        except OSError:
            raise LabError(
                "another ezpath-lab is at work on this machine. Wait for it, or stop it with Ctrl-C"
            ) from None
        yield


def _refuse_others_lab(directory: Path, namespaces: Sequence[str]) -> None:
    for record in _inside(namespaces):
        owner = state.marked_with(record.pid)
        if owner and owner != str(directory):
            raise LabError(
                f"a lab with its state in {owner} is up on this machine. `ezpath-lab --state {owner} down` removes it"
            )


def _inside(namespaces: Sequence[str]) -> list[ProcessRecord]:
    pids = {pid for namespace in namespaces for pid in net.pids_in(namespace)}
    started = {pid: state.started_at(pid) for pid in pids}
    return [ProcessRecord(f"pid {pid}", pid, when, rank=0) for pid, when in started.items() if when is not None]


def _port_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
