"""``ezpath-tor``: the software ToR as a process. Checks what it needs, serves until a signal, cleans up."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import grpc.aio
import structlog

from ezpath_tor.logs import LEVELS, configure
from ezpath_tor.plane import DataPlane
from ezpath_tor.server import Switch, make_server

MAX_PORT = 510  # 9 bits in v1model, of which 511 means "drop"

_EPILOG = """\b
Examples:
  ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --port 1=eth1 --port 2=eth2
  ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --listen 127.0.0.1:9559 --port 1=eth1
  ezpath-tor --device-id 2 --listen 127.0.0.1:9560 --port 1=eth1 --limit endpoint=100

The P4 program comes over P4Runtime (SetForwardingPipelineConfig with p4info and BMv2 JSON). Until then the
ports are left alone. SIGTERM and SIGINT stop the switch, take the program off the ports and remove the socket.
Exit status: 0 stopped by a signal, 1 could not run, 2 wrong arguments.
"""


def _ports(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[int, str]:
    ports: dict[int, str] = {}
    for value in values:
        number, separator, interface = value.partition("=")
        if not separator or not interface or not number.isdecimal():
            raise click.BadParameter(f"{value!r} is not NUMBER=INTERFACE, as in 1=eth1")
        port = int(number)
        if port > MAX_PORT:
            raise click.BadParameter(f"{value!r}: a port number is at most {MAX_PORT}")
        if port in ports:
            raise click.BadParameter(f"port {port} is given twice: {ports[port]} and {interface}")
        if interface in ports.values():
            raise click.BadParameter(f"interface {interface} is given for two ports")
        ports[port] = interface
    return ports


def _limits(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    limits: dict[str, int] = {}
    for value in values:
        table, separator, number = value.partition("=")
        if not separator or not table or not number.isdecimal() or int(number) == 0:
            raise click.BadParameter(f"{value!r} is not TABLE=ENTRIES, as in endpoint=100")
        limits[table] = int(number)
    return limits


def _addresses(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value.startswith("unix:"):
            if len(os.fsencode(value.removeprefix("unix:"))) not in range(1, 108):
                raise click.BadParameter(f"{value!r}: a socket's path has 1 to 107 bytes")
            continue
        host, separator, port = value.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise click.BadParameter(f"{value!r} is neither unix:PATH nor HOST:PORT")
    return values


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--device-id", type=click.IntRange(1, 2**64 - 1), required=True, help="P4Runtime device id, from 1.")
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    required=True,
    metavar="ADDRESS",
    callback=_addresses,
    help="unix:PATH or HOST:PORT to serve P4Runtime on, without encryption. Repeatable.",
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    required=True,
    metavar="N=INTERFACE",
    callback=_ports,
    help="A P4 port number and the network interface behind it. Repeatable.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="TABLE=N",
    callback=_limits,
    help="At most N entries in a table, whatever the program's size: to rehearse a full table. Repeatable.",
)
@click.option("--log-level", type=click.Choice(list(LEVELS)), default="info", show_default=True)
@click.option("--die-with-parent", is_flag=True, help="Stop when the process that started this one dies.")
def main(
    device_id: int,
    addresses: tuple[str, ...],
    ports: dict[int, str],
    limits: dict[str, int],
    log_level: str,
    die_with_parent: bool,
) -> None:
    """A P4Runtime switch whose data plane is the P4 program, compiled to tc eBPF on network interfaces."""
    configure(log_level)
    if die_with_parent:
        _die_with_parent()
    _check_machine(ports)
    with ExitStack() as held:
        for interface in ports.values():
            held.enter_context(_claim(interface))
        for address in addresses:
            held.enter_context(_socket_file(address))
        try:
            asyncio.run(_serve(device_id, addresses, _plane(ports), limits))
        except OSError as error:
            raise click.ClickException(str(error)) from error


def _plane(ports: dict[int, str]) -> DataPlane:
    from ezpath_tor.tc import TcPlane  # loads libbpf, which --help should not need

    return TcPlane(ports)


async def _serve(device_id: int, addresses: tuple[str, ...], plane: DataPlane, limits: dict[str, int]) -> None:
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    switch = Switch(device_id, plane, limits)
    try:
        server = make_server(switch)
        for address in addresses:
            _bind(server, address)
        await server.start()
        ports = {str(port): interface for port, interface in plane.ports.items()}
        log.info("ready", device_id=device_id, listen=list(addresses), ports=ports)
        await stop.wait()
        log.info("stopping")
        await server.stop(grace=1)
    finally:
        await switch.close()
    log.info("stopped")


def _bind(server: grpc.aio.Server, address: str) -> None:
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise click.ClickException(
            f"cannot listen on {address}: it is in use, or not an address of this machine; "
            "stop what listens there (ss -lxtp shows it) or choose another --listen"
        )


# ---- what has to be true before we start


def _check_machine(ports: dict[int, str]) -> None:
    if os.geteuid() != 0:
        raise click.ClickException("not root: loading eBPF needs it; run this with sudo")
    if shutil.which("clang") is None:
        raise click.ClickException("clang is not on PATH: install it (apt install clang libbpf-dev)")
    present = {name for _, name in socket.if_nameindex()}
    missing = [f"{name} (port {port})" for port, name in ports.items() if name not in present]
    if missing:
        raise click.ClickException(
            f"no network interface {', '.join(missing)} in this network namespace; it has {', '.join(sorted(present))}"
        )


@contextmanager
def _claim(interface: str) -> Iterator[None]:
    """Hold the interface against a second ezpath-tor of this network namespace.

    An abstract socket does that: it lives in the namespace, and dies with the process however that ends.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        try:
            claim.bind(f"\0ezpath-tor/{interface}")
        except OSError:
            raise click.ClickException(
                f"interface {interface} is a port of another ezpath-tor: stop that one first"
            ) from None
        yield


@contextmanager
def _socket_file(address: str) -> Iterator[None]:
    """Make room for a unix socket, and remove it in the end. Other addresses: nothing to do."""
    if not address.startswith("unix:"):
        yield
        return
    path = Path(address.removeprefix("unix:"))
    if not path.parent.is_dir():
        raise click.ClickException(f"cannot listen on {address}: there is no directory {path.parent}")
    _remove_stale(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a switch that was killed; refuse where somebody listens, or it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise click.ClickException(f"{path} is there and is no socket: remove it, or choose another --listen")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            structlog.get_logger().info("removed the socket of a switch that is gone", path=str(path))
            return
    raise click.ClickException(f"{path} is in use: another switch listens there; stop it, or choose another --listen")


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getppid()
    if prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0) != 0:
        raise click.ClickException(f"--die-with-parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died in between
        raise click.ClickException("the parent process is gone already")
