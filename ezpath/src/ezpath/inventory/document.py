"""What may stand in an inventory file, field by field. Pure.

Numbers are numbers and text is text: YAML's and pydantic's helpful conversions (``"7"`` to 7, ``yes`` to true,
``10:11:12:13:14:15`` to a number) hide mistakes until they hurt.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"


def _name(value: str) -> str:
    if not re.fullmatch(NAME.strip("^$"), value):
        # Names become subjects, keys and container names: nothing that any of those reads as more than a letter.
        raise ValueError(f"{value!r} is no name. Use lower case letters, digits and dashes, at most 63")
    return value


def _mac(value: object) -> str:
    if isinstance(value, int):
        raise ValueError("is a number, for YAML reads unquoted digits and colons so. Put the address in quotes")
    if not isinstance(value, str) or not re.fullmatch(_MAC, value.lower()):
        raise ValueError(f"{value!r} is no MAC address. Write one such as 02:00:00:00:00:01, in quotes")
    if int(value[:2], 16) & 1:
        raise ValueError(f"{value} is a group address. Give a single interface's, with an even first byte")
    return value.lower()


def _ipv4(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is no IPv4 address. Write one such as 10.0.0.1")
    return str(ipaddress.IPv4Address(value))


def _prefix(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is no IPv4 prefix. Write one such as 10.0.0.0/24")
    return str(ipaddress.IPv4Network(value))


def _grpc_target(value: str) -> str:
    match = re.fullmatch(r"unix:.+|[^\s/]+:(\d{1,5})", value)
    if match and int(match[1] or 0) < 65536:
        return value
    raise ValueError(f"{value!r} is no P4Runtime address. Write unix:/path/to.sock or host:port")


def _ovsdb_target(value: str) -> str:
    if re.fullmatch(r"unix:.+|(tcp|ssl):[^\s]+:\d{1,5}", value):
        return value
    raise ValueError(f"{value!r} is no OVSDB address. Write unix:/path/db.sock, tcp:address:port or ssl:address:port")


def _registers(value: str) -> str:
    match = re.fullmatch(r"thrift\+unix:/.+|thrift://(?:[^\s/:@?#]+|\[[0-9a-f:]+\]):(\d{1,5})", value)
    if match and 0 < int(match[1] or 1) < 65536:
        return value
    raise ValueError(
        f"{value!r} is no place of registers. Write thrift://host:port or thrift+unix:/path/to.sock, "
        "or leave it out where the switch serves them over P4Runtime"
    )


def _program(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError(
            f"{value!r} is no name of a compiled program. Write it as its files are called, without "
            ".json and without a folder: ezpath, or ezpath.bmv2"
        )
    return value


def _openflow_target(value: str) -> str:
    if re.fullmatch(r"unix:.+|(tcp|ssl):[^\s]+:\d{1,5}", value):
        return value
    raise ValueError(
        f"{value!r} is no OpenFlow address. Write where ovs-vsctl set-controller has the bridge listen: "
        "ssl:address:port where that is pssl:port, tcp:address:port, or unix:/path/br-int.mgmt"
    )


Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
MacField = Annotated[str, BeforeValidator(_mac)]
IPv4Field = Annotated[str, BeforeValidator(_ipv4)]
PrefixField = Annotated[str, BeforeValidator(_prefix)]
GrpcTarget = Annotated[str, AfterValidator(_grpc_target)]
OvsdbTarget = Annotated[str, AfterValidator(_ovsdb_target)]
OpenFlowTarget = Annotated[str, AfterValidator(_openflow_target)]
RegistersTarget = Annotated[str, AfterValidator(_registers)]
ProgramField = Annotated[str, AfterValidator(_program)]
PortField = Annotated[int, Field(ge=1, le=510, strict=True)]
VniField = Annotated[int, Field(ge=1, le=0xFFFFFF, strict=True)]
VlanField = Annotated[int, Field(ge=1, le=4094, strict=True)]
DeviceField = Annotated[int, Field(ge=1, le=2**64 - 1, strict=True)]
WeightField = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TenantConfig(_Strict):
    vni: VniField


class RouteConfig(_Strict):
    """Frames for ``prefix`` leave by ``port``, from the ToR's MAC to ``next_hop``."""

    prefix: PrefixField
    port: PortField
    next_hop: MacField


class PortConfig(_Strict):
    """A ToR port. ``address`` is what the ToR answers ARP for there."""

    number: PortField
    address: IPv4Field
    fabric: Flag = False
    """Towards the spine: tunnels from other ToRs are accepted here, and only here."""


class SwitchConfig(_Strict):
    rack: Name
    device_id: DeviceField
    address: GrpcTarget
    """gRPC target of its P4Runtime server: ``unix:/run/tor1.sock`` or ``host:port``."""
    registers: RegistersTarget | None = None
    """Where its registers are read: ``thrift://host:port`` for BMv2; over P4Runtime, at ``address``, when left out."""
    program: ProgramField = "ezpath"
    """The compiled program it runs, as its files are called: ``ezpath``, or ``ezpath.bmv2`` for BMv2."""
    vtep: IPv4Field
    mac: MacField
    """The router's MAC on all its ports."""
    ports: tuple[PortConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()


class VlanRange(_Strict):
    first: VlanField = 100
    last: VlanField = 4000


class HostConfig(_Strict):
    switch: Name
    port: PortField
    vtep: IPv4Field
    """The host's own address in the underlay, where its OVS ends VXLAN."""
    ovsdb: OvsdbTarget
    """OVSDB remote: ``unix:/path/db.sock``, ``tcp:address:port`` or ``ssl:address:port``."""
    run_dir: str = ""
    """Where ovs-vswitchd keeps its bridges' management sockets; beside the OVSDB socket when empty."""
    openflow: dict[Text, OpenFlowTarget] = {}
    """By bridge, where ``run_dir`` is out of reach: ``ssl:address:port`` or ``tcp:address:port``."""
    integration_bridge: Text = "br-int"
    physical_bridge: Text = "br-phy"
    uplink: Text = "eth0"
    vlans: VlanRange = VlanRange()
    """Tags that EZPath may use on this host's link."""


class EndpointConfig(_Strict):
    name: Name
    tenant: Name
    mac: MacField
    ip: IPv4Field
    host: Name
    interface: Text
    """The OVS interface's name, or its ``external_ids:iface-id``."""
    importance: WeightField = 1.0
    """What its traffic counts: 2 is twice as much. A flow's is the product of its ends'."""
    kind: str = ""
    """Of application, such as db or batch: a policy may weigh kinds."""


class SourceConfig(BaseModel):
    """What a source of its kind may be told, that kind says itself (``sources/``)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: Text
    """``docker``, ``kubernetes``, or any that is installed."""

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Document(_Strict):
    """The file."""

    tenants: dict[Name, TenantConfig]
    switches: dict[Name, SwitchConfig]
    hosts: dict[Name, HostConfig]
    endpoints: tuple[EndpointConfig, ...] = ()
    sources: dict[Name, SourceConfig] = {}
    """Who else tells of endpoints, by a name for the log. Where two claim the same, the first has it."""
