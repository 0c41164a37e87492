"""The two racks as EZPath's operator would describe them: the inventory of the guests' site. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ezpath_bench.figures.guests.plan import KINDS, SIDES, TENANT, VIDS, VNI, Side

HOST_PORT, FABRIC_PORT = 1, 10


def switch(side: Side) -> str:
    return f"tor{side.number + 1}"


def tor_mac(side: Side) -> str:
    return f"02:00:00:00:ff:{side.number + 1:02x}"


def pair(kind: str) -> str:
    """The pair's name."""
    one, other = SIDES
    return f"{TENANT}.{one.endpoint(kind)}.{other.endpoint(kind)}"


def inventory(folder: Path, vids: tuple[int, int] = VIDS) -> dict[str, Any]:
    """Sockets are in ``folder``: :func:`tor_socket` and :func:`ovs_dir`. ``vids``: the first tag on each side."""
    return {
        "tenants": {TENANT: {"vni": VNI}},
        "switches": {switch(side): _switch(side, folder) for side in SIDES},
        "hosts": {side.name: _host(side, folder, vids[side.number]) for side in SIDES},
        "endpoints": [
            {
                "name": side.endpoint(kind),
                "tenant": TENANT,
                "mac": side.endpoint_mac(kind),
                "ip": side.ip(kind),
                "host": side.name,
                "interface": side.endpoint(kind),
            }
            for side in SIDES
            for kind in KINDS
        ],
    }


def tor_socket(side: Side, folder: Path) -> Path:
    return folder / f"{switch(side)}.sock"


def ovs_dir(side: Side, folder: Path) -> Path:
    """Where the sockets of a guest's Open vSwitch are outside."""
    return folder / f"ovs{side.number + 1}"


def _switch(side: Side, folder: Path) -> dict[str, Any]:
    n, other = side.number + 1, side.peer.number + 1
    return {
        "rack": f"r{n}",
        "device_id": n,
        "address": f"unix:{tor_socket(side, folder)}",
        "vtep": f"10.255.0.{n}",
        "mac": tor_mac(side),
        "ports": [
            {"number": HOST_PORT, "address": side.gateway},
            {"number": FABRIC_PORT, "address": f"10.0.9.{n}", "fabric": True},
        ],
        "routes": [
            {"prefix": f"{side.address}/32", "port": HOST_PORT, "next_hop": side.mac(0)},
            {"prefix": f"{side.peer.address}/32", "port": FABRIC_PORT, "next_hop": tor_mac(side.peer)},
            {"prefix": f"10.255.0.{other}/32", "port": FABRIC_PORT, "next_hop": tor_mac(side.peer)},
        ],
    }


def _host(side: Side, folder: Path, vid: int) -> dict[str, Any]:
    return {
        "switch": switch(side),
        "port": HOST_PORT,
        "vtep": side.address,
        "ovsdb": f"unix:{ovs_dir(side, folder)}/db.sock",
        "uplink": "vec0",
        "vlans": {"first": vid, "last": vid + 99},
    }
