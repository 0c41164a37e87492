"""Who uses the processors: seconds of each process, its threads and the children it has waited for, from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Shares:
    """From :meth:`begin` to :meth:`read`."""

    def __init__(self, processes: Iterable[tuple[str, int]]) -> None:
        """(kind, process id); those of one kind are added up."""
        self._processes = list(processes)
        self._before: list[float] = []
        self._began = 0.0

    def begin(self) -> None:
        self._before = [_seconds(pid) for _, pid in self._processes]
        self._began = time.monotonic()

    def read(self) -> Mapping[str, float]:
        """Cores in use on average since :meth:`begin`, by kind."""
        elapsed = time.monotonic() - self._began
        shares: dict[str, float] = {}
        for (kind, pid), before in zip(self._processes, self._before, strict=True):
            shares[kind] = shares.get(kind, 0.0) + (_seconds(pid) - before) / elapsed
        return shares


def _seconds(pid: int) -> float:
    """User and system time, of reaped children as well (ovs-ofctl is one). Nothing for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S
