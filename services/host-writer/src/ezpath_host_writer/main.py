"""``ezpath-host-writer``: the process around one worker for each host."""

from __future__ import annotations

import asyncio
import sys

import click
import structlog
from ezpath.inventory import Host, Inventory
from ezpath.leases import HOST_WRITERS
from ezpath.leases.writers import Writers
from ezpath.metrics import WriterMetrics
from ezpath.names import HostName
from ezpath.ovs.reach import NO_TLS
from ezpath.service import (
    EXIT_FAILED,
    EXIT_STOPPED,
    Service,
    Settings,
    load_inventory,
    rack_option,
    run,
    service_options,
    unknown_names,
    unknown_racks,
)
from ezpath.telemetry import configure_logging
from ezpath.tls import TlsFiles
from ezpath.tlsoptions import tls_options

from ezpath_host_writer.cleanup import clean_up
from ezpath_host_writer.worker import HostWorker


@click.command(epilog="Example: ezpath-host-writer --nats nats://127.0.0.1:4222 --inventory network.yaml --host h11")
@service_options
@click.option(
    "--host",
    "names",
    multiple=True,
    metavar="NAME",
    envvar="EZPATH_HOSTS",
    help="Only this host of the inventory; repeatable. Default: all of them. [env: EZPATH_HOSTS, spaces between]",
)
@click.option(
    "--audit-interval",
    "audit_s",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    envvar="EZPATH_AUDIT_INTERVAL",
    help="How often rules are compared with what they ought to be. [env: EZPATH_AUDIT_INTERVAL]",
)
@click.option(
    "--cleanup", is_flag=True, help="Remove EZPath's rules and ports from the hosts, and exit. Needs no NATS."
)
@rack_option
@tls_options("ovs", "Open vSwitches", "addresses of the inventory that begin with ssl:")
def main(settings: Settings, names: tuple[str, ...], audit_s: float, cleanup: bool, rack: str, ovs: TlsFiles) -> None:
    """Change Open vSwitch's rules as commands on ezpath.command.host.<host> say, and confirm them.

    Touches nothing but rules under EZPath's cookie and its own patch ports. On SIGTERM everything stays as it is:
    traffic goes on flowing. Any number of them share the hosts; each host is written by one.
    """

    def check(inventory: Inventory) -> list[str]:
        unknown = [*unknown_names("--host", names, inventory.hosts), *unknown_racks(rack, inventory)]
        return [*unknown, *ovs.problems()]

    if cleanup:
        configure_logging(settings.log_level)
        hosts = _hosts(load_inventory(settings.inventory, check), names)
        sys.exit(_report(asyncio.run(clean_up(hosts, ovs))))
    run("host-writer", settings, lambda service: serve(service, names, audit_s, rack, ovs), check=check)


async def serve(
    service: Service, names: tuple[str, ...], audit_s: float, rack: str = "", tls: TlsFiles = NO_TLS
) -> None:
    """A worker for each host of the inventory (or of ``names``) that is ours, until cancelled."""
    inventory, metrics = service.inventory, WriterMetrics(service.registry)
    racks = {str(host.name): inventory.switches[host.switch].rack for host in inventory.hosts.values()}
    only = tuple(dict.fromkeys(names)) if len(set(names)) < len(racks) else ()

    def make(name: str, term: int) -> HostWorker:
        return HostWorker(service.bus, inventory.hosts[HostName(name)], inventory, audit_s, term, metrics, tls)

    workers = Writers(service, HOST_WRITERS, racks, make, rack=rack, only=only)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(workers.run())
        await workers.settled.wait()
        ours = list(workers.current.values())
        for worker in ours:
            await worker.first_attempt.wait()
        service.ready(
            hosts=[worker.host.name for worker in ours if worker.connected],
            not_ready=[worker.host.name for worker in ours if not worker.connected],
        )


def _hosts(inventory: Inventory, names: tuple[str, ...]) -> list[Host]:
    """Those of ``names``, or all."""
    return [host for name, host in inventory.hosts.items() if not names or name in names]


def _report(reasons: list[str]) -> int:
    for reason in reasons:
        structlog.get_logger().error("not cleaned up", reason=reason)
    return EXIT_FAILED if reasons else EXIT_STOPPED
