"""The data plane: the P4 program as tc eBPF on the ingress side of each port.

``load`` goes JSON → model → C → BPF object → kernel → ports; every step that can fail is done before the first port
changes. Tables are BPF maps, registers and counters are arrays mapped into this process. None of it is this process's:
it stays at work when the process ends (``leave``, or killed), and the next one goes on with it (``take_over``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import structlog

from ezpath_tor import bpf, saved
from ezpath_tor.bmv2 import read_program
from ezpath_tor.bpf import BpfProgram
from ezpath_tor.codegen import PROGRAM_NAME, generate
from ezpath_tor.codegen.crc import crc_tables
from ezpath_tor.codegen.names import SUPPORT_FILES, support_text
from ezpath_tor.compiler import compile_c
from ezpath_tor.loaded import Loaded, rooms
from ezpath_tor.plane import NOTHING, ActionCall, Earlier, Key, PlaneError
from ezpath_tor.ports import Ports, noted_names

log = structlog.get_logger(__name__)


class TcPlane:
    """Implements :class:`ezpath_tor.plane.DataPlane` in the network namespace that its methods are called in."""

    def __init__(self, ports: Mapping[int, str], *, limits: Mapping[str, int] | None = None) -> None:
        """``ports``: P4 port number to interface. ``limits``: tables with room for fewer entries than the program says.

        Raises :class:`PlaneError` for a port number outside 0-510 or an interface named twice.
        """
        self._ports = Ports(ports)
        self._limits = dict(limits or {})
        self._loaded: Loaded | None = None

    @property
    def ports(self) -> Mapping[int, str]:
        """P4 port number to the network interface behind it."""
        return MappingProxyType(self._ports.names)

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

    def load(self, config: bytes, memo: bytes = b"", notes: Mapping[bytes, bytes] = NOTHING) -> None:
        """Compile BMv2 JSON, and put it on all ports in place of what ran before, tables empty.

        Raises :class:`~ezpath_tor.plane.Unsupported` or :class:`PlaneError`; then what ran before still runs.
        """
        program = read_program(config)
        source = generate(program)
        entries = sum(table.max_size for table in program.tables.values())
        document = saved.fresh(_fingerprint(source), config, memo)
        running = _in_kernel(source)
        try:
            self._adopt()
            running = saved.save(running, document, entries, rooms(program))
            loaded = Loaded(program, source, running, self._limits, running=False)
            for key, value in notes.items():
                loaded.notes.put(key, value)
            self._ports.put(running, self._loaded.bpf if self._loaded else None)
            loaded.notes.commit()
        except BaseException:
            running.close()
            raise
        before, self._loaded = self._loaded, loaded
        if before:
            before.bpf.close()
        log.info("program loaded", program=program.name, ports=len(self.ports), instructions=self.instructions)

    def take_over(self) -> Earlier | None:
        """Go on with the program that an earlier process left on the ports, entries, registers, counters and all.

        None where there is none. Raises :class:`PlaneError` where there is one that this process cannot go on with.
        The ports are as they were, until :meth:`refresh`.
        """
        found = saved.newest(self._ports.running())
        if found is None:
            return None
        running, earlier = found
        try:
            program = read_program(earlier.config)
            source = generate(program)
            if _fingerprint(source) != earlier.fingerprint:
                raise PlaneError(
                    "the program on the ports was compiled by another version of ezpath-tor, which may have laid out "
                    "its tables in another way"
                )
            loaded = Loaded(program, source, running, self._limits, running=True)
        except BaseException:
            running.close()
            raise
        self._ports.adopt(loaded.notes)
        loaded.notes.commit()
        self._loaded = loaded
        log.info("program taken over", program=program.name, ports=len(self.ports), instructions=self.instructions)
        return Earlier(earlier.config, earlier.memo, loaded.notes.all())

    def note(self, key: bytes, value: bytes | None) -> None:
        """Keep a small value with the program that is loaded; None forgets it. A key has at most 31 bytes."""
        self._running.notes.put(key, value)

    def refresh(self) -> None:
        """Interfaces came, went or changed: let go of those that are gone, take in those that are there."""
        if self._loaded:
            self._ports.refresh(self._loaded.bpf)

    def leave(self) -> None:
        """Let go of everything, and leave the program on the ports, at work, for the next process."""
        self._forget()
        self._ports.leave()

    def close(self) -> None:
        """Take every program of ours off the ports, also what an earlier process left there. Idempotent."""
        self._adopt()
        self._forget()
        self._ports.clear()

    def waited_for(self) -> Mapping[int, str]:
        """The ports of the process that left a program on some of them; the others' interfaces may come back."""
        with self._left_there() as notes:
            return noted_names(notes) if notes is not None else {}

    def _adopt(self) -> None:
        """What an earlier process has put on the interfaces is ours to take away, where nothing of ours is there."""
        if self._loaded is None:
            with self._left_there() as notes:
                if notes is not None:
                    self._ports.adopt(notes)

    @contextmanager
    def _left_there(self) -> Iterator[saved.Notes | None]:
        found = saved.newest(self._ports.running())
        try:
            yield saved.notes_of(found[0]) if found is not None else None
        finally:
            if found is not None:
                found[0].close()

    def _forget(self) -> None:
        for reason, frames in self.losses.items():
            log.warning("frames lost in the switch", reason=reason, frames=frames)
        if self._loaded:
            self._loaded.bpf.close()
            self._loaded = None

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        """Add an entry that is not there. Raises :class:`TableFull`, and :class:`PlaneError` for a wrong entry."""
        self._running.table(table).insert(key, call)

    def modify(self, table: str, key: Key, call: ActionCall) -> None:
        """Replace the action of an entry that is there."""
        self._running.table(table).modify(key, call)

    def delete(self, table: str, key: Key) -> None:
        """Remove an entry that is there."""
        self._running.table(table).delete(key)

    def entries(self, table: str) -> Iterable[tuple[Key, ActionCall]]:
        """What stands in a table now, in no order. Raises :class:`PlaneError` for what is no entry."""
        return self._running.table(table).entries()

    def default(self, table: str) -> ActionCall | None:
        """A table's default action, where it is not the program's own."""
        return self._running.table(table).default()

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
    def _running(self) -> Loaded:
        if self._loaded is None:
            raise PlaneError("no program is loaded; set a forwarding pipeline first")
        return self._loaded


def _in_kernel(source: str) -> BpfProgram:
    """The program with its variables on the BPF stack or, where they do not fit it, in memory like its headers."""
    try:
        return bpf.load(compile_c(source), PROGRAM_NAME)
    except PlaneError as error:
        try:
            return bpf.load(compile_c(f"#define STATE_IN_MAP\n{source}"), PROGRAM_NAME)
        except PlaneError:
            raise error from None


def _fingerprint(source: str) -> str:
    """Of the generated C and what it includes."""
    parts = (source, crc_tables(), *(support_text(name) for name in SUPPORT_FILES))
    return hashlib.sha256("".join(parts).encode()).hexdigest()
