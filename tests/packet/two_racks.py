"""Two switches in series and a container's kernel stack behind each: frames as Linux itself makes them.

container C1 -- tag 100 -- switch 1 -- VXLAN -- switch 2 -- tag 300 -- container C3
"""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ezpath_tor.plane import ActionCall, Lpm
from ezpath_tor.tc import TcPlane
from packet.frames import ip, mac
from packet.rack import CONFIG
from packet.wire import inside, run

VNI = 5001
MTU, FABRIC_MTU = 1450, 1550
UNDERLAY_MAC = ("02:00:00:00:ff:01", "02:00:00:00:ff:02")

TAGGING = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
__attribute__((section("egress"))) int push(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(0x8100), VID) ? 2 : 0;
}
__attribute__((section("ingress"))) int pop(struct __sk_buff *skb)
{
	return skb->vlan_present && (skb->vlan_tci & 0xfff) == VID && !bpf_skb_vlan_pop(skb) ? 0 : 2;
}
char license_text[] SEC("license") = "GPL";
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One rack: its switch's VTEP and its only container."""

    number: int
    vtep: str
    container_mac: str
    vid: int

    @property
    def address(self) -> str:
        return f"10.0.0.{self.number}"

    @property
    def address6(self) -> str:
        return f"fd00::{self.number}"


SIDES = (
    Side(1, "10.255.0.1", "02:00:00:00:00:01", 100),
    Side(3, "10.255.0.2", "02:00:00:00:00:03", 300),
)


class TwoRacks:
    """Context manager. ``container(i)`` is the namespace of the container behind switch ``i``."""

    def __init__(self) -> None:
        suffix = os.getpid()
        self._switches = [f"ezt-pkt-sw{index}-{suffix}" for index in (0, 1)]
        self._containers = [f"ezt-pkt-c{index}-{suffix}" for index in (0, 1)]
        self._planes: list[TcPlane] = []

    def container(self, index: int) -> str:
        return self._containers[index]

    def __enter__(self) -> TwoRacks:
        try:
            for namespace in (*self._switches, *self._containers):
                run("ip", "netns", "add", namespace)
            link = ("type", "veth", "peer", "name", "fabric", "netns", self._switches[1])
            run("ip", "-n", self._switches[0], "link", "add", "fabric", "mtu", str(FABRIC_MTU), *link)
            for index in (0, 1):
                self._wire_container(index)
                run("ip", "-n", self._switches[index], "link", "set", "fabric", "mtu", str(FABRIC_MTU), "up")
                self._start_switch(index)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for namespace, plane in zip(self._switches, self._planes, strict=False):
            with inside(namespace):
                plane.close()
        for namespace in (*self._switches, *self._containers):
            if Path("/run/netns", namespace).exists():
                run("ip", "netns", "del", namespace)

    def fabric_counters(self) -> tuple[int, int]:
        """Frames and bytes that came to switch 2 over the fabric, as the kernel counts them: a super-frame is one."""
        text = run("ip", "netns", "exec", self._switches[1], "cat", "/proc/net/dev")
        fields = next(line for line in text.splitlines() if "fabric:" in line).split(":")[1].split()
        return int(fields[1]), int(fields[0])

    def segmentation(self, port: str, state: str) -> None:
        """Segmentation by the wires at ``port`` of both switches ``on`` or ``off``; off: the kernel does it before."""
        features = ("tso", "gso", "tx-udp_tnl-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation")
        arguments = [argument for feature in features for argument in (feature, state)]
        for switch, plane in zip(self._switches, self._planes, strict=True):
            run("ip", "netns", "exec", switch, "ethtool", "-K", port, *arguments)
            with inside(switch):
                plane.refresh()

    def monitored_packets(self, index: int, counter: str) -> int:
        return int(self._planes[index].read_counter(counter)[:, 0].sum())

    def _wire_container(self, index: int) -> None:
        side, other = SIDES[index], SIDES[1 - index]
        switch, container = self._switches[index], self._containers[index]
        peer = ("type", "veth", "peer", "name", "eth0", "netns", container)
        run("ip", "-n", switch, "link", "add", "host", "mtu", "1500", *peer)
        run("ip", "-n", switch, "link", "set", "host", "up")
        inside_it = ("ip", "-n", container)
        self._tag_in_the_container(container, side.vid)
        run(*inside_it, "link", "set", "eth0", "mtu", str(MTU), "address", side.container_mac, "up")
        run(*inside_it, "addr", "add", f"{side.address}/24", "dev", "eth0")
        run(*inside_it, "addr", "add", f"{side.address6}/64", "dev", "eth0", "nodad")
        for address in (other.address, other.address6):
            neighbour = ("neigh", "add", address, "lladdr", other.container_mac, "dev", "eth0", "nud", "permanent")
            run(*inside_it, *neighbour)

    def _tag_in_the_container(self, container: str, vid: int) -> None:
        """What OVS does on a host: a tag on what leaves, none on what arrives."""
        in_it = ("ip", "netns", "exec", container)
        include = f"/usr/include/{platform.machine()}-linux-gnu"
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder, "tag.c"), Path(folder, "tag.o")
            source.write_text(TAGGING)
            clang = ("clang", "-O2", "-target", "bpf", "-idirafter", include, f"-DVID={vid}")
            run(*clang, "-c", str(source), "-o", str(program))
            run(*in_it, "tc", "qdisc", "add", "dev", "eth0", "clsact")
            for direction in ("egress", "ingress"):
                bpf = ("bpf", "da", "obj", str(program), "sec", direction)
                run(*in_it, "tc", "filter", "add", "dev", "eth0", direction, *bpf)

    def _start_switch(self, index: int) -> None:
        side, other = SIDES[index], SIDES[1 - index]
        plane = TcPlane({1: "host", 10: "fabric"})
        with inside(self._switches[index]):
            plane.load(CONFIG.read_bytes())
        self._planes.append(plane)
        tunnel, underlay = "EzIngress.tunnel.", "EzIngress.underlay."
        next_hop = (10, _number(UNDERLAY_MAC[index]), _number(UNDERLAY_MAC[1 - index]))
        for table, key, action, params in (
            (tunnel + "local_vtep", (ip(side.vtep),), tunnel + "is_local_vtep", ()),
            (tunnel + "tunnel_source", (10, ip(other.vtep)), tunnel + "allow_source", ()),
            (tunnel + "tenant_tag", (1, side.vid), tunnel + "set_tenant", (VNI,)),
            (tunnel + "endpoint", (VNI, _number(side.container_mac)), tunnel + "to_port", (1, side.vid)),
            (
                *(tunnel + "endpoint", (VNI, _number(other.container_mac)), tunnel + "to_tunnel"),
                (ip(side.vtep), ip(other.vtep)),
            ),
            (underlay + "route", (Lpm(ip(other.vtep), 32),), underlay + "next_hop", next_hop),
        ):
            plane.insert(table, key, ActionCall(action, params))


def _number(text: str) -> int:
    return int.from_bytes(mac(text), "big")
