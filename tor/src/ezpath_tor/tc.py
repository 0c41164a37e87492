"""The data plane: the P4 program as tc eBPF on the ingress side of each port.

``load`` goes JSON → model → C → BPF object → kernel → ports; every step that can fail is done before the first port
changes. Tables are BPF maps, registers and counters are arrays mapped into this process.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.model import Program
from ezpath_tor.bpf import BpfObject, TcHook, map_update
from ezpath_tor.codegen import PROGRAM_NAME, generate
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.tables import layout_of
from ezpath_tor.compiler import compile_c
from ezpath_tor.hits import shared_array
from ezpath_tor.links import reaches_other_namespace
from ezpath_tor.maps import RegisterMemory, TableMap, check, u32
from ezpath_tor.plane import ActionCall, Key, PlaneError
from ezpath_tor.ternary_map import TernaryMap

MAX_PORT = 510
"""511 is v1model's drop port."""

PORT_SLOTS = 1024
"""As in runtime.h."""

LOSSES = (
    "shorter than an Ethernet header",
    "more VLAN tags than the switch takes apart",
    "out of a port that the switch does not have",
    "more headers than the deparser has room for",
    "refused by the kernel when its headers were changed",
    "longer than the MTU of the port it was to leave by",
)
"""Why frames are lost in runtime.h and not by the program, in its order."""

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_PROMISC = 1

log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class TcPlane:
    """Implements :class:`ezpath_tor.plane.DataPlane` in the network namespace that :meth:`load` is called in."""

    def __init__(self, ports: Mapping[int, str], *, limits: Mapping[str, int] | None = None) -> None:
        """``ports``: P4 port number to interface. ``limits``: tables with room for fewer entries than the program says.

        Raises :class:`PlaneError` for a port number outside 0-510 or an interface named twice.
        """
        for port in ports:
            if not 0 <= port <= MAX_PORT:
                raise PlaneError(f"port {port} is not a P4 port number; use 0-{MAX_PORT}")
        if len(set(ports.values())) != len(ports):
            raise PlaneError(f"an interface is given for two ports: {dict(ports)}")
        self._ports = dict(ports)
        self._limits = dict(limits or {})
        self._hooks: dict[int, TcHook] = {}
        self._promiscuous: dict[int, socket.socket] = {}
        self._loaded: _Loaded | None = None

    @property
    def ports(self) -> Mapping[int, str]:
        """P4 port number to the network interface behind it."""
        return MappingProxyType(self._ports)

    @property
    def source(self) -> str:
        """The C that runs, for people. Empty while nothing is loaded."""
        return self._loaded.source if self._loaded else ""

    @property
    def instructions(self) -> int:
        """BPF instructions of the program that runs."""
        return self._loaded.bpf.instructions if self._loaded else 0

    @property
    def program_fd(self) -> int:
        """The BPF program's file descriptor, for tools that run it on a frame in memory (BPF_PROG_TEST_RUN)."""
        return self._running.bpf.program_fd

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames that the switch, not the program, could not pass on: reason to frames, where there are any."""
        return self._loaded.losses() if self._loaded else {}

    def load(self, config: bytes) -> None:
        """Compile BMv2 JSON, and put it on all ports in place of what ran before, tables empty.

        Raises :class:`~ezpath_tor.plane.Unsupported` or :class:`PlaneError`; then what ran before still runs.
        """
        program = read_program(config)
        source = generate(program)
        interfaces = {port: _ifindex(port, name) for port, name in self._ports.items()}
        loaded = _Loaded(program, source, _in_kernel(source), self._limits)
        try:
            loaded.set_ports(interfaces, self._ports)
            self._attach(loaded, interfaces)
        except BaseException:
            loaded.close()
            raise
        before, self._loaded = self._loaded, loaded
        if before:
            before.close()
        log.info("program loaded", program=program.name, ports=len(interfaces), instructions=self.instructions)

    def refresh(self) -> None:
        """Look again at the ports' interfaces, whose features decide how frames leave by them."""
        interfaces = {port: _ifindex(port, name) for port, name in self._ports.items()}
        self._running.set_ports(interfaces, self._ports)

    def close(self) -> None:
        """Take the program off every port. Idempotent."""
        hooks, self._hooks = self._hooks, {}
        errors: list[PlaneError] = []
        for hook in hooks.values():
            try:
                hook.detach()
            except PlaneError as error:
                errors.append(error)
        for port in list(self._promiscuous):
            self._stop_listening(port)
        if self._loaded:
            for reason, frames in self.losses.items():
                log.warning("frames lost in the switch", reason=reason, frames=frames)
            self._loaded.close()
            self._loaded = None
        if errors:
            raise errors[0]

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        """Add an entry that is not there. Raises :class:`TableFull`, and :class:`PlaneError` for a wrong entry."""
        self._running.table(table).insert(key, call)

    def modify(self, table: str, key: Key, call: ActionCall) -> None:
        """Replace the action of an entry that is there."""
        self._running.table(table).modify(key, call)

    def delete(self, table: str, key: Key) -> None:
        """Remove an entry that is there."""
        self._running.table(table).delete(key)

    def set_default(self, table: str, call: ActionCall | None) -> None:
        """Set a table's default action; ``None`` puts the program's own back."""
        self._running.table(table).set_default(call)

    def read_hits(self, table: str, key: Key) -> tuple[int, int]:
        """Packets and bytes that the table's direct counter has for an entry."""
        return self._running.table(table).hits.read(key)

    def write_hits(self, table: str, key: Key, packets: int, octets: int) -> None:
        """Set them."""
        self._running.table(table).hits.write(key, packets, octets)

    def read_register(self, name: str) -> npt.NDArray[np.uint8]:
        """All cells, shape (cells, width in bytes), big endian, as they are now."""
        return self._running.register(name).read()

    def write_register(self, name: str, index: int, value: int) -> None:
        """Set one cell. Raises :class:`PlaneError` outside the register or its width."""
        self._running.register(name).write(index, value)

    def read_counter(self, name: str) -> npt.NDArray[np.uint64]:
        """All cells of an indirect counter, shape (cells, 2): packets, bytes."""
        return self._running.counter(name).copy()

    def write_counter(self, name: str, index: int, packets: int, octets: int) -> None:
        """Set one cell. Raises :class:`PlaneError` outside the counter."""
        cells = self._running.counter(name)
        if not 0 <= index < len(cells):
            raise PlaneError(f"counter {name} has {len(cells)} cells, index {index} is not one of them")
        cells[index] = (packets, octets)

    @property
    def _running(self) -> _Loaded:
        if self._loaded is None:
            raise PlaneError("no program is loaded; set a forwarding pipeline first")
        return self._loaded

    def _attach(self, loaded: _Loaded, interfaces: Mapping[int, int]) -> None:
        """All ports run ``loaded``, or, with the error, all run what they ran before."""
        changed: list[int] = []
        try:
            for port, ifindex in interfaces.items():
                self._listen_on(port, ifindex)
                changed.append(port)
                self._hooks[port].attach(loaded.bpf.program_fd)
        except BaseException:
            for port in changed:
                self._put_back(port)
            raise

    def _listen_on(self, port: int, ifindex: int) -> None:
        """A hook on the port's interface, a new one where it is another interface under the old name."""
        hook = self._hooks.get(port)
        if hook is None or hook.ifindex != ifindex:
            self._hooks[port] = TcHook(ifindex, self._ports[port])
            self._stop_listening(port)
            self._promiscuous[port] = _promiscuous(ifindex)

    def _put_back(self, port: int) -> None:
        """What ran on the port before; never an error of its own, for there is one already."""
        try:
            if self._loaded:
                self._hooks[port].attach(self._loaded.bpf.program_fd)
            else:
                self._hooks.pop(port).detach()
                self._stop_listening(port)
        except PlaneError as error:
            log.error("port not put back to the program before", port=port, reason=str(error))

    def _stop_listening(self, port: int) -> None:
        member = self._promiscuous.pop(port, None)
        if member is not None:
            member.close()


