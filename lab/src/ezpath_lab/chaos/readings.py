"""What is installed, read from the switches and hosts themselves, in plain words. Pure.

Not EZPath's own parsers: a judge that shares them would share their mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from ezpath_lab.chaos.needs import Thing
from p4rt import TableEntry

ITEM_TABLES = ("tenant_tag", "endpoint")
EZPATH = 0xE25A
"""The upper 16 bits of EZPath's cookies."""
GUARD, RECEIVE, SEND = 1, 2, 3
_FLOW = re.compile(r"cookie=(0x[0-9a-f]+),.*? (?P<match>\S*priority=\S+) actions=(?P<actions>\S+)")
_VLAN_PRESENT = 0x1000


def items_on_switch(entries: Iterable[TableEntry]) -> frozenset[Thing]:
    """The entries of the tables that sagas write."""
    return frozenset(_entry(entry) for entry in entries if entry.table in ITEM_TABLES)


def base_on_switch(entries: Iterable[TableEntry]) -> frozenset[str]:
    """All others."""
    return frozenset(str(entry) for entry in entries if entry.table not in ITEM_TABLES and not entry.default)


def _entry(entry: TableEntry) -> Thing:
    match, params = entry.match, entry.params
    if entry.table == "tenant_tag" and entry.action == "set_tenant":
        return ("tag", _number(match["ingress_port"]), _number(match["vid"]), params["vni"])
    if entry.table == "endpoint" and entry.action in ("to_port", "to_tunnel"):
        whose = ("endpoint", _number(match["vni"]), _mac(_number(match["mac"])))
        if entry.action == "to_port":
            return (*whose, "port", params["port"], params["vid"])
        return (*whose, "tunnel", str(IPv4Address(params["local_ip"])), str(IPv4Address(params["vtep"])))
    return ("unknown", str(entry))


def _number(value: Any) -> int:
    assert isinstance(value, int)
    return value


def _mac(number: int) -> str:
    return ":".join(f"{octet:02x}" for octet in number.to_bytes(6, "big"))


def rules_on_host(integration: str, physical: str, ports: Mapping[int, tuple[int, str]]) -> frozenset[Thing]:
    """EZPath's rules out of ``ovs-ofctl dump-flows`` of both bridges.

    ``ports``: by OpenFlow port of the integration bridge, the VNI and MAC of the container behind it. A rule that leads
    to or from another container than it says is ``unknown``.
    """
    found = [_integration(*flow, ports) for flow in _ours(integration)] + [_physical(*flow) for flow in _ours(physical)]
    return frozenset(thing for thing in found if thing is not None)


def guards(text: str) -> int:
    """How many guards a bridge has; one is right."""
    return sum(number >> 40 & 0xFF == GUARD for number, _, _ in _ours(text))


def _ours(text: str) -> Iterable[tuple[int, str, str]]:
    for line in text.splitlines():
        found = _FLOW.search(line)
        if found and int(found[1], 16) >> 48 == EZPATH:
            yield int(found[1], 16), found["match"], found["actions"]


def _integration(cookie: int, match: str, actions: str, ports: Mapping[int, tuple[int, str]]) -> Thing | None:
    role, vni, fields = cookie >> 40 & 0xFF, cookie & 0xFFFFFF, _fields(match)
    if role == GUARD:
        return None
    tagged = re.search(r"set_field:(\d+)->vlan_vid", actions)
    if role == SEND and tagged and ports.get(int(fields["in_port"])) == (vni, fields["dl_src"]):
        return ("send", vni, fields["dl_src"], fields["dl_dst"], int(tagged[1]) & ~_VLAN_PRESENT)
    out = re.fullmatch(r"(?:pop|strip)_vlan,output:(\d+)", actions)
    if role == RECEIVE and out and ports.get(int(out[1])) == (vni, fields["dl_dst"]):
        return ("receive", vni, int(fields["dl_vlan"]), fields["dl_dst"])
    return ("unknown", f"{cookie:#x} {match} {actions}")


def _physical(cookie: int, match: str, actions: str) -> Thing | None:
    role, vni, fields = cookie >> 40 & 0xFF, cookie & 0xFFFFFF, _fields(match)
    if role == GUARD:
        return None
    if role == SEND and actions.startswith("output:"):
        return ("send-phy", vni, int(fields["dl_vlan"]))
    if role == RECEIVE and actions.startswith("output:"):
        return ("receive-phy", vni, int(fields["dl_vlan"]), fields["dl_dst"])
    return ("unknown", f"{cookie:#x} {match} {actions}")


def _fields(match: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in match.split(","))
