"""`ezpath-switch-writer`: commands to P4Runtime entries, one independent writer for each switch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import structlog
from ezpath.answers import ask_installed
from ezpath.inventory import Inventory, Switch
from ezpath.names import SwitchName
from ezpath.service import Service, Settings, run, service_options, unknown_names

from ezpath_switch_writer.program import load_programs, missing_programs
from ezpath_switch_writer.writer import AUDIT_S, SwitchWriter

RESTART_AFTER_S = 2.0


async def write(service: Service, p4_dir: Path, names: tuple[str, ...], audit_interval_s: float) -> None:
    """Write the switches of ``names`` until cancelled. Ready when each of them has been in sync once."""
    inventory = service.inventory
    switches = _switches(inventory, names)
    programs = load_programs(p4_dir, switches)
    writers = [
        SwitchWriter(switch, inventory, programs[switch.name], service.bus, audit_interval_s=audit_interval_s)
        for switch in switches
    ]
    service.conditions += [writer.condition for writer in writers]
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(_isolated(writer))
            tasks.create_task(service.bus.answer(ask_installed(writer.target), writer.on_installed))
        for writer in writers:
            await writer.in_sync.wait()
        cookies = {name: f"{program.cookie:#x}" for name, program in programs.items()}
        service.ready(switches=list(names), cookies=cookies)


def _switches(inventory: Inventory, names: tuple[str, ...]) -> list[Switch]:
    """Those of ``names``, or all."""
    return [inventory.switches[SwitchName(name)] for name in dict.fromkeys(names or inventory.switches)]


async def _isolated(writer: SwitchWriter) -> None:
    """A fault that nobody foresaw stays with the one switch it concerns."""
    while True:
        try:
            await writer.run()
        except Exception as error:  # noqa: BLE001 - reported, and begun anew
            structlog.get_logger().error("writer failed", exc_info=error, next=f"begun anew in {RESTART_AFTER_S} s")
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
def main(settings: Settings, p4_dir: Path, switches: tuple[str, ...], audit_interval: float) -> None:
    """Be the primary of the switches: program, base configuration, and the entries that sagas command."""

    def check(inventory: Inventory) -> list[str]:
        unknown = unknown_names("--switch", switches, inventory.switches)
        return unknown or list(missing_programs(p4_dir, _switches(inventory, switches)))

    run(
        "switch-writer",
        settings,
        lambda service: write(service, p4_dir, switches or tuple(service.inventory.switches), audit_interval),
        check=check,
    )


if __name__ == "__main__":
    main()
