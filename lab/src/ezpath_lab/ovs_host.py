"""A host's Open vSwitch: its own database and switch daemon in its namespace, and an ordinary VXLAN overlay.

The overlay is what a host has without EZPath: flows that know every container of each tenant, VXLAN to the host
that has it, and head-end replication of broadcasts within the tenant. EZPath finds all this and leaves it alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ezpath_lab import sockets
from ezpath_lab.processes import DATABASE, SWITCHING, Child, Processes, accepts
from ezpath_lab.shell import LabError, attempt, run
from ezpath_lab.topology import LabHost, Topology, ovs_dir

COOKIE = 0x1AB
"""The operator's own flows, as opposed to EZPath's."""
UPLINK_OFPORT = 1
VXLAN_OFPORT = 100
_BRIDGES_S = 15.0
_NEIGHBOUR_AGING_S = 3600
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_PROTOCOLS = "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"
_MULTICAST = "01:00:00:00:00:00/01:00:00:00:00:00"


def datapath_type() -> str:
    """``system`` where the kernel has (or can load) Open vSwitch's datapath, else ``netdev``, in user space."""
    if Path("/sys/module/openvswitch").exists():
        return "system"
    try:
        loaded = attempt("modprobe", "openvswitch").returncode == 0
    except LabError:
        loaded = False
    return "system" if loaded else "netdev"


@dataclass(frozen=True, slots=True)
class OvsHost:
    """One host's Open vSwitch, running."""

    host: LabHost
    directory: Path
    vswitchd: Child

    def ofctl(self, *arguments: str, stdin: str | None = None) -> str:
        """``ovs-ofctl`` against this host; bridges are named by their management sockets."""
        return run("ovs-ofctl", "-O", "OpenFlow14", *arguments, stdin=stdin)

    def appctl(self, *arguments: str) -> str:
        """``ovs-appctl`` to this host's ovs-vswitchd."""
        return run("ovs-appctl", "-t", f"{self.directory}/ovs-vswitchd.{self.vswitchd.record.pid}.ctl", *arguments)

    def vsctl(self, *arguments: str) -> str:
        return vsctl(self.directory, *arguments)

    def flows(self, bridge: str) -> list[str]:
        """The flows of ``bridge`` without what changes by itself (counters and ages)."""
        said = self.ofctl("--no-stats", "--no-names", "dump-flows", f"unix:{self.directory / bridge}.mgmt")
        return sorted(line.strip() for line in said.splitlines() if "actions=" in line)

    def foreign_flows(self) -> list[str]:
        """Flows of br-int and br-phy that are not the operator's and do more than drop."""
        mine = f"cookie={COOKIE:#x},"
        found = [flow for bridge in ("br-int", "br-phy") for flow in self.flows(bridge)]
        return [flow for flow in found if not flow.startswith(mine) and not flow.endswith("actions=drop")]

    def widen_buffers(self) -> None:
        """Give the userspace datapath's sockets room for bursts (they are made anew when links change)."""
        sockets.widen(self.vswitchd.record.pid)


def start_all(topology: Topology, run_dir: Path, processes: Processes, datapath: str) -> dict[str, OvsHost]:
    """Bring up Open vSwitch and the overlay on every host. Raises :class:`LabError`."""
    databases = {host.name: _start_database(topology, host, run_dir, processes) for host in topology.hosts}
    for name, child in databases.items():
        socket = ovs_dir(run_dir, name) / "db.sock"
        processes.wait_ready(child, lambda socket=socket: accepts(socket), "listening")  # type: ignore[misc]
        vsctl(ovs_dir(run_dir, name), "--no-wait", "init")
    hosts = {host.name: _start_switch(topology, host, run_dir, processes) for host in topology.hosts}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for job in [pool.submit(_configure, topology, ovs, datapath) for ovs in hosts.values()]:
            job.result()
    return hosts


def vsctl(directory: Path, *arguments: str) -> str:
    """``ovs-vsctl`` against the database in ``directory``."""
    return run("ovs-vsctl", f"--db=unix:{directory / 'db.sock'}", "--timeout=10", *arguments)


def _start_database(topology: Topology, host: LabHost, run_dir: Path, processes: Processes) -> Child:
    directory = ovs_dir(run_dir, host.name)
    directory.mkdir(parents=True)
    database = directory / "conf.db"
    if not _SCHEMA.exists():
        raise LabError(f"{_SCHEMA} is missing: install Debian's openvswitch-switch")
    run("ovsdb-tool", "create", str(database), str(_SCHEMA))
    return processes.start(
        f"ovsdb-{host.name}",
        "ovsdb-server",
        str(database),
        f"--remote=punix:{directory / 'db.sock'}",
        # As distributions start it: where it listens beside, and what it shows there, its operator says later.
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
        "--private-key=db:Open_vSwitch,SSL,private_key",
        "--certificate=db:Open_vSwitch,SSL,certificate",
        "--ca-cert=db:Open_vSwitch,SSL,ca_cert",
        *_daemon_options(directory, "ovsdb-server"),
        rank=DATABASE,
        namespace=topology.namespace(host.name),
        env=_environment(directory),
    )


def start_daemon(topology: Topology, host: LabHost, run_dir: Path, processes: Processes) -> Child:
    """Start ovs-vswitchd on the host's database, the first time or again."""
    directory = ovs_dir(run_dir, host.name)
    return processes.start(
        f"ovs-{host.name}",
        "ovs-vswitchd",
        f"unix:{directory / 'db.sock'}",
        *_daemon_options(directory, "ovs-vswitchd"),
        rank=SWITCHING,
        namespace=topology.namespace(host.name),
        env=_environment(directory),
    )


