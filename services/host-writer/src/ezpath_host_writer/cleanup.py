"""Everything of EZPath's away from a host: rules under its cookie, ports marked as its own, and nothing else.

Needs no NATS: it is for taking a host out of service, and for the end of a lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from ezpath.inventory import Host
from ezpath.ovs import Change, Ovsdb, OvsError, OvsUnreachable, Reach, Role, patch
from ezpath.ovs.reach import NO_TLS
from ezpath.tls import TlsFiles

from ezpath_host_writer.plan import stages
from ezpath_host_writer.reaching import bridge_of, reach_of
from ezpath_host_writer.rules import Rules


async def clean_up(hosts: Sequence[Host], tls: TlsFiles = NO_TLS) -> list[str]:
    """Clean all ``hosts``, side by side. Returns what went wrong, one line a host; empty where nothing did."""
    reasons = await asyncio.gather(*(_clean_up(host, tls) for host in hosts))
    return [reason for reason in reasons if reason]


async def _clean_up(host: Host, tls: TlsFiles) -> str:
    log = structlog.get_logger().bind(host=host.name)
    try:
        ovsdb = await Ovsdb.connect(host.config.ovsdb, lambda _: None, tls)
    except OvsError as error:
        return f"host {host.name}: Open vSwitch is not reachable: {error}. Nothing was removed there"
    try:
        removed = await _remove_all(host, ovsdb, reach_of(host, tls))
    except OvsError as error:
        return f"host {host.name}: {error}. Something may be left there: run --cleanup again"
    finally:
        await ovsdb.close()
    log.info("cleaned up", rules_removed=removed)
    return ""


async def _remove_all(host: Host, ovsdb: Ovsdb, reach: Reach) -> int:
    """In the order that loses no frame: paths from their beginning, then the ports, the guards last."""
    names = {"integration": host.config.integration_bridge, "physical": host.config.physical_bridge}
    bridges = {role: bridge_of(name, reach) for role, name in names.items() if name in ovsdb.view.bridges}
    removed = 0
    try:
        present = Rules(**{role: tuple(await bridge.ours()) for role, bridge in bridges.items()})
        for stage in stages(present.where(lambda flow: flow.role is Role.GUARD), present):
            await bridges[stage.bridge].change(stage.change)
    except OvsUnreachable:
        # ovs-vswitchd does not run, so there are no rules; the ports are in the database all the same.
        await patch.remove(ovsdb)
        return 0
    await patch.remove(ovsdb)
    for bridge in bridges.values():
        await bridge.change(Change(deletes=tuple(await bridge.ours())))
        await bridge.remove_fence()
        removed = present.count
    return removed
