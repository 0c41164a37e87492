"""Every counter of the lab that grows when a packet is dropped: where to look when one is missing.

Kernel links, the packet sockets of OVS's userspace datapath, and Open vSwitch's own counters. What the ToRs drop
comes with the collector's samples (:attr:`ezpath_lab.feed.Feed.tor_drops`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from ezpath_lab.ovs_host import OvsHost
from ezpath_lab.shell import attempt, in_namespace, run
from ezpath_lab.topology import Topology

_SOCKET = re.compile(r"\*:(\S+).*skmem:\(.*,d(\d+)\)")
_COVERAGE = re.compile(r"^(\S*drop\S*|netdev_\S*error\S*)\s.*total: (\d+)")


def counters(topology: Topology, hosts: Mapping[str, OvsHost]) -> dict[str, int]:
    """All of them by name, those at zero too."""
    nodes = [topology.namespace(name) for name in (topology.spine, *(tor.name for tor in topology.tors), *hosts)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        jobs = [pool.submit(lambda n: [*_links(n), *_packet_sockets(n)], node) for node in nodes]
        jobs += [pool.submit(lambda h: list(_switch(topology, h)), host) for host in hosts.values()]
        return {name: count for job in jobs for name, count in job.result()}


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much each counter that grew did."""
    found = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in sorted(found.items()) if count > 0}


def _links(namespace: str) -> Iterator[tuple[str, int]]:
    for link in json.loads(run("ip", "-n", namespace, "-json", "-stats", "link", "show")):
        for way in ("rx", "tx"):
            for what in ("dropped", "errors"):
                yield f"{namespace} {link['ifname']} {way} {what}", int(link["stats64"][way][what])


def _packet_sockets(namespace: str) -> Iterator[tuple[str, int]]:
    """Of switches in user space. One line a socket; what could not be read in time is in the last field of skmem."""
    said = attempt(*in_namespace(namespace, "ss", "-0", "-n", "-m", "-O")).stdout
    for number, (interface, dropped) in enumerate(_SOCKET.findall(said)):
        yield f"{namespace} packet socket {number} of {interface}", int(dropped)


def _switch(topology: Topology, ovs: OvsHost) -> Iterator[tuple[str, int]]:
    namespace = topology.namespace(ovs.host.name)
    control = f"{ovs.directory}/ovs-vswitchd.{ovs.vswitchd.record.pid}.ctl"
    for line in attempt("ovs-appctl", "-t", control, "coverage/show").stdout.splitlines():
        found = _COVERAGE.match(line)
        if found:
            yield f"{namespace} OVS {found[1]}", int(found[2])
