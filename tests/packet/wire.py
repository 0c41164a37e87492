"""Ports on real wires: a namespace with the switch's ends of veth pairs, and packet sockets on the others."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET = 263
SO_RCVBUFFORCE = 33
PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 8, 15, 23
TP_STATUS_VLAN_VALID = 1 << 4
VNET_HEADER = struct.Struct("=BBHHHH")
NEEDS_CSUM, GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 1, 0, 1, 4
BIGGEST = 1 << 17
MTU = 9000


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in another network namespace for a while."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(fd: int) -> None:
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {namespace}")

    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(here)
        os.close(here)
        os.close(there)


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame as it came out of a port, tag in its place. ``gso_size`` 0: not a segmentation offload frame."""

    data: bytes
    gso_type: int = GSO_NONE
    gso_size: int = 0
    checksum_start: int | None = None
    """Where an unfinished checksum starts to count."""


class Port:
    """The far end of one switch port: what is sent here goes into the switch."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        for option in (PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING):
            self._socket.setsockopt(SOL_PACKET, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self._socket.bind((interface, ETH_P_ALL))

    def send(self, frame: bytes) -> None:
        self._socket.send(VNET_HEADER.pack(0, GSO_NONE, 0, 0, 0, 0) + frame)

    def send_offloaded(
        self, frame: bytes, *, checksum_start: int, checksum_offset: int, gso_type: int = 0, gso_size: int = 0
    ) -> None:
        """A frame whose transport checksum, and with ``gso_size`` whose segmentation, is left to do."""
        headers = checksum_start + 20
        head = VNET_HEADER.pack(NEEDS_CSUM, gso_type, headers, gso_size, checksum_start, checksum_offset)
        self._socket.send(head + frame)

    def receive(self, timeout_s: float) -> Captured | None:
        """The next frame, or None where none comes in time."""
        self._socket.settimeout(timeout_s)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(BIGGEST, socket.CMSG_SPACE(64))
        except (TimeoutError, BlockingIOError):
            return None
        return _captured(data, ancillary)

    def close(self) -> None:
        self._socket.close()


def _captured(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> Captured:
    flags, gso_type, _, gso_size, checksum_start, _ = VNET_HEADER.unpack_from(data)
    frame = data[VNET_HEADER.size :]
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", value)
            if status & TP_STATUS_VLAN_VALID:
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return Captured(frame, gso_type, gso_size, checksum_start if flags & NEEDS_CSUM else None)


class Wires:
    """A switch namespace with one interface a port, and a namespace with the far ends. Context manager."""

    def __init__(self, ports: Mapping[int, str], name: str = "tor", mtu: int = MTU) -> None:
        suffix = f"{name}-{os.getpid()}"
        self.switch = f"ezt-pkt-{suffix}"
        self._far = f"ezt-pkt-far-{suffix}"
        self._ports = dict(ports)
        self._mtu = str(mtu)
        self.far: dict[int, Port] = {}

    def __enter__(self) -> Wires:
        try:
            for namespace in (self.switch, self._far):
                run("ip", "netns", "add", namespace)
                # The kernel's own IPv6 chatter would come out of the ports.
                for which in ("all", "default"):
                    run("ip", "netns", "exec", namespace, "sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=1")
            for name in self._ports.values():
                self._link(name)
            with inside(self._far):
                self.far = {port: Port(f"{name}-far") for port, name in self._ports.items()}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for port in self.far.values():
            port.close()
        for namespace in (self.switch, self._far):
            if Path("/run/netns", namespace).exists():
                run("ip", "netns", "del", namespace)

    def _link(self, name: str) -> None:
        far = f"{name}-far"
        peer = ("peer", "name", far, "netns", self._far)
        run("ip", "-n", self.switch, "link", "add", name, "mtu", self._mtu, "type", "veth", *peer)
        run("ip", "-n", self.switch, "link", "set", name, "up")
        run("ip", "-n", self._far, "link", "set", far, "mtu", self._mtu, "up")
        self._wait_for_carrier(name)

    def _wait_for_carrier(self, name: str) -> None:
        deadline = time.monotonic() + 5
        while "LOWER_UP" not in self.switch_command("ip", "link", "show", "dev", name):
            assert time.monotonic() < deadline, f"{name} has no carrier"
            time.sleep(0.01)

    def switch_command(self, *command: str) -> str:
        """Runs a command in the switch's namespace; its output."""
        return run("ip", "netns", "exec", self.switch, *command)

    def drain(self) -> dict[int, list[Captured]]:
        """All that has come out of the ports."""
        out: dict[int, list[Captured]] = {}
        for number, port in self.far.items():
            while (frame := port.receive(0)) is not None:
                out.setdefault(number, []).append(frame)
        return out


def run(*command: str) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
