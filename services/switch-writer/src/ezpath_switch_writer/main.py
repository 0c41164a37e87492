"""`ezpath-switch-writer`: commands to P4Runtime entries, one independent writer for each switch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import structlog
from ezpath.inventory import Inventory, Switch
from ezpath.leases import SWITCH_WRITERS, Deposed
from ezpath.leases.writers import Writers
from ezpath.metrics import WriterMetrics
from ezpath.names import SwitchName
from ezpath.service import Service, Settings, rack_option, run, service_options, unknown_names, unknown_racks
from ezpath.tls import TlsFiles
from ezpath.tlsoptions import tls_options

from ezpath_switch_writer.program import load_programs, missing_programs
from ezpath_switch_writer.writer import AUDIT_S, SwitchWriter

RESTART_AFTER_S = 2.0


async def write(
    service: Service,
    p4_dir: Path,
    names: tuple[str, ...],
    audit_interval_s: float,
    rack: str = "",
    p4runtime: TlsFiles | None = None,
) -> None:
    """Write those switches of the inventory (or of ``names``) that are ours, until cancelled.

    Ready when each of them has been in sync once, or it turned out that others have them.
    """
    inventory, metrics = service.inventory, WriterMetrics(service.registry)
    programs = load_programs(p4_dir, _switches(inventory, names))

    def make(name: str, term: int) -> IsolatedWriter:
        switch = inventory.switches[SwitchName(name)]
        return IsolatedWriter(
            SwitchWriter(
                switch,
                inventory,
                programs[switch.name],
                service.bus,
                audit_interval_s=audit_interval_s,
                term=term,
                metrics=metrics,
                tls=p4runtime,
            )
        )

    racks = {str(switch.name): switch.rack for switch in inventory.switches.values()}
    writers = Writers(service, SWITCH_WRITERS, racks, make, rack=rack, only=names)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writers.run())
        await writers.settled.wait()
        for each in list(writers.current.values()):
            await each.writer.in_sync.wait()
        cookies = {name: f"{program.cookie:#x}" for name, program in programs.items()}
        service.ready(switches=list(names or inventory.switches), written=sorted(writers.current), cookies=cookies)


def _switches(inventory: Inventory, names: tuple[str, ...]) -> list[Switch]:
    """Those of ``names``, or all."""
    return [inventory.switches[SwitchName(name)] for name in dict.fromkeys(names or inventory.switches)]


class IsolatedWriter:
    """A fault that nobody foresaw stays with the one switch it concerns."""

    def __init__(self, writer: SwitchWriter) -> None:
        self.writer = writer
        self.target, self.condition, self.on_installed = writer.target, writer.condition, writer.on_installed

    async def run(self) -> None:
        while True:
            try:
                await self.writer.run()
            except* Deposed as group:
                raise group.exceptions[0] from None
            except* Exception as group:  # noqa: BLE001 - reported, and begun anew
                structlog.get_logger().error("writer failed", exc_info=group, next=f"begun anew in {RESTART_AFTER_S} s")
            await asyncio.sleep(RESTART_AFTER_S)


@click.command(
    epilog="Example: ezpath-switch-writer --nats nats://127.0.0.1:4222 --inventory lab.yaml --p4-dir p4 --switch tor1"
)
@service_options
@click.option(
    "--p4-dir",
    envvar="EZPATH_P4_DIR",
    default=Path("p4"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the compiled programs are, NAME.json and NAME.p4info.txtpb. [env: EZPATH_P4_DIR]",
)
@click.option(
    "--switch",
    "switches",
    multiple=True,
    envvar="EZPATH_SWITCHES",
    metavar="NAME",
    help="Write this switch only; repeatable. Default: all of the inventory. [env: EZPATH_SWITCHES, spaces between]",
)
@click.option(
    "--audit-interval",
    envvar="EZPATH_AUDIT_INTERVAL",
    default=AUDIT_S,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How often a switch is compared with what it ought to hold. [env: EZPATH_AUDIT_INTERVAL]",
)
@rack_option
@tls_options("p4runtime", "switches", "each address of the inventory that is no unix socket")
def main(
    settings: Settings,
    p4_dir: Path,
    switches: tuple[str, ...],
    audit_interval: float,
    rack: str,
    p4runtime: TlsFiles,
) -> None:
    """Be the primary of the switches: program, base configuration, and the entries that sagas command.

    Any number of them share the switches; each switch is written by one.
    """

    def check(inventory: Inventory) -> list[str]:
        unknown = [*unknown_names("--switch", switches, inventory.switches), *unknown_racks(rack, inventory)]
        unknown += p4runtime.problems()
        return unknown or list(missing_programs(p4_dir, _switches(inventory, switches)))

    run(
        "switch-writer",
        settings,
        lambda service: write(service, p4_dir, switches, audit_interval, rack, p4runtime),
        check=check,
    )


if __name__ == "__main__":
    main()
