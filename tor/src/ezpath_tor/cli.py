"""``ezpath-tor``: the software ToR as a process. Checks what it needs, and serves until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
import grpc.aio
import structlog
from p4rt.tls import BadTls, over_tcp, server_credentials

from ezpath_tor import machine
from ezpath_tor.faults import CannotStart
from ezpath_tor.logs import LEVELS, configure
from ezpath_tor.mtu import MtuRule
from ezpath_tor.options import addresses_of, limits_of, min_mtus_of, ports_of
from ezpath_tor.plane import PlaneError
from ezpath_tor.server import Switch, make_server
from ezpath_tor.tc import TcPlane
from ezpath_tor.watch import PortLog, follow

_FILE = click.Path(path_type=Path, dir_okay=False)
_EPILOG = """\b
Examples:
  ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --port 1=eth1 --port 2=eth2
  ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --listen 127.0.0.1:9559 --port 1=eth1
  ezpath-tor --device-id 2 --listen 127.0.0.1:9560 --port 1=eth1 --limit endpoint=100
  ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --port 1=eth1 --port 10=eth10 --min-mtu 10=+50
  ezpath-tor … --listen 0.0.0.0:9559 --tls-ca ca.pem --tls-certificate cert.pem --tls-key key.pem

The P4 program comes over P4Runtime (SetForwardingPipelineConfig with p4info and BMv2 JSON). Until then the
ports are left alone. SIGTERM and SIGINT end the process, not the switch: the program stays on the ports with all
its entries and counters, also when the process is killed, and the next one started for these ports goes on with it.
With --empty it starts with nothing, as a switch that was switched off, and takes its program along in the end;
--clean only takes off what is there.
Exit status: 0 stopped by a signal, 1 could not run, 2 wrong arguments.
"""


@dataclass(frozen=True, slots=True)
class _Settings:
    device_id: int
    addresses: Sequence[str]
    ports: dict[int, str]
    limits: dict[str, int]
    rules: Sequence[MtuRule]
    empty: bool
    credentials: grpc.ServerCredentials | None
    writers: tuple[str, ...]


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--device-id", type=click.IntRange(1, 2**64 - 1), required=True, help="P4Runtime device id, from 1.")
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    required=True,
    metavar="ADDRESS",
    callback=addresses_of,
    help="unix:PATH or HOST:PORT to serve P4Runtime on; in the clear but for HOST:PORT with --tls-ca. Repeatable.",
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    required=True,
    metavar="N=INTERFACE",
    callback=ports_of,
    help="A P4 port number and the network interface behind it. Repeatable.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="TABLE=N",
    callback=limits_of,
    help="At most N entries in a table, whatever the program's size: to rehearse a full table. Repeatable.",
)
@click.option(
    "--min-mtu",
    "rules",
    multiple=True,
    metavar="PORT=N",
    callback=min_mtus_of,
    help="Do not start where a port's MTU is below N bytes; =+N: N more than any port without --min-mtu. Repeatable.",
)
@click.option("--tls-ca", type=_FILE, metavar="FILE", help="Only controllers whose certificate this one signed, PEM.")
@click.option("--tls-certificate", type=_FILE, metavar="FILE", help="The switch's own, in the name it is reached by.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="The certificate's private key, PEM.")
@click.option(
    "--tls-writer",
    "writers",
    multiple=True,
    metavar="NAME",
    help="Over TLS, only who has this name in his certificate may write, others read. Repeatable; default: all may.",
)
@click.option("--empty", is_flag=True, help="Start with no program, and take it off the ports at the end.")
@click.option("--clean", is_flag=True, help="Take off what an earlier ezpath-tor left on these ports, and end.")
@click.option("--log-level", type=click.Choice(list(LEVELS)), default="info", show_default=True)
@click.option("--die-with-parent", is_flag=True, help="Stop when the process that started this one dies.")
def main(
    device_id: int,
    addresses: tuple[str, ...],
    ports: dict[int, str],
    limits: dict[str, int],
    rules: tuple[MtuRule, ...],
    tls_ca: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    writers: tuple[str, ...],
    empty: bool,
    clean: bool,
    log_level: str,
    die_with_parent: bool,
) -> None:
    """A P4Runtime switch whose data plane is the P4 program, compiled to tc eBPF on network interfaces."""
    unknown = [rule.port for rule in rules if rule.port not in ports]
    if unknown:
        raise click.UsageError(f"--min-mtu for port {unknown[0]}, which no --port names")
    configure(log_level)
    credentials = _credentials(tls_ca, tls_certificate, tls_key)
    if die_with_parent:
        machine.die_with_parent()
    machine.check_machine()
    with ExitStack() as held:
        for interface in ports.values():
            held.enter_context(machine.claim(interface))
        try:
            if clean:
                _clean(ports)
                return
            for address in addresses:
                held.enter_context(machine.socket_file(address))
            asyncio.run(_serve(_Settings(device_id, addresses, ports, limits, rules, empty, credentials, writers)))
        except CannotStart as error:
            remedy = "start the switch as it was started before, take off what is there (--clean), or start --empty"
            raise click.ClickException(f"{error}: {remedy}") from error
        except (OSError, PlaneError) as error:
            raise click.ClickException(str(error)) from error


def _credentials(ca: Path | None, certificate: Path | None, key: Path | None) -> grpc.ServerCredentials | None:
    if ca is None and certificate is None and key is None:
        return None
    if ca is None or certificate is None or key is None:
        raise click.UsageError("--tls-ca, --tls-certificate and --tls-key go together: give all three")
    log = structlog.get_logger()

    def complain(error: BadTls) -> None:
        log.warning("certificate not exchanged", reason=str(error), next="the one before is shown")

    try:
        return server_credentials(ca, certificate, key, complain)
    except BadTls as error:
        raise click.ClickException(f"{error}. Give the files that were made together for this switch") from None


def _clean(ports: dict[int, str]) -> None:
    TcPlane(ports).close()


async def _serve(settings: _Settings) -> None:
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plane = TcPlane(settings.ports)
    machine.check_ports(settings.ports, {} if settings.empty else plane.waited_for(), settings.rules)
    switch = Switch(settings.device_id, plane, settings.limits, settings.writers)
    watching: asyncio.Task[None] | None = None
    try:
        server = make_server(switch)
        for address in settings.addresses:
            _bind(server, address, settings.credentials)
        await (switch.clear() if settings.empty else switch.take_over())
        watching = asyncio.create_task(follow(switch.refresh, PortLog(settings.ports, settings.rules)))
        await server.start()
        ports = {str(port): interface for port, interface in plane.ports.items()}
        tls = settings.credentials is not None
        log.info("ready", device_id=settings.device_id, listen=list(settings.addresses), tls=tls, ports=ports)
        await stop.wait()
        log.info("stopping", program="taken off" if settings.empty else "stays on the ports")
        await server.stop(grace=1)
    finally:
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        await (switch.close() if settings.empty else switch.leave())
    log.info("stopped")


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is not None and over_tcp(address):
            bound = server.add_secure_port(address, credentials)
        else:
            bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise click.ClickException(
            f"cannot listen on {address}: it is in use, or not an address of this machine; "
            "stop what listens there (ss -lxtp shows it) or choose another --listen"
        )
