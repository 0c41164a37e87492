"""Who uses the processors: seconds of each process, its threads and the children it has waited for, from /proc.

And of all else that runs on the machine: a figure that was taken beside other work says less than it seems.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
OTHERS = "all else on this machine"
_IDLE, _WAITING = 3, 4


class Shares:
    """From :meth:`begin` to :meth:`read`."""

    def __init__(self, processes: Iterable[tuple[str, int]]) -> None:
        """(kind, process id); those of one kind are added up."""
        self._processes = list(processes)
        self._before: list[float] = []
        self._all_before = 0.0
        self._began = 0.0

    def begin(self) -> None:
        self._before = [_seconds(pid) for _, pid in self._processes]
        self._all_before = _seconds_of_all()
        self._began = time.monotonic()

    def read(self) -> Mapping[str, float]:
        """Cores in use on average since :meth:`begin`, by kind; under :data:`OTHERS` those of nobody who was named."""
        elapsed = time.monotonic() - self._began
        shares: dict[str, float] = {}
        for (kind, pid), before in zip(self._processes, self._before, strict=True):
            shares[kind] = shares.get(kind, 0.0) + (_seconds(pid) - before) / elapsed
        used = (_seconds_of_all() - self._all_before) / elapsed
        return {**shares, OTHERS: max(0.0, used - sum(shares.values()))}


def _seconds_of_all() -> float:
    """Of all processors together, and of the kernel for nobody in particular; also what a hypervisor took away."""
    first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    return sum(int(ticks) for place, ticks in enumerate(first) if place not in (_IDLE, _WAITING)) * _TICK_S


def _seconds(pid: int) -> float:
    """User and system time, of reaped children as well (ovs-ofctl is one). Nothing for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S
