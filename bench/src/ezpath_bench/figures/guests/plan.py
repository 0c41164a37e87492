"""Two guests, one in each rack: every name, address and script they are set up with. Pure.

guest   vec0  Open vSwitch's uplink: overlay, and tagged frames that come in
        vec1  tagged frames that go out, without their tag (see cable.c)
        vec2  plain: host networking and whatever else needs no Open vSwitch
        vec3  management: the database and the bridges' OpenFlow, for the services outside
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VNI = 5001
VIDS = (100, 300)
"""The first tag that EZPath may use at either rack's port: with one tenant it is the tenant's."""
HOST_MTU, CONTAINER_MTU = 1500, 1450
UPLINK, VXLAN = 1, 100
"""OpenFlow port numbers."""
UNDERLAY, MANAGEMENT = "10.1", "192.168.77"
SOCKETS = {"db.sock": 6640, "br-int.mgmt": 6641, "br-phy.mgmt": 6642, "ovs-vswitchd.1.ctl": 6643}
"""Of Open vSwitch in a guest, by name, and the TCP ports at which the services outside reach them."""
TENANT = "red"
KINDS = ("overlay", "ezpath", "oncache")
"""The tenant's containers on each host: one on the overlay, one that is offloaded, and one whose overlay is cached."""
_OPERATORS = "0x1AB"
"""The overlay's own flows' cookie."""


@dataclass(frozen=True, slots=True)
class Side:
    """One guest: 0 or 1."""

    number: int

    @property
    def name(self) -> str:
        return f"guest{self.number + 1}"

    @property
    def peer(self) -> Side:
        return Side(1 - self.number)

    @property
    def vid(self) -> int:
        return VIDS[self.number]

    def mac(self, nic: int) -> str:
        return f"02:00:00:00:{self.number + 1:02x}:{nic + 1:02x}"

    @property
    def address(self) -> str:
        return f"{UNDERLAY}.{self.number + 1}.1"

    @property
    def gateway(self) -> str:
        return f"{UNDERLAY}.{self.number + 1}.0"

    @property
    def management(self) -> str:
        return f"{MANAGEMENT}.{self.number + 1}"

    def endpoint(self, kind: str) -> str:
        return f"{kind}-{self.number + 1}"

    def endpoint_mac(self, kind: str) -> str:
        return f"02:00:05:00:{KINDS.index(kind) + 1:02x}:{self.number + 1:02x}"

    def ip(self, mode: str) -> str:
        """Where ``mode``'s traffic goes to."""
        return f"10.{NETS[mode]}.0.{self.number + 1}"

    def tap(self, nic: int) -> str:
        return f"g{self.number + 1}n{nic}"


SIDES = (Side(0), Side(1))

NETS = {"overlay": 50, "ezpath": 51, "oncache": 52, "host": 60, "macvlan": 61, "docker": 62}
"""Second octet of each kind of container's network."""
NAMESPACES = {"overlay": "co", "ezpath": "ce", "oncache": "cc", "host": "", "macvlan": "mv", "docker": "dk"}
"""The namespace inside the guest whose programs talk that way."""


def inside(mode: str, command: str) -> str:
    """``command`` as a program of that kind of container."""
    namespace = NAMESPACES[mode]
    return f"ip netns exec {namespace} {command}" if namespace else command


def set_up(side: Side) -> Iterator[str]:
    """Scripts, in order, that make a booted guest a host."""
    yield "for m in openvswitch vport-vxlan veth macvlan vxlan bridge cls_bpf sch_ingress; do modprobe $m || true; done"
    yield _nics(side)
    yield _open_vswitch(side)
    for kind in KINDS:
        yield _container(side, kind)
    yield _ways_in(side)
    yield _macvlan(side)
    yield _docker(side)


def _nics(side: Side) -> str:
    return f"""
ip link set vec0 mtu 1600 up
ip link set vec1 mtu 1600 up
ip link set vec2 mtu {HOST_MTU} up
ip link set vec3 mtu 1500 up
ip addr add {side.management}/24 dev vec3
ip addr add {side.ip("host")}/24 dev vec2
ip neigh replace {side.peer.ip("host")} lladdr {side.peer.mac(2)} dev vec2 nud permanent
"""


def _open_vswitch(side: Side) -> str:
    return f"""
cd /run/openvswitch
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server conf.db --remote=punix:db.sock --pidfile=/run/openvswitch/ovsdb-server.pid \\
    --detach --no-chdir -vconsole:off
V="ovs-vsctl --db=unix:db.sock --timeout=10"
$V --no-wait init
ovs-vswitchd unix:db.sock --pidfile=/run/openvswitch/ovs-vswitchd.pid --detach --no-chdir -vconsole:off
for b in br-int br-phy; do
    $V add-br $b -- set bridge $b datapath_type=system fail_mode=secure \\
        protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15
done
$V set bridge br-phy other_config:hwaddr='"{side.mac(0)}"'
$V add-port br-phy vec0 -- set interface vec0 ofport_request={UPLINK}
$V add-port br-int vxlan0 -- set interface vxlan0 type=vxlan options:remote_ip=flow options:key=flow \\
    ofport_request={VXLAN}
ip addr add {side.address}/31 dev br-phy
ip link set br-phy mtu {HOST_MTU} up
ip route add {side.peer.address}/32 via {side.gateway} dev br-phy
ovs-ofctl -O OpenFlow14 add-flow br-phy "cookie={_OPERATORS},table=0,priority=0,actions=NORMAL"
"""


