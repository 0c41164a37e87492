"""Commands to look around in a lab that is up."""

from __future__ import annotations

from ezpath_lab.lab import Lab
from ezpath_lab.shell import program
from ezpath_lab.topology import ovs_dir


def look_around(lab: Lab) -> str:
    """What to type, with this lab's own names and paths."""
    topology = lab.topology
    red = topology.container("red-11")
    peer = topology.container("red-21")
    host = topology.host(red.host)
    ovs = ovs_dir(lab.state.run_dir, host.name)
    host_ns, spine = topology.namespace(host.name), topology.namespace(topology.spine)
    inside, other = topology.container_namespace(red.name), topology.container_namespace(peer.name)
    ezpath = program("ezpath")
    lines = [
        "",
        "The lab is up. Look around:",
        "",
        f"  ip netns exec {inside} ping {peer.ip}",
        f"  ip netns exec {other} iperf3 -s -1 -D && ip netns exec {inside} iperf3 -c {peer.ip} -b 8M -l 4K -t 30",
        f"  ip netns exec {host_ns} tcpdump -eni eth0    # a host link: VXLAN, or tags where offloaded",
        f"  ip netns exec {spine} tcpdump -eni {host.tor} udp port 4789    # the fabric: from whom to whom?",
        f"  ip netns exec {inside} tcpdump -eni eth0    # what a container sees",
        f"  ovs-ofctl -O OpenFlow14 dump-flows unix:{ovs}/br-int.mgmt",
        f"  ovs-ofctl -O OpenFlow14 dump-flows unix:{ovs}/br-phy.mgmt",
        f"  ovs-vsctl --db=unix:{ovs}/db.sock show",
    ]
    if lab.state.nats:
        where = f"--nats {lab.state.nats} --inventory {lab.inventory_file}"
        where += f" --trust {lab.trust.user('operator')}" if lab.trust is not None else ""
        lines += [f"  {ezpath} tail {where}", f"  {ezpath} flows --watch {where}"]
    state = lab.state.directory
    lines += [
        "",
        f"Logs: {state / 'log'}. `ezpath-lab --state {state} down` (or `make lab-down`) removes everything.",
        "",
    ]
    return "\n".join(lines)
