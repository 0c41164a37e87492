"""What has to be true of the machine before a switch starts on it, and what it holds while it runs."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import structlog

from ezpath_tor.links import link
from ezpath_tor.mtu import MtuRule, too_small


def check_machine() -> None:
    """Root and clang. Raises ClickException."""
    if os.geteuid() != 0:
        raise click.ClickException("not root: loading eBPF needs it; run this with sudo")
    if shutil.which("clang") is None:
        raise click.ClickException("clang is not on PATH: install it (apt install clang libbpf-dev)")


def check_ports(ports: Mapping[int, str], waited_for: Mapping[int, str], rules: Sequence[MtuRule]) -> None:
    """Interfaces are there, and as large as they have to be. Raises ClickException.

    ``waited_for``: ports that a switch had which runs on without its process. Theirs may come back later.
    """
    present = {port: found for port, name in ports.items() if (found := link(name)) is not None}
    missing = [port for port in ports if port not in present and waited_for.get(port) != ports[port]]
    if missing:
        named = ", ".join(f"{ports[port]} (port {port})" for port in missing)
        there = ", ".join(sorted(name for _, name in socket.if_nameindex()))
        raise click.ClickException(f"no network interface {named} in this network namespace; it has {there}")
    problems = too_small(rules, ports, {port: found.mtu for port, found in present.items()})
    if problems:
        raise click.ClickException("MTU too small: " + "; ".join(problems))


@contextmanager
def claim(interface: str) -> Iterator[None]:
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
def socket_file(address: str) -> Iterator[None]:
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


def die_with_parent() -> None:
    """SIGTERM for this process when its parent ends. Raises ClickException."""
    pr_set_pdeathsig = 1
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getppid()
    if prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0) != 0:
        raise click.ClickException(f"--die-with-parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died in between
        raise click.ClickException("the parent process is gone already")
