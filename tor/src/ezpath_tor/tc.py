"""The data plane: the P4 program as tc eBPF on the ingress side of each port.

``load`` goes JSON → model → C → BPF object → kernel → ports; every step that can fail is done before the first port
changes. Tables are BPF maps, registers and counters are arrays mapped into this process.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.model import Call, Program, Register
from ezpath_tor.bpf import BpfObject, TcHook, map_delete, map_memory, map_update
from ezpath_tor.codegen import PROGRAM_NAME, generate
from ezpath_tor.codegen.names import c_name
from ezpath_tor.codegen.tables import default_map, has_default_map, layout_of
from ezpath_tor.compiler import compile_c
from ezpath_tor.layout import TableLayout, limbs_of
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError, TableFull

MAX_PORT = 510
"""511 is v1model's drop port."""
SETTLE_TRIES = 8
"""How often a register cell that changes while it is read is read again."""

LOSSES = (
    "shorter than an Ethernet header",
    "more VLAN tags than the switch takes apart",
    "out of a port that the switch does not have",
    "more headers than the deparser has room for",
    "refused by the kernel when its headers were changed",
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
        loaded = _Loaded(program, source, BpfObject(compile_c(source), PROGRAM_NAME), self._limits)
        try:
            loaded.set_ports(interfaces)
            self._attach(loaded, interfaces)
        except BaseException:
            loaded.close()
            raise
        before, self._loaded = self._loaded, loaded
        if before:
            before.close()
        log.info("program loaded", program=program.name, ports=len(interfaces), instructions=self.instructions)

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
            name: TableMap(layout_of(program, table), program, bpf, limits.get(name))
            for name, table in program.tables.items()
        }
        self._registers = {name: RegisterMemory(register, bpf) for name, register in program.registers.items()}
        self._counters = {name: _array(bpf, name, (counter.size, 2)) for name, counter in program.counters.items()}

        self._losses = _array(bpf, "losses", (len(LOSSES), 1))

    def table(self, name: str) -> TableMap:
        return _named(self._tables, "table", name, self.program)

    def register(self, name: str) -> RegisterMemory:
        return _named(self._registers, "register", name, self.program)

    def counter(self, name: str) -> npt.NDArray[np.uint64]:
        return _named(self._counters, "counter", name, self.program)

    def set_ports(self, interfaces: Mapping[int, int]) -> None:
        by_interface, by_port = self.bpf.map_fd("port_by_interface"), self.bpf.map_fd("interface_by_port")
        for port, ifindex in interfaces.items():
            for fd, key, value in ((by_interface, ifindex, port), (by_port, port, ifindex)):
                _check(map_update(fd, _u32(key), _u32(value)), f"note port {port}")

    def losses(self) -> dict[str, int]:
        return {reason: int(frames) for reason, frames in zip(LOSSES, self._losses[:, 0], strict=True) if frames}

    def close(self) -> None:
        self.bpf.close()


