"""How a host's Open vSwitch is reached, by what the inventory says of it. Adapter."""

from __future__ import annotations

from pathlib import Path

from ezpath.inventory import Host
from ezpath.ovs import Daemon, DistantVswitchd, Fence, OpenFlowBridge, OvsUnreachable, Reach, Vswitchd
from ezpath.ovs.ofconn import OpenFlowConnection
from ezpath.ovs.reach import explained
from ezpath.tls import TlsFiles


def reach_of(host: Host, tls: TlsFiles) -> Reach:
    """``tls``: what we show where it is asked for, and whom we believe."""
    config = host.config
    kind, _, path = config.ovsdb.partition(":")
    beside = Path(path).parent if kind == "unix" else None
    return Reach(config.ovsdb, Path(config.run_dir) if config.run_dir else beside, config.openflow, tls)


def bridge_of(name: str, reach: Reach, fence: Fence | None = None) -> OpenFlowBridge:
    """Raises :class:`OvsUnreachable` where nobody can tell where it is."""
    return OpenFlowBridge(name, _remote(name, reach), fence, reach.tls)


async def daemon_of(bridge: str, reach: Reach) -> Daemon:
    """The host's ovs-vswitchd, of which ``bridge`` is one. Raises :class:`OvsUnreachable`."""
    if reach.run_dir is not None:
        return await Vswitchd.connect(reach.run_dir)
    remote = _remote(bridge, reach)
    try:
        return DistantVswitchd(await OpenFlowConnection.open(bridge, remote, tls=reach.tls))
    except OvsUnreachable as error:
        raise await explained(remote, reach.tls, error) from None


def _remote(bridge: str, reach: Reach) -> str:
    remote = reach.bridge(bridge)
    if remote is None:
        raise OvsUnreachable(
            f"with ovsdb {reach.ovsdb}, where bridge {bridge} speaks OpenFlow is not known. "
            "Give the host's run_dir, or its openflow, in the inventory"
        )
    return remote
