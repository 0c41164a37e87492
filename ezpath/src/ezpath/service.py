"""What every service's ``main`` has in common: settings, logs, the inventory, NATS, signals, exit codes.

A service is a click command with :func:`service_options` that ends in :func:`run`::

    @click.command()
    @service_options
    @click.option("--interval", default=1.0)
    def main(settings: Settings, interval: float) -> None:
        run("collector", settings, lambda service: collect(service, interval))

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed at run time, 2 configuration refused (nothing was started).

Readiness: :meth:`Service.ready` logs the event ``ready`` and, with ``--ready-file FILE``, creates FILE (it is removed
when the service stops): wait for either; a container's health check tests for the file. systemd is told as well.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.metadata
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click
import structlog
from prometheus_client import CollectorRegistry

from ezpath import systemd
from ezpath.answers import ASK_STATUS, SagaCounts, ServiceStatus, to_document
from ezpath.bus import Access, Bus, Refused
from ezpath.condition import Condition
from ezpath.configfile import config_option
from ezpath.inventory import Inventory, InventoryError, load
from ezpath.metrics import CannotListen, ServiceMetrics, expose
from ezpath.natsoptions import nats_options
from ezpath.process import pid_namespace
from ezpath.serviceoptions import (
    inventory_file_option,
    log_level_option,
    metrics_option,
    ready_file_option,
    traces_option,
)
from ezpath.tasks import end
from ezpath.telemetry import LogLevel, configure_logging
from ezpath.tracing import CannotTrace, Tracer, tracer

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
STOP_GRACE_S = 10.0
COLLECT_AT = (10_000, 20, 100)
"""Python's own thresholds are 700, 10, 10."""
"""How long a service may take to clean up after SIGTERM before it is ended all the same, seconds."""
CANCEL_AGAIN_S = 2.5


@dataclass(frozen=True, slots=True)
class Settings:
    """What :func:`service_options` read from the command line or the environment."""

    nats: Access
    inventory: Path
    log_level: LogLevel = "info"
    ready_file: Path | None = None
    metrics: str | None = None
    """Where Prometheus may read, ``address:port``; nowhere by default."""
    traces: str | None = None
    """Where traces of offloads are sent, OTLP over HTTP; nowhere by default."""


class ConfigurationRefused(Exception):
    """Raised by a service's main: what was configured does not go with what is there already. Exit code 2."""


class Service:
    """What a running service's main gets: its inventory, its bus, its name and the way to say it is ready."""

    def __init__(
        self, name: str, settings: Settings, inventory: Inventory, bus: Bus, registry: CollectorRegistry | None = None
    ) -> None:
        self.name = name
        self.instance = instance_name()
        self.registry = registry or CollectorRegistry()
        """For the service's own metrics."""
        self.settings = settings
        self.inventory = inventory
        self.bus = bus
        self.conditions: list[Condition] = []
        """Of the switches or hosts that it writes."""
        self.sagas: Callable[[], SagaCounts] = SagaCounts
        """Those that it moves."""
        self.owns: Callable[[], Iterable[str]] = tuple
        """The targets that are this process's alone: ``switch:tor1``, ``host:h11``."""
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(service=name)
        self._started_at = time.time()
        self._is_ready = False
        self._metrics = ServiceMetrics(self.registry, name, self.instance, version())
        self._metrics.watch(bus.vitals, self.conditions)

    async def status(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it answers when it is asked how it is."""
        counts = self.sagas()
        status = ServiceStatus(
            service=self.name,
            instance=self.instance,
            version=version(),
            started_at=self._started_at,
            at=time.time(),
            ready=self._is_ready,
            targets=tuple(condition.told() for condition in self.conditions),
            owns=tuple(sorted(self.owns())),
            active=counts.active,
            under_way=counts.under_way,
            sagas=counts.longest,
            tables=tuple(condition.tables for condition in self.conditions if condition.tables is not None),
        )
        return to_document(status)

    def ready(self, **details: object) -> None:
        """Say once that the service does its work from now on; ``details`` go into the log line."""
        _pause_seldom()
        if self.settings.ready_file is not None:
            self.settings.ready_file.parent.mkdir(parents=True, exist_ok=True)
            self.settings.ready_file.write_text(f"{os.getpid()}\n")
        systemd.tell(systemd.READY)
        self._is_ready = True
        self._metrics.ready.set(1)
        self.log.info("ready", **details)


def _pause_seldom() -> None:
    """Python's collector looks for cycles among all objects again and again: pauses of a tenth of a second and more.

    What is there at the start stays, so it is looked at no more; what is young is, as often as its few cycles need.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)


def instance_name() -> str:
    """Which of several processes of one service this is: host name and process id, fit for a subject token.

    Containers that share their host's name count their processes each for itself: there the namespace is said too.
    """
    host = socket.gethostname().split(".")[0] or "localhost"
    space = pid_namespace()
    return f"{host}-{space:x}-{os.getpid()}" if space else f"{host}-{os.getpid()}"


def version() -> str:
    """EZPath's."""
    return importlib.metadata.version("ezpath")


_F = TypeVar("_F", bound=Callable[..., Any])


