"""The switch under test: EZPath's program with one rack's base configuration and three endpoints."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ezpath_tor.tc import TcPlane
from packet.entries import entry, insert
from packet.frames import ARP, arp, ethernet, mac
from packet.in_memory import Result, run_program
from packet.wire import Captured, Wires, inside

from p4rt import P4Info

CONFIG = Path(__file__).parents[2] / "p4" / "ezpath.json"
PORTS = {1: "ezt-pkt-1", 2: "ezt-pkt-2", 10: "ezt-pkt-10"}
HOST1, HOST2, FABRIC = 1, 2, 10
ROUTER = "02:00:00:00:ff:01"
VTEP, PEER_VTEP = "10.255.0.1", "10.255.0.2"
HOST1_MAC, HOST1_IP = "02:aa:00:00:00:01", "10.1.1.1"
HOST2_MAC, HOST2_IP = "02:aa:00:00:00:02", "10.1.2.1"
SPINE_MAC = "02:aa:00:00:00:0a"
RED, BLUE = 5001, 5002
RED_VID, RED_VID2, BLUE_VID = 100, 200, 101
C1, C2, C3 = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
"""Containers: C1 on host 1, C2 on host 2, C3 in the other rack; red and blue use the same addresses."""

DROPS = "EzIngress.drops"
STAGES = tuple(f"EzIngress.monitor.stage{number}" for number in (1, 2, 3, 4))
UNKNOWN_TAG, UNKNOWN_DST, TUNNEL_SOURCE, UNKNOWN_ENDPOINT, BAD_VXLAN, TTL, NO_ROUTE = 1, 2, 3, 4, 5, 6, 7
NOT_FOR_ROUTER, BAD_ARP, NOT_IPV4, PARSER, BAD_IPV4 = 8, 9, 10, 11, 12
"""Indexes of the drop counter, as p4/ezpath/headers.p4 has them."""

_SENTINEL = "169.254.1.1"

ENTRIES = (
    entry("router_mac", {"mac": ROUTER}, "for_router"),
    entry("local_vtep", {"vtep": VTEP}, "is_local_vtep"),
    entry("local_vtep", {"vtep": PEER_VTEP}, "is_peer_vtep"),
    entry("tunnel_source", {"ingress_port": FABRIC, "vtep": PEER_VTEP}, "allow_source"),
    *(
        entry("arp_responder", {"ingress_port": port, "target_ip": address}, "arp_reply", mac=ROUTER)
        for port, address in ((HOST1, "10.1.1.0"), (HOST2, "10.1.2.0"), (FABRIC, "10.9.1.1"))
    ),
    *(
        entry("route", {"prefix": prefix}, "next_hop", port=port, src=ROUTER, dst=next_hop)
        for prefix, port, next_hop in (
            ((HOST1_IP, 32), HOST1, HOST1_MAC),
            ((HOST2_IP, 32), HOST2, HOST2_MAC),
            (("10.1.0.0", 16), FABRIC, SPINE_MAC),
            ((PEER_VTEP, 32), FABRIC, SPINE_MAC),
        )
    ),
    *(
        entry("tenant_tag", {"ingress_port": port, "vid": vid}, "set_tenant", vni=vni)
        for port, vid, vni in ((HOST1, RED_VID, RED), (HOST2, RED_VID2, RED), (HOST1, BLUE_VID, BLUE))
    ),
    *(
        entry("endpoint", {"vni": vni, "mac": container}, "to_port", port=port, vid=vid)
        for vni, container, port, vid in (
            (RED, C1, HOST1, RED_VID),
            (RED, C2, HOST2, RED_VID2),
            (BLUE, C1, HOST1, BLUE_VID),
        )
    ),
    *(entry("endpoint", {"vni": vni, "mac": C3}, "to_tunnel", local_ip=VTEP, vtep=PEER_VTEP) for vni in (RED, BLUE)),
)
"""What one rack's switch holds: two hosts, the fabric, two tenants."""


class Rack:
    """The plane on its wires. ``exchange`` is what most tests need."""

    def __init__(self, wires: Wires, config: Path = CONFIG) -> None:
        self.wires = wires
        self.plane = TcPlane(PORTS)
        self._config = config

    def start(self) -> None:
        with inside(self.wires.switch):
            self.plane.load(self._config.read_bytes())
        info = P4Info.load(self._config.with_suffix(".p4info.txtpb"))
        sentinels = [
            entry("arp_responder", {"ingress_port": port, "target_ip": _SENTINEL}, "arp_reply", mac=ROUTER)
            for port in PORTS
        ]
        for one in (*ENTRIES, *sentinels):
            insert(self.plane, info, one)

    def stop(self) -> None:
        with inside(self.wires.switch):
            self.plane.close()

    def exchange(self, port: int, *frames: bytes) -> dict[int, list[bytes]]:
        """What comes out of which port when ``frames`` go into ``port``. No frame: it is not in the answer."""
        for frame in frames:
            self.wires.far[port].send(frame)
        return {number: [one.data for one in out] for number, out in self.settle(port).items()}

    def in_memory(self, port: int, frame: bytes) -> Result:
        """What the program makes of ``frame`` from ``port`` without any wire."""
        with inside(self.wires.switch):
            return run_program(self.plane.program_fd, frame, socket.if_nametoindex(PORTS[port]))

    def settle(self, port: int) -> dict[int, list[Captured]]:
        """All frames that came out after what was last sent into ``port`` has gone through the switch.

        Known by an ARP request behind it: when its answer is back, what went before has come out or was dropped.
        """
        request = arp(1, HOST1_MAC, "0.0.0.0", "00:00:00:00:00:00", _SENTINEL)
        answer = ethernet(HOST1_MAC, ROUTER, ARP, arp(2, ROUTER, _SENTINEL, HOST1_MAC, "0.0.0.0"))
        self.wires.far[port].send(ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, request))
        out: dict[int, list[Captured]] = {}
        while True:
            frame = self.wires.far[port].receive(5)
            assert frame is not None, "the switch does not answer the sentinel: it is stuck"
            if frame.data == answer:
                break
            out.setdefault(port, []).append(frame)
        for number, rest in self.wires.drain().items():
            out.setdefault(number, []).extend(rest)
        return out

    def drops(self) -> Mapping[int, tuple[int, int]]:
        """Reasons with something counted: packets, bytes."""
        cells = self.plane.read_counter(DROPS)
        return {int(reason): (int(cells[reason, 0]), int(cells[reason, 1])) for reason in np.flatnonzero(cells[:, 0])}

    def monitored(self, vni: int, src: str, dst: str) -> tuple[int, int]:
        """Packets and bytes of a flow in the monitor's registers."""
        key = b"\1" + vni.to_bytes(3, "big") + mac(src) + mac(dst)
        found = [
            bytes(cell)
            for stage in STAGES
            for cell in self.plane.read_register(stage)
            if cell[0] and bytes(cell[:16]) == key
        ]
        assert len(found) <= 1, "one flow in two cells"
        if not found:
            return (0, 0)
        return int.from_bytes(found[0][24:29], "big"), int.from_bytes(found[0][16:22], "big")
