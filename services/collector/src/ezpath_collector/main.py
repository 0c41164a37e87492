"""`ezpath-collector`: polls the switches' monitors, publishes flow samples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click
from ezpath.inventory import Inventory, Switch, SwitchConfig
from ezpath.leases import COLLECTORS, Keeper, Leases, Member, Timing
from ezpath.names import SwitchName
from ezpath.process import is_gone, this_process
from ezpath.service import Service, Settings, rack_option, run, service_options, unknown_names, unknown_racks
from ezpath.tls import TlsFiles
from ezpath.tlsoptions import tls_options

from ezpath_collector.metrics import PollMetrics
from ezpath_collector.poller import Poller
from ezpath_collector.source import P4RuntimeSource, RegisterSource
from ezpath_collector.thrift_source import ThriftSource
from ezpath_collector.turns import Turns

MIN_TIMEOUT_S = 5.0
TIMING = Timing(beat_s=0.25, ttl_s=1.25)
"""With a poll a second, a switch whose collector has died is polled by another before two polls are missed."""


async def collect(
    service: Service, interval_s: float, names: tuple[str, ...], rack: str, p4runtime: TlsFiles | None = None
) -> None:
    """Poll those switches of the inventory (or of ``names``) that are ours, until cancelled."""
    switches, metrics, turns = service.inventory.switches, PollMetrics(service.registry), Turns()
    leases = Leases(
        service.instance,
        {switch.name: switch.rack for switch in switches.values()},
        COLLECTORS,
        member=Member(this_process(), rack, names),
        timing=TIMING,
        is_gone=is_gone,
    )

    async def poll(name: str, epoch: int) -> None:
        switch = switches[SwitchName(name)]
        await _poller(service, switch, interval_s, epoch, keeper.certain, metrics, turns, p4runtime).run()

    keeper = Keeper(service.bus, leases, poll, what="switch")
    service.owns = lambda: [f"switch:{name}" for name in keeper.held]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        await keeper.settled.wait()
        service.ready(switches=list(names or switches), polled=sorted(keeper.held), interval_s=interval_s)


def _poller(
    service: Service,
    switch: Switch,
    interval_s: float,
    term: int,
    certain: Callable[[], bool],
    metrics: PollMetrics,
    turns: Turns,
    tls: TlsFiles | None,
) -> Poller:
    timeout_s = max(MIN_TIMEOUT_S, 2 * interval_s)
    return Poller(
        switch.name,
        lambda: source_of(switch.config, timeout_s, tls),
        service.bus.publish_sample,
        service.instance,
        interval_s,
        term,
        certain,
        metrics,
        turns,
    )


def source_of(config: SwitchConfig, timeout_s: float, tls: TlsFiles | None = None) -> RegisterSource:
    """The adapter for where the inventory says that a switch serves its registers."""
    if config.registers is None:
        return P4RuntimeSource(config.address, config.device_id, timeout_s, tls)
    return ThriftSource(config.address, config.device_id, config.registers, timeout_s, tls)


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
@rack_option
@tls_options("p4runtime", "switches", "each address of the inventory that is no unix socket")
def main(settings: Settings, interval: float, switches: tuple[str, ...], rack: str, p4runtime: TlsFiles) -> None:
    """Poll the monitor registers of the switches and publish what they hold as flow samples. Reads only.

    Any number of them share the switches; each switch is polled by one.
    """

    def check(inventory: Inventory) -> list[str]:
        unknown = [*unknown_names("--switch", switches, inventory.switches), *unknown_racks(rack, inventory)]
        return [*unknown, *p4runtime.problems()]

    run("collector", settings, lambda service: collect(service, interval, switches, rack, p4runtime), check=check)


if __name__ == "__main__":
    main()