def service_options(command: _F) -> _F:
    """Give a click command the options all services share; it is called with ``settings``."""

    @config_option
    @nats_options("NATS with JetStream: a server, or several of a cluster. The service waits for it.")
    @inventory_file_option("Tenants, switches, hosts and endpoints, YAML.")
    @log_level_option
    @ready_file_option
    @metrics_option
    @traces_option
    @functools.wraps(command)
    def with_settings(
        *args: Any,
        nats: Access,
        inventory: Path,
        log_level: LogLevel,
        ready_file: Path | None,
        metrics: str | None,
        traces: str | None,
        **rest: Any,
    ) -> Any:
        settings = Settings(nats, inventory, log_level, ready_file, metrics or None, traces or None)
        return command(*args, settings=settings, **rest)

    return cast(_F, with_settings)


def rack_option(command: _F) -> _F:
    """For services of which several may run: where this one does. The command is called with ``rack``."""
    option = click.option(
        "--rack",
        envvar="EZPATH_RACK",
        default="",
        metavar="NAME",
        help="Where it runs: others leave it what is in this rack, and it leaves them theirs. [env: EZPATH_RACK]",
    )
    return option(command)


Check = Callable[[Inventory], Iterable[str]]


def run(
    name: str, settings: Settings, main: Callable[[Service], Awaitable[None]], *, check: Check | None = None
) -> NoReturn:
    """Check the inventory, connect to NATS, run ``main`` until it ends or a signal comes, and exit the process.

    ``check`` returns what else is wrong with the configuration, a line each; then nothing is started either.
    """
    configure_logging(settings.log_level)
    structlog.contextvars.bind_contextvars(service=name)  # on every line, whoever writes it
    if settings.ready_file is not None:
        settings.ready_file.unlink(missing_ok=True)
    inventory = load_inventory(settings.inventory)
    problems = list(check(inventory)) if check is not None else []
    registry = CollectorRegistry()
    if settings.metrics is not None and not problems:
        try:
            expose(settings.metrics, registry)
        except CannotListen as error:
            problems.append(str(error))
    traces: Tracer | None = None
    if settings.traces is not None and not problems:
        try:
            traces = tracer(settings.traces, name, instance_name(), version())
        except CannotTrace as error:
            problems.append(str(error))
    if problems:
        _refuse(problems, settings.inventory)
    code = asyncio.run(_run(name, settings, inventory, registry, traces, main))
    if traces is not None:
        traces.close()
    sys.exit(code)


def unknown_names(option: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    """For ``check``: a line for each of ``names``, given with ``option``, that is not among ``known``."""
    listed = list(known)
    return [
        f"{option} {name}: not in the inventory. Known: {', '.join(listed) or 'none'}"
        for name in names
        if name not in listed
    ]


def unknown_racks(rack: str, inventory: Inventory) -> list[str]:
    """For ``check``: a line where ``rack``, given with ``--rack``, is no switch's."""
    return unknown_names("--rack", [rack] if rack else [], sorted({s.rack for s in inventory.switches.values()}))


def load_inventory(path: Path, check: Check | None = None) -> Inventory:
    """The inventory at ``path``; where it is refused, every problem goes to stderr and the process exits with 2.

    ``check``: as for :func:`run`.
    """
    try:
        inventory = load(path)
    except InventoryError as error:
        _refuse(map(str, error.problems), path)
    if check is not None and (problems := list(check(inventory))):
        _refuse(problems, path)
    return inventory


def _refuse(problems: Iterable[str], path: Path) -> NoReturn:
    listed = list(problems)
    for problem in listed:
        click.echo(problem, err=True)
    click.echo(f"{len(listed)} problem(s), inventory {path}: nothing was started.", err=True)
    sys.exit(EXIT_CONFIG)


async def _run(
    name: str,
    settings: Settings,
    inventory: Inventory,
    registry: CollectorRegistry,
    traces: Tracer | None,
    main: Callable[[Service], Awaitable[None]],
) -> int:
    log = structlog.get_logger().bind(service=name)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(_work(name, settings, inventory, registry, traces, main), name=f"{name}-main")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set() and not work.done():
        log.info("stopping", reason="signal")
        systemd.tell(systemd.STOPPING)
        # Cleaning up may take a moment, and is not to be cut off at once.
        if not await end((work,), again_s=CANCEL_AGAIN_S, within_s=STOP_GRACE_S):
            log.error("not stopped in time", grace_s=STOP_GRACE_S)
    if settings.ready_file is not None:
        settings.ready_file.unlink(missing_ok=True)
    if not work.done():
        return EXIT_FAILED
    if not work.cancelled() and (error := work.exception()) is not None:
        if (refused := _refused(error)) is not None:
            log.error("configuration refused", reason=str(refused))
            return EXIT_CONFIG
        log.error("failed", error=str(error) or type(error).__name__, exc_info=error)
        return EXIT_FAILED
    log.info("stopped")
    return EXIT_STOPPED


def _refused(error: BaseException) -> BaseException | None:
    if isinstance(error, ConfigurationRefused | Refused):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_refused, error.exceptions)), None)
    return None


async def _work(
    name: str,
    settings: Settings,
    inventory: Inventory,
    registry: CollectorRegistry,
    traces: Tracer | None,
    main: Callable[[Service], Awaitable[None]],
) -> None:
    async with await Bus.connect(settings.nats, name) as bus:
        if traces is not None:
            bus.on_said = traces.said
        service = Service(name, settings, inventory, bus, registry)
        await bus.answer(ASK_STATUS, service.status)
        await main(service)