def _container(side: Side, kind: str) -> str:
    """A container of the tenant on br-int, and an ordinary overlay's flows for it and its peer."""
    own, peer = side.endpoint_mac(kind), side.peer.endpoint_mac(kind)
    ofport, namespace = 10 + KINDS.index(kind), NAMESPACES[kind]
    away = f"set_field:{VNI}->tun_id,set_field:{side.peer.address}->tun_dst,output:{VXLAN}"
    flow = f"cookie={_OPERATORS},table=0,priority=100"
    return f"""
{_veth(namespace, f"v-{kind}", own, side.ip(kind), CONTAINER_MTU)}
ip netns exec {namespace} ip neigh replace {side.peer.ip(kind)} lladdr {peer} dev eth0 nud permanent
cd /run/openvswitch
ovs-vsctl --db=unix:db.sock add-port br-int v-{kind} -- set interface v-{kind} ofport_request={ofport} \\
    external_ids:iface-id={side.endpoint(kind)} external_ids:attached-mac='"{own}"'
F="ovs-ofctl -O OpenFlow14 add-flow"
$F br-int "{flow},in_port={ofport},vlan_tci=0x0000,dl_dst={peer},actions={away}"
$F br-int "{flow},in_port={VXLAN},tun_id={VNI},dl_dst={own},actions=output:{ofport}"
"""


def _ways_in(side: Side) -> str:
    """Open vSwitch's sockets at TCP ports of the management network."""
    lines = ["cd /run/openvswitch", "ln -sf ovs-vswitchd.$(cat ovs-vswitchd.pid).ctl ovs-vswitchd.1.ctl"]
    for name, port in SOCKETS.items():
        listen = f"TCP-LISTEN:{port},bind={side.management},fork,reuseaddr,nodelay"
        lines.append(f"setsid socat {listen} UNIX-CONNECT:{name} >/dev/null 2>&1 &")
    return "\n".join(lines)


def _macvlan(side: Side) -> str:
    mac, peer = f"02:00:06:00:00:{side.number + 1:02x}", f"02:00:06:00:00:{side.peer.number + 1:02x}"
    return f"""
ip netns add mv
ip link add mv0 link vec2 address {mac} type macvlan mode bridge
ip link set mv0 netns mv name eth0
ip -n mv link set lo up
ip -n mv link set eth0 mtu {HOST_MTU} up
ip -n mv addr add {side.ip("macvlan")}/24 dev eth0
ip -n mv neigh replace {side.peer.ip("macvlan")} lladdr {peer} dev eth0 nud permanent
"""


def _docker(side: Side) -> str:
    """As Docker's overlay driver wires it: a bridge and a kernel VXLAN device in a namespace between."""
    own, peer = f"02:00:07:00:00:{side.number + 1:02x}", f"02:00:07:00:00:{side.peer.number + 1:02x}"
    ends = f"local {side.ip('host')} dstport 4788 nolearning"
    return f"""
ip link add vx0 type vxlan id {VNI + 1} {ends}
ip netns add ov
ip link set vx0 netns ov
ip -n ov link add br0 type bridge
ip -n ov link set vx0 mtu {CONTAINER_MTU} master br0 up
ip -n ov link set br0 mtu {CONTAINER_MTU} up
{_veth("dk", "dk0", own, side.ip("docker"), CONTAINER_MTU)}
ip link set dk0 netns ov
ip -n ov link set dk0 mtu {CONTAINER_MTU} master br0 up
bridge -n ov fdb replace {peer} dev vx0 dst {side.peer.ip("host")} self permanent
ip netns exec dk ip neigh replace {side.peer.ip("docker")} lladdr {peer} dev eth0 nud permanent
"""


def _veth(namespace: str, outer: str, mac: str, ip: str, mtu: int) -> str:
    return f"""
ip netns add {namespace}
ip link add {outer} type veth peer name eth0 netns {namespace} address {mac}
ip link set {outer} mtu {mtu} up
ip -n {namespace} link set lo up
ip -n {namespace} link set eth0 mtu {mtu} up
ip -n {namespace} addr add {ip}/24 dev eth0
"""


def next_hop(side: Side, mac: str) -> str:
    """Whom the guest takes for its gateway: the ToR, or the other guest where a wire is all there is between."""
    return f"ip neigh replace {side.gateway} lladdr {mac} dev br-phy nud permanent"


def segmentation(on: bool) -> str:
    """Large segments in the stack and on the cards of the guest, or none anywhere."""
    word = "on" if on else "off"
    cards = ["vec0", "vec1", "vec2", "br-phy", *(f"v-{kind}" for kind in KINDS)]
    lines = [f"ethtool -K {card} tso {word} gso {word} gro {word} || true" for card in cards]
    for namespace in filter(None, NAMESPACES.values()):
        lines.append(f"ip netns exec {namespace} ethtool -K eth0 tso {word} gso {word} gro {word} || true")
    for card in ("vx0", "dk0"):
        lines.append(f"ip netns exec ov ethtool -K {card} tso {word} gso {word} gro {word} || true")
    return "\n".join(lines)