def _start_switch(topology: Topology, host: LabHost, run_dir: Path, processes: Processes) -> OvsHost:
    return OvsHost(host, ovs_dir(run_dir, host.name), start_daemon(topology, host, run_dir, processes))


def _daemon_options(directory: Path, name: str) -> tuple[str, ...]:
    return (f"--pidfile={directory / name}.pid", "-vsyslog:off", "-vfile:off", "-vconsole:info")


def _environment(directory: Path) -> dict[str, str]:
    """Bridges' and daemons' sockets go to the host's own directory."""
    return {"OVS_RUNDIR": str(directory), "OVS_LOGDIR": str(directory), "OVS_DBDIR": str(directory)}


def _configure(topology: Topology, ovs: OvsHost, datapath: str) -> None:
    ovs.vsctl(*_bridges(topology, ovs.host, datapath))
    bring_up(topology, ovs, datapath)


def bring_up(topology: Topology, ovs: OvsHost, datapath: str) -> None:
    """What ovs-vswitchd does not know from its database: addresses, and the overlay's flows. Raises LabError."""
    namespace = topology.namespace(ovs.host.name)
    _wait_for_bridges(namespace, ovs)
    addresses = (
        f"address replace {ovs.host.address}/31 dev br-phy",
        "link set br-phy up",
        f"route replace default via {ovs.host.gateway}",
    )
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(addresses) + "\n")
    for bridge, flows in (
        ("br-phy", [f"cookie={COOKIE:#x},table=0,priority=0,actions=NORMAL"]),
        ("br-int", list(overlay_flows(topology, ovs.host))),
    ):
        ovs.ofctl("--bundle", "add-flows", f"unix:{ovs.directory / bridge}.mgmt", "-", stdin="\n".join(flows) + "\n")
    if datapath == "netdev":
        ovs.widen_buffers()
        # A neighbour that is not asked for again is forgotten after a quarter of an hour, and a packet is lost for it.
        ovs.appctl("tnl/neigh/aging", str(_NEIGHBOUR_AGING_S))


def _wait_for_bridges(namespace: str, ovs: OvsHost) -> None:
    deadline = time.monotonic() + _BRIDGES_S
    while not (
        all(accepts(ovs.directory / f"{bridge}.mgmt") for bridge in ("br-int", "br-phy"))
        and attempt("ip", "-n", namespace, "link", "show", "br-phy").returncode == 0
    ):
        if time.monotonic() > deadline or ovs.vswitchd.popen.poll() is not None:
            raise LabError(f"{ovs.vswitchd.name}: no bridges. {ovs.vswitchd.log} ends:{ovs.vswitchd.tail()}")
        time.sleep(0.03)


def _bridges(topology: Topology, host: LabHost, datapath: str) -> list[str]:
    words: list[str] = []
    for bridge in ("br-int", "br-phy"):
        words += ["--", "add-br", bridge, "--", "set", "Bridge", bridge, f"datapath_type={datapath}"]
        words += ["fail_mode=secure", f"protocols={_PROTOCOLS}"]
    words += [f'other_config:hwaddr="{host.mac}"']
    words += _port("br-phy", "eth0", UPLINK_OFPORT)
    words += _port("br-int", "vxlan0", VXLAN_OFPORT)
    words += ["type=vxlan", "options:remote_ip=flow", "options:key=flow"]
    for container in topology.on_host(host.name):
        words += _port("br-int", container.interface, container.ofport)
        words += [f"external_ids:iface-id={container.name}", f'external_ids:attached-mac="{container.mac}"']
    return words


def _port(bridge: str, interface: str, ofport: int) -> list[str]:
    return ["--", "add-port", bridge, interface, "--", "set", "Interface", interface, f"ofport_request={ofport}"]


def overlay_flows(topology: Topology, host: LabHost) -> Iterator[str]:
    """The overlay on ``host``'s br-int: table 0 says whose frame it is, 10 sends to other hosts, 11 delivers here."""
    flow = f"cookie={COOKIE:#x}"
    for tenant in topology.tenants:
        here = [c for c in topology.on_host(host.name) if c.tenant == tenant.name]
        there = [c for c in topology.of_tenant(tenant.name) if c.host != host.name]
        mine = f"reg0={tenant.vni}"
        for container in here:
            match = f"in_port={container.ofport},vlan_tci=0x0000,dl_src={container.mac}"
            yield f"{flow},table=0,priority=100,{match},actions=set_field:{tenant.vni}->reg0,goto_table:10"
            match = f"{mine},dl_dst={container.mac}"
            yield f"{flow},table=11,priority=100,{match},actions=output:{container.ofport}"
        match = f"in_port={VXLAN_OFPORT},tun_id={tenant.vni}"
        yield f"{flow},table=0,priority=100,{match},actions=set_field:{tenant.vni}->reg0,goto_table:11"
        for container in there:
            tunnel = _tunnel(tenant.vni, topology.host(container.host).address)
            yield f"{flow},table=10,priority=100,{mine},dl_dst={container.mac},actions={tunnel}"
        vteps = sorted({topology.host(container.host).address for container in there})
        copies = ",".join([*(_tunnel(tenant.vni, vtep) for vtep in vteps), "goto_table:11"])
        yield f"{flow},table=10,priority=90,{mine},dl_dst={_MULTICAST},actions={copies}"
        outputs = ",".join(f"output:{container.ofport}" for container in here) or "drop"
        yield f"{flow},table=11,priority=90,{mine},dl_dst={_MULTICAST},actions={outputs}"
    yield f"{flow},table=10,priority=0,actions=goto_table:11"


def _tunnel(vni: int, vtep: str) -> str:
    return f"set_field:{vni}->tun_id,set_field:{vtep}->tun_dst,output:{VXLAN_OFPORT}"