class TableMap:
    """A table's entries in its BPF map."""

    def __init__(self, layout: TableLayout, program: Program, bpf: BpfObject, limit: int | None) -> None:
        self._layout = layout
        self._table = layout.table
        self._program = program
        self._keys: set[bytes] = set()
        self._size = min(self._table.max_size, limit if limit is not None else self._table.max_size)
        name = c_name(self._table.name)
        self._map = bpf.map_fd(name) if self._table.keys else None
        self._default = bpf.map_fd(default_map(self._table)) if has_default_map(self._table) else None
        if self._default is not None:
            self.set_default(None)
        for entry in self._table.const_entries or ():
            key = tuple(
                value if prefix_len is None else Lpm(value, prefix_len)
                for value, prefix_len in zip(entry.values, entry.prefix_lens, strict=True)
            )
            self._put(layout.pack_key(key), _call(program, entry.call))

    def insert(self, key: Key, call: ActionCall) -> None:
        packed = self._packed(key)
        if packed in self._keys:
            raise PlaneError(f"table {self._table.name} has an entry {key} already")
        if len(self._keys) >= self._size:
            raise TableFull(f"table {self._table.name} is full: it has room for {self._size} entries")
        self._put(packed, call)

    def modify(self, key: Key, call: ActionCall) -> None:
        packed = self._packed(key)
        if packed not in self._keys:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        self._put(packed, call)

    def delete(self, key: Key) -> None:
        packed = self._packed(key)
        if packed not in self._keys:
            raise PlaneError(f"table {self._table.name} has no entry {key}")
        assert self._map is not None
        _check(map_delete(self._map, packed), f"delete {key} from {self._table.name}")
        self._keys.discard(packed)

    def set_default(self, call: ActionCall | None) -> None:
        if self._default is None:
            raise PlaneError(f"the default action of table {self._table.name} is constant in the program")
        if call is None and self._table.default is not None:
            call = _call(self._program, self._table.default)
        if call is None:
            map_delete(self._default, _u32(0))
        else:
            entry = self._layout.pack_entry(call)
            _check(map_update(self._default, _u32(0), entry), f"set the default of {self._table.name}")

    def _packed(self, key: Key) -> bytes:
        if self._map is None:
            raise PlaneError(f"table {self._table.name} has no key and takes no entries")
        if self._table.const_entries is not None:
            raise PlaneError(f"the entries of table {self._table.name} are constant in the program")
        return self._layout.pack_key(key)

    def _put(self, packed: bytes, call: ActionCall) -> None:
        assert self._map is not None
        status = map_update(self._map, packed, self._layout.pack_entry(call))
        if status in (-errno.E2BIG, -errno.ENOSPC):
            raise TableFull(f"table {self._table.name} is full: the kernel holds {len(self._keys)} entries")
        _check(status, f"write an entry to {self._table.name}")
        self._keys.add(packed)


class RegisterMemory:
    """A register array, mapped."""

    def __init__(self, register: Register, bpf: BpfObject) -> None:
        self._register = register
        self._octets = (register.width + 7) // 8
        self._cells = _array(bpf, register.name, (register.size, limbs_of(register.width)))

    def read(self) -> npt.NDArray[np.uint8]:
        """Cells that a packet changes while they are read are read again, so that none is half old, half new."""
        cells = self._cells.copy()
        again = self._cells.copy()
        for _ in range(SETTLE_TRIES):
            moving = np.flatnonzero((cells != again).any(axis=1))
            if not len(moving):
                break
            cells[moving] = again[moving]
            again[moving] = self._cells[moving]
        big_endian = np.ascontiguousarray(again[:, ::-1]).astype(">u8")
        octets: npt.NDArray[np.uint8] = big_endian.view(np.uint8).reshape(len(again), -1)
        return octets[:, octets.shape[1] - self._octets :]

    def write(self, index: int, value: int) -> None:
        name, size, width = self._register.name, self._register.size, self._register.width
        if not 0 <= index < size:
            raise PlaneError(f"register {name} has {size} cells, index {index} is not one of them")
        if value < 0 or value >> width:
            raise PlaneError(f"{value:#x} does not fit register {name} of {width} bits")
        limbs = [value >> (64 * limb) & (2**64 - 1) for limb in range(limbs_of(width))]
        self._cells[index] = np.array(limbs, dtype=np.uint64)


def _array(bpf: BpfObject, name: str, shape: tuple[int, int]) -> npt.NDArray[np.uint64]:
    memory = map_memory(bpf.map_fd(c_name(name)), 8 * shape[0] * shape[1])
    return np.frombuffer(memory, dtype=np.uint64, count=shape[0] * shape[1]).reshape(shape)


def _call(program: Program, call: Call) -> ActionCall:
    return ActionCall(program.actions[call.action].name, call.data)


def _named(things: Mapping[str, _T], kind: str, name: str, program: Program) -> _T:
    if name not in things:
        raise PlaneError(f"{program.name} has no {kind} {name}; it has {', '.join(sorted(things)) or 'none'}")
    return things[name]


def _check(status: int, what: str) -> None:
    if status:
        raise PlaneError(f"the kernel did not {what}: {os.strerror(-status)}")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


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
