"""The switch under test: EZPath's program with one rack's base configuration and three endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ezpath_tor.plane import ActionCall, Lpm
from ezpath_tor.tc import TcPlane
from packet.frames import ARP, arp, ethernet, ip, mac
from packet.wire import Captured, Wires, inside

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
_TUNNEL, _UNDERLAY = "EzIngress.tunnel.", "EzIngress.underlay."


def _number(text: str) -> int:
    return int.from_bytes(mac(text), "big")


class Rack:
    """The plane on its wires. ``exchange`` is what most tests need."""

    def __init__(self, wires: Wires, config: Path = CONFIG) -> None:
        self.wires = wires
        self.plane = TcPlane(PORTS)
        self._config = config

    def start(self) -> None:
        with inside(self.wires.switch):
            self.plane.load(self._config.read_bytes())
        self._base_configuration()
        self._endpoints()

    def stop(self) -> None:
        with inside(self.wires.switch):
            self.plane.close()

    def exchange(self, port: int, *frames: bytes) -> dict[int, list[bytes]]:
        """What comes out of which port when ``frames`` go into ``port``. No frame: it is not in the answer."""
        for frame in frames:
            self.wires.far[port].send(frame)
        return {number: [one.data for one in out] for number, out in self.settle(port).items()}

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

    def _base_configuration(self) -> None:
        self._add(_UNDERLAY + "router_mac", (_number(ROUTER),), "for_router")
        self._add(_TUNNEL + "local_vtep", (ip(VTEP),), "is_local_vtep")
        self._add(_TUNNEL + "local_vtep", (ip(PEER_VTEP),), "is_peer_vtep")
        self._add(_TUNNEL + "tunnel_source", (FABRIC, ip(PEER_VTEP)), "allow_source")
        for port, address in ((HOST1, "10.1.1.0"), (HOST2, "10.1.2.0"), (FABRIC, "10.9.1.1")):
            self._add(_UNDERLAY + "arp_responder", (port, ip(address)), "arp_reply", _number(ROUTER))
            self._add(_UNDERLAY + "arp_responder", (port, ip(_SENTINEL)), "arp_reply", _number(ROUTER))
        for prefix, length, port, next_hop in (
            (HOST1_IP, 32, HOST1, HOST1_MAC),
            (HOST2_IP, 32, HOST2, HOST2_MAC),
            ("10.1.0.0", 16, FABRIC, SPINE_MAC),
            (PEER_VTEP, 32, FABRIC, SPINE_MAC),
        ):
            self._add(
                *(_UNDERLAY + "route", (Lpm(ip(prefix), length),), "next_hop"),
                *(port, _number(ROUTER), _number(next_hop)),
            )

    def _endpoints(self) -> None:
        for port, vid, vni in ((HOST1, RED_VID, RED), (HOST2, RED_VID2, RED), (HOST1, BLUE_VID, BLUE)):
            self._add(_TUNNEL + "tenant_tag", (port, vid), "set_tenant", vni)
        for vni, container, port, vid in (
            (RED, C1, HOST1, RED_VID),
            (RED, C2, HOST2, RED_VID2),
            (BLUE, C1, HOST1, BLUE_VID),
        ):
            self._add(_TUNNEL + "endpoint", (vni, _number(container)), "to_port", port, vid)
        for vni in (RED, BLUE):
            self._add(_TUNNEL + "endpoint", (vni, _number(C3)), "to_tunnel", ip(VTEP), ip(PEER_VTEP))

    def _add(self, table: str, key: tuple[int | Lpm, ...], action: str, *params: int) -> None:
        control = table.rsplit(".", 1)[0]
        self.plane.insert(table, key, ActionCall(f"{control}.{action}", params))
