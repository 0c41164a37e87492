"""Namespaces, veth pairs, addresses and MTUs: the lab's wiring, made with iproute2 as an operator would.

Stands between :mod:`ezpath_lab.topology` (what there is) and the processes that use it. Nothing outside the lab's
own namespaces is changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ezpath_lab.shell import LabError, attempt, in_namespace, run
from ezpath_lab.topology import CONTAINER_MTU, FABRIC_MTU, HOST_LINK_MTU, UPLINK_PORT, Topology, Tor

NETNS = Path("/run/netns")
# No router solicitations and the like: what is on the wires is what the lab put there.
_QUIET = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null; true"
_OFFLOADS = "rx off tx off sg off tso off gso off gro off txvlan off rxvlan off"


def existing(prefix: str) -> list[str]:
    """Names of the network namespaces that begin with ``prefix``."""
    said = run("ip", "-json", "netns", "list").strip()
    return sorted(entry["name"] for entry in json.loads(said or "[]") if entry["name"].startswith(prefix))


def build(topology: Topology, *, userspace_ovs: bool, userspace_tors: bool) -> None:
    """Make all namespaces and wire them; what runs in user space gets links without offloading.

    Raises :class:`LabError`; what was made so far stays for :func:`remove`.
    """
    run("ip", "-batch", "-", stdin=_lines(f"netns add {name}" for name in topology.namespaces))
    each(dict.fromkeys(topology.namespaces, _QUIET))
    run("ip", "-batch", "-", stdin=_lines(_veths(topology)))
    for namespace, lines in _settings(topology).items():
        run("ip", "-n", namespace, "-batch", "-", stdin=_lines(lines))
    routers = [topology.namespace(name) for name in (topology.spine, *(tor.name for tor in topology.tors))]
    each(dict.fromkeys(routers, "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    if userspace_ovs or userspace_tors:
        _offloads_off(_host_links(topology))
    if userspace_tors:
        _offloads_off(_tor_links(topology))


def remove(namespaces: Iterable[str]) -> None:
    """Delete ``namespaces``, and with them their links. What is not there is none of our business."""
    for namespace in namespaces:
        done = attempt("ip", "netns", "delete", namespace)
        if done.returncode != 0 and namespace in existing(namespace):
            raise LabError(f"ip netns delete {namespace}: {done.stderr.strip()}. Is something mounted on it?")
    _unmount_when_empty()


def _unmount_when_empty() -> None:
    """`ip netns add` mounts NETNS on itself and leaves that for ever. Without a namespace in it, it serves nobody;
    the next `ip netns add` makes it again."""
    while mounted(NETNS) and not any(NETNS.iterdir()):
        if attempt("umount", str(NETNS)).returncode != 0:
            return


def mounted(path: Path) -> bool:
    """Whether something is mounted at ``path``; unlike ``Path.is_mount()`` it sees a folder mounted on itself."""
    return any(line.split()[1] == str(path) for line in Path("/proc/self/mounts").read_text().splitlines())


def pids_in(namespace: str) -> list[int]:
    """Processes whose network namespace is ``namespace``."""
    done = attempt("ip", "netns", "pids", namespace)
    return [int(word) for word in done.stdout.split()] if done.returncode == 0 else []


def each(scripts: Mapping[str, str]) -> None:
    """Run shell scripts, each in its namespace, a few at a time. Raises :class:`LabError`."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        jobs = [pool.submit(run, *in_namespace(name, "sh", "-ec", script)) for name, script in scripts.items()]
        for job in jobs:
            job.result()


def _veths(topology: Topology) -> Iterator[str]:
    spine = topology.namespace(topology.spine)
    for tor in topology.tors:
        namespace = topology.namespace(tor.name)
        for host in topology.hosts_of(tor.name):
            peer = topology.namespace(host.name)
            yield _veth((namespace, f"eth{host.port}", tor.mac), (peer, "eth0", ""), HOST_LINK_MTU)
        yield _veth((namespace, f"eth{UPLINK_PORT}", tor.mac), (spine, tor.name, tor.spine_mac), FABRIC_MTU)
    for container in topology.containers:
        outside, inside = topology.namespace(container.host), topology.container_namespace(container.name)
        yield _veth((outside, container.interface, ""), (inside, "eth0", container.mac), CONTAINER_MTU)


def _veth(one: tuple[str, str, str], other: tuple[str, str, str], mtu: int) -> str:
    """Two ends, each (namespace, interface, MAC or nothing)."""
    ends = [
        f"{interface} netns {namespace} mtu {mtu}" + (f" address {mac}" if mac else "")
        for namespace, interface, mac in (one, other)
    ]
    return f"link add {ends[0]} type veth peer name {ends[1]}"


def _settings(topology: Topology) -> Mapping[str, list[str]]:
    """What ``ip -batch`` is told in each namespace: links up, addresses, routes."""
    lines = {namespace: ["link set lo up"] for namespace in topology.namespaces}
    spine = lines[topology.namespace(topology.spine)]
    for tor in topology.tors:
        lines[topology.namespace(tor.name)] += _plain_router(topology, tor)
        spine += [f"link set {tor.name} up", f"address add {tor.spine_address}/31 dev {tor.name}"]
        behind = [tor.vtep, *(host.address for host in topology.hosts_of(tor.name))]
        spine += [f"route add {address}/32 via {tor.uplink_address}" for address in behind]
    for host in topology.hosts:
        lines[topology.namespace(host.name)].append("link set eth0 up")
    for container in topology.containers:
        lines[topology.namespace(container.host)].append(f"link set {container.interface} up")
        lines[topology.container_namespace(container.name)] += [
            "link set eth0 up",
            f"address add {container.ip}/{topology.container_prefix_len} dev eth0",
        ]
    return lines


def _plain_router(topology: Topology, tor: Tor) -> list[str]:
    """Until EZPath loads its P4 program a ToR routes as the kernel does, with the addresses and MACs of the program."""
    lines = []
    for host in topology.hosts_of(tor.name):
        lines += [f"link set eth{host.port} up", f"address add {host.gateway}/31 dev eth{host.port}"]
    uplink = f"eth{UPLINK_PORT}"
    return [
        *lines,
        f"link set {uplink} up",
        f"address add {tor.uplink_address}/31 dev {uplink}",
        f"route add default via {tor.spine_address}",
    ]


def _offloads_off(links: Mapping[str, Sequence[str]]) -> None:
    """What reads frames in user space reads them as they are: checksums must be in them, and none may pass the MTU."""
    each({name: "; ".join(f"ethtool -K {link} {_OFFLOADS}" for link in those) for name, those in links.items()})


def _host_links(topology: Topology) -> Mapping[str, Sequence[str]]:
    """Everything from the containers to the ToRs, by namespace."""
    links: dict[str, Sequence[str]] = {topology.container_namespace(c.name): ("eth0",) for c in topology.containers}
    for host in topology.hosts:
        links[topology.namespace(host.name)] = ("eth0", *(c.interface for c in topology.on_host(host.name)))
    return links


def _tor_links(topology: Topology) -> Mapping[str, Sequence[str]]:
    """The ToRs' ports, and the spine's. libpcap gives each frame 64 kB of a ring of 2 MB where one could come."""
    links = {topology.namespace(topology.spine): [tor.name for tor in topology.tors]}
    for tor in topology.tors:
        links[topology.namespace(tor.name)] = [interface for _, interface in topology.ports_of(tor.name)]
    return links


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
