"""`ezpath console`: the page of :mod:`ezpath.console` for browsers, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import click
import structlog
from prometheus_client import CollectorRegistry, Gauge

from ezpath import systemd
from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_USAGE, fail, nats_option
from ezpath.configfile import config_option
from ezpath.inventory import Inventory
from ezpath.listen import address_of
from ezpath.metrics import CannotListen, ServiceMetrics, expose
from ezpath.service import instance_name, load_inventory, version
from ezpath.serviceoptions import inventory_file_option, log_level_option, metrics_option
from ezpath.telemetry import LogLevel, configure_logging

EXAMPLES = """\b
Examples:
  ezpath console --inventory network.yaml     then http://127.0.0.1:8080 in a browser
  ezpath console --listen [::1]:9000
  ezpath console --config settings.yaml       a file that it shares with the services; its own section is `console`
  ssh -L 8080:127.0.0.1:8080 controller       to look at one that runs there

It shows, and changes nothing: there is no button that moves a flow, and nobody logs in. Whoever reaches it may look, so
it listens on this machine alone unless told otherwise. It waits for NATS, and says on the page when NATS is away.

\b
Exit status: 0 stopped, 2 wrong usage, or the address cannot be listened on.
"""


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    try:
        return address_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}. Give ADDRESS:PORT, such as 127.0.0.1:8080") from None


@click.command(epilog=EXAMPLES)
@config_option
@nats_option
@inventory_file_option("Racks, switches and hosts, as services have it.")
@log_level_option
@metrics_option
@click.option(
    "--listen",
    envvar="EZPATH_LISTEN",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="ADDRESS:PORT",
    callback=_address,
    help="Where browsers find it. [env: EZPATH_LISTEN]",
)
def console(nats: Access, inventory: Path, log_level: LogLevel, metrics: str | None, listen: tuple[str, int]) -> None:
    """Serve a page with topology, flows, sagas, tables and events, live and read-only."""
    configure_logging(log_level)
    structlog.contextvars.bind_contextvars(service="console")
    network = load_inventory(inventory)
    registry = CollectorRegistry()
    if metrics:
        try:
            expose(metrics, registry)
        except CannotListen as error:
            fail(str(error), EXIT_USAGE)
    asyncio.run(_run(nats, network, registry, *listen))


async def _run(nats: Access, network: Inventory, registry: CollectorRegistry, host: str, port: int) -> None:
    try:
        # aiohttp is an extra of the package: who wants no console needs none of it
        from ezpath.console.server import Bell, Server, is_loopback, serve
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing, which serves the page: pip install 'ezpath[console]'", EXIT_USAGE)
    from ezpath.console.listening import Listening, address_of
    from ezpath.console.page import Page

    log = structlog.get_logger()
    bell, page = Bell(), Page(network, address_of(nats.url), time.time())
    server = Server(page, bell, host)
    told = ServiceMetrics(registry, "console", instance_name(), version())
    browsers = Gauge("ezpath_console_browsers", "Browsers that are told what happens now.", registry=registry)
    browsers.set_function(lambda: server.browsers)
    try:
        runner = await serve(server.application(), host, port)
    except OSError as error:
        fail(
            f"--listen {host}:{port}: {error.strerror or error}. "
            "Give an address of this machine with a port that is free (ss -ltnp names who has it)",
            EXIT_USAGE,
        )
    log.info("console", url=f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    systemd.tell(systemd.READY)
    told.ready.set(1)
    if not is_loopback(host):
        log.warning("whoever reaches this address may look", listen=f"{host}:{port}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def connected(bus: Bus) -> None:
        told.watch(bus.vitals, [])

    listening = asyncio.create_task(Listening(nats, network, page, bell.ring, connected).run())
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
        if listening in done:
            listening.result()
    finally:
        listening.cancel()
        stopping.cancel()
        await asyncio.wait((listening,), timeout=5.0)
        await runner.cleanup()
