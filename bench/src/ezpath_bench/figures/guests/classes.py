"""Whether a guest's kernel is at softirqs, looked at from outside: a guest cannot tell by itself.

A User-Mode Linux kernel is a process, so its memory can be read: ``cpu_tasks`` points to the running task, which begins
with its ``thread_info``, whose ``preempt_count`` says where the kernel is.
"""

from __future__ import annotations

import os
import random
import struct
import threading
from pathlib import Path

from ezpath_lab.shell import LabError

EVERY_S = 0.01
"""On average. Never regular, so that it does not fall into step with the guest's clock."""
_SYMBOL = b"cpu_tasks"
_PREEMPT_COUNT = 12
"""In ``struct thread_info``: ``unsigned long flags; __u32 cpu; int preempt_count``."""
_SERVING_SOFTIRQ, _HARDIRQ = 0x100, 0xF0000
_SECTION = struct.Struct("<IIQQQQ")
_WORD = struct.Struct("<Q")


class Watch(threading.Thread):
    """From :meth:`start` to :meth:`stop`, while it is told to: looking slows a guest down, however it is done."""

    def __init__(self, pid: int, kernel: Path) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._current = exported(kernel.read_bytes(), _SYMBOL)
        self._ending = threading.Event()
        self.looking = threading.Event()
        self.running = 0
        """How often the kernel was found at work, …"""
        self.at_softirq = 0
        """… and at softirqs or interrupts."""

    def run(self) -> None:
        pick = random.Random(self._pid)
        try:
            with Path(f"/proc/{self._pid}/mem").open("rb", buffering=0) as memory:
                while self.looking.wait() and not self._ending.wait(pick.expovariate(1 / EVERY_S)):
                    self._look(memory.fileno())
        except OSError:
            return  # the guest has ended

    def stop(self) -> None:
        self._ending.set()
        self.looking.set()
        self.join()

    def _look(self, memory: int) -> None:
        if not _runs(self._pid):
            return
        (task,) = _WORD.unpack(os.pread(memory, 8, self._current))
        count = int.from_bytes(os.pread(memory, 4, task + _PREEMPT_COUNT), "little")
        self.running += 1
        self.at_softirq += bool(count & (_SERVING_SOFTIRQ | _HARDIRQ))


def exported(elf: bytes, symbol: bytes) -> int:
    """Where a kernel's exported ``symbol`` is. Raises LabError where it is not to be found."""
    sections = _sections(elf)
    try:
        names_at, names = sections[b"__ksymtab_strings"]
        _, table = sections[b"__ksymtab"]
        name_at = names_at + names.index(b"\0" + symbol + b"\0") + 1
        # An entry is the symbol's value and where its name is; what else it has changes from version to version.
        entry = table.index(_WORD.pack(name_at)) - _WORD.size
    except (KeyError, ValueError):
        raise LabError(f"the guest's kernel exports no {symbol.decode()}: its softirqs cannot be told apart") from None
    return int(_WORD.unpack_from(table, entry)[0])


def _sections(elf: bytes) -> dict[bytes, tuple[int, bytes]]:
    """Name to address and content, of a 64-bit little-endian ELF file."""
    (table,) = _WORD.unpack_from(elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [_SECTION.unpack_from(elf, table + number * size) for number in range(count)]
    strings = headers[names][4] if headers else 0
    found = {}
    for name, _, _, address, offset, length in headers:
        start = strings + name
        found[elf[start : elf.index(b"\0", start)]] = (address, elf[offset : offset + length])
    return found


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] == b"R"