class _Loaded:
    """One program in the kernel, its tables, registers and counters."""

    def __init__(self, program: Program, source: str, bpf: BpfObject, limits: Mapping[str, int]) -> None:
        self.program = program
        self.source = source
        self.bpf = bpf
        unknown = set(limits) - set(program.tables)
        if unknown:
            bpf.close()
            raise PlaneError(f"limit for a table that {program.name} does not have: {', '.join(sorted(unknown))}")
        self._tables = {
            name: (TernaryMap if table.ternary else TableMap)(layout_of(program, table), program, bpf, limits.get(name))
            for name, table in program.tables.items()
        }
        self._registers = {name: RegisterMemory(register, bpf) for name, register in program.registers.items()}
        self._counters = {
            name: shared_array(bpf, global_name(name), (counter.size, 2)) for name, counter in program.counters.items()
        }

        self._losses = shared_array(bpf, "losses", (len(LOSSES), 1))

    def table(self, name: str) -> TableMap:
        return _named(self._tables, "table", name, self.program)

    def register(self, name: str) -> RegisterMemory:
        return _named(self._registers, "register", name, self.program)

    def counter(self, name: str) -> npt.NDArray[np.uint64]:
        return _named(self._counters, "counter", name, self.program)

    def set_ports(self, interfaces: Mapping[int, int], names: Mapping[int, str]) -> None:
        by_interface, by_port = self.bpf.map_fd("port_by_interface"), self.bpf.map_fd("interface_by_port")
        by_slot = self.bpf.map_fd("port_by_slot")
        for port, ifindex in interfaces.items():
            straight = u32(int(reaches_other_namespace(names[port])))
            slot = u32(ifindex % PORT_SLOTS)
            for fd, key, value in (
                (by_interface, u32(ifindex), u32(port)),
                (by_slot, slot, u32(ifindex) + u32(port)),
                (by_port, u32(port), u32(ifindex) + straight),
            ):
                check(map_update(fd, key, value), f"note port {port}")

    def losses(self) -> dict[str, int]:
        return {reason: int(frames) for reason, frames in zip(LOSSES, self._losses[:, 0], strict=True) if frames}

    def close(self) -> None:
        self.bpf.close()


def _in_kernel(source: str) -> BpfObject:
    """The program with its variables on the BPF stack or, where they do not fit it, in memory like its headers."""
    try:
        return BpfObject(compile_c(source), PROGRAM_NAME)
    except PlaneError as error:
        try:
            return BpfObject(compile_c(f"#define STATE_IN_MAP\n{source}"), PROGRAM_NAME)
        except PlaneError:
            raise error from None


def _named(things: Mapping[str, _T], kind: str, name: str, program: Program) -> _T:
    if name not in things:
        raise PlaneError(f"{program.name} has no {kind} {name}; it has {', '.join(sorted(things)) or 'none'}")
    return things[name]


def _ifindex(port: int, name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise PlaneError(f"port {port}: there is no interface {name} in this network namespace") from error


def _promiscuous(ifindex: int) -> socket.socket:
    """Frames for any MAC address reach the program while this socket is open. Ends with the process."""
    member = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    request = struct.pack("iHH8s", ifindex, _PACKET_MR_PROMISC, 0, b"")
    member.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
    return member
