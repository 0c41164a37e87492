"""What EZPath installs on a switch or a host, one value for each thing that can be there or not.

Pure. The saga decides about items and counts who holds them; writers turn them into P4Runtime entries and
OpenFlow rules. Two items with the same ``key`` cannot stand side by side on the same target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from ezpath.names import Mac, Port, VlanId, Vni


@dataclass(frozen=True, slots=True)
class TenantTag:
    """Frames with tag ``vid`` on ``port`` belong to ``vni``. P4 table ``tenant_tag``. Send side."""

    port: Port
    vid: VlanId
    vni: Vni
    kind: Literal["tenant-tag"] = "tenant-tag"

    @property
    def key(self) -> tuple[str, int, int]:
        return (self.kind, self.port, self.vid)


@dataclass(frozen=True, slots=True)
class EndpointLocal:
    """``mac`` of ``vni`` is behind ``port``, tagged ``vid``. P4 table ``endpoint``. Receive side."""

    vni: Vni
    mac: Mac
    port: Port
    vid: VlanId
    kind: Literal["endpoint-local"] = "endpoint-local"

    @property
    def key(self) -> tuple[str, int, str]:
        return ("endpoint", self.vni, self.mac)


@dataclass(frozen=True, slots=True)
class EndpointRemote:
    """``mac`` of ``vni`` is behind the ToR whose VTEP is ``vtep``. P4 table ``endpoint``. Send side.

    ``local_vtep`` is the outer source address: the VTEP of the switch that holds the entry.
    """

    vni: Vni
    mac: Mac
    local_vtep: str
    vtep: str
    kind: Literal["endpoint-remote"] = "endpoint-remote"

    @property
    def key(self) -> tuple[str, int, str]:
        return ("endpoint", self.vni, self.mac)


@dataclass(frozen=True, slots=True)
class ReceiveRule:
    """A host accepts frames tagged ``vid`` for ``mac`` of ``vni``: tag off, to the endpoint's port."""

    vni: Vni
    vid: VlanId
    mac: Mac
    kind: Literal["receive"] = "receive"

    @property
    def key(self) -> tuple[str, int, str]:
        # Not the VNI: on one host's link a tag and a MAC lead to one endpoint only, whoever's it is.
        return (self.kind, self.vid, self.mac)


@dataclass(frozen=True, slots=True)
class SendRule:
    """A host sends what ``src`` of ``vni`` says to ``dst`` tagged ``vid`` to the ToR, not into VXLAN."""

    vni: Vni
    src: Mac
    dst: Mac
    vid: VlanId
    kind: Literal["send"] = "send"

    @property
    def key(self) -> tuple[str, int, str, str]:
        # Two tenants may use the same addresses, and what one endpoint says to another has one tag only.
        return (self.kind, self.vni, self.src, self.dst)


SwitchItem = TenantTag | EndpointLocal | EndpointRemote
HostItem = ReceiveRule | SendRule
Item = SwitchItem | HostItem


def asked(put: Iterable[Item], remove: Iterable[Item]) -> dict[str, list[str]]:
    """What a command asks for, as people read it: for the log's line about one that failed."""
    both = {"put": put, "remove": remove}
    return {verb: [words(item) for item in items] for verb, items in both.items() if items}


def words(item: Item) -> str:
    """``receive vni=5001 vid=100 mac=02:00:00:00:00:01``: as people read it."""
    return " ".join([item.kind, *(f"{f.name}={getattr(item, f.name)}" for f in fields(item) if f.name != "kind")])
