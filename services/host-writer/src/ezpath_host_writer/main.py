"""``ezpath-host-writer``: the process around one worker for each host."""

from __future__ import annotations

import asyncio
import sys

import click
import structlog
from ezpath.answers import ask_installed
from ezpath.inventory import Host, Inventory
from ezpath.names import HostName
from ezpath.service import EXIT_FAILED, EXIT_STOPPED, Service, Settings, load_inventory, run, service_options
from ezpath.telemetry import configure_logging

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
    help="Only this host of the inventory; may be given several times. All hosts by default. [env: EZPATH_HOSTS]",
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
def main(settings: Settings, names: tuple[str, ...], audit_s: float, cleanup: bool) -> None:
    """Change Open vSwitch's rules as commands on ezpath.command.host.<host> say, and confirm them.

    Touches nothing but rules under EZPath's cookie and its own patch ports. On SIGTERM everything stays as it is:
    traffic goes on flowing.
    """
    inventory = load_inventory(settings.inventory)
    hosts = _choose(inventory, names)
    if cleanup:
        configure_logging(settings.log_level)
        sys.exit(_report(asyncio.run(clean_up(hosts))))
    run("host-writer", settings, lambda service: serve(service, hosts, audit_s))


async def serve(service: Service, hosts: list[Host], audit_s: float) -> None:
    """A worker for each of ``hosts``, until cancelled."""
    workers = [HostWorker(service.bus, host, service.inventory, audit_s) for host in hosts]
    service.conditions += [worker.condition for worker in workers]
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(worker.run(), name=f"host-{worker.host.name}")
            tasks.create_task(service.bus.answer(ask_installed(worker.target), worker.on_installed))
        for worker in workers:
            await worker.first_attempt.wait()
        service.ready(
            hosts=[worker.host.name for worker in workers if worker.connected],
            not_ready=[worker.host.name for worker in workers if not worker.connected],
        )


def _choose(inventory: Inventory, names: tuple[str, ...]) -> list[Host]:
    unknown = [name for name in names if HostName(name) not in inventory.hosts]
    if unknown:
        known = ", ".join(inventory.hosts) or "none"
        raise click.BadParameter(
            f"not in the inventory: {', '.join(unknown)}. Known hosts: {known}", param_hint="--host"
        )
    return [host for name, host in inventory.hosts.items() if not names or name in names]


def _report(reasons: list[str]) -> int:
    for reason in reasons:
        structlog.get_logger().error("not cleaned up", reason=reason)
    return EXIT_FAILED if reasons else EXIT_STOPPED
