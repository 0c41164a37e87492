"""`ezpath-collector`: polls the switches' monitors, publishes flow samples."""

from __future__ import annotations

import asyncio

import click
from ezpath.inventory import Switch, SwitchConfig
from ezpath.names import SwitchName
from ezpath.service import Service, Settings, run, service_options, unknown_names

from ezpath_collector.poller import Poller
from ezpath_collector.source import P4RuntimeSource, RegisterSource
from ezpath_collector.thrift_source import ThriftSource

MIN_TIMEOUT_S = 5.0


async def collect(service: Service, interval_s: float, names: tuple[str, ...]) -> None:
    """Poll the switches of the inventory (or those of ``names``) until cancelled."""
    pollers = [
        _poller(service, service.inventory.switches[SwitchName(name)], interval_s) for name in dict.fromkeys(names)
    ]
    async with asyncio.TaskGroup() as tasks:
        for poller in pollers:
            tasks.create_task(poller.run())
        service.ready(switches=list(names), interval_s=interval_s)


def _poller(service: Service, switch: Switch, interval_s: float) -> Poller:
    timeout_s = max(MIN_TIMEOUT_S, 2 * interval_s)
    return Poller(
        switch.name,
        lambda: source_of(switch.config, timeout_s),
        service.bus.publish_sample,
        service.instance,
        interval_s,
    )


def source_of(config: SwitchConfig, timeout_s: float) -> RegisterSource:
    """The adapter for where the inventory says that a switch serves its registers."""
    if config.registers is None:
        return P4RuntimeSource(config.address, config.device_id, timeout_s)
    return ThriftSource(config.address, config.device_id, config.registers, timeout_s)


@click.command(
    epilog="Example: ezpath-collector --nats nats://127.0.0.1:4222 --inventory lab.yaml --interval 0.5 --switch tor1"
)
@service_options
@click.option(
    "--interval",
    envvar="EZPATH_INTERVAL",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.05),
    metavar="SECONDS",
    help="Time between two polls of a switch. [env: EZPATH_INTERVAL]",
)
@click.option(
    "--switch",
    "switches",
    multiple=True,
    envvar="EZPATH_SWITCHES",
    metavar="NAME",
    help="Poll this switch only; repeatable. Default: all of the inventory. [env: EZPATH_SWITCHES, spaces between]",
)
def main(settings: Settings, interval: float, switches: tuple[str, ...]) -> None:
    """Poll the monitor registers of the switches and publish what they hold as flow samples. Reads only."""
    run(
        "collector",
        settings,
        lambda service: collect(service, interval, switches or tuple(service.inventory.switches)),
        check=lambda inventory: unknown_names("--switch", switches, inventory.switches),
    )


if __name__ == "__main__":
    main()
