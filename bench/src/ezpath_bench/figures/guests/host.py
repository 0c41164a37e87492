"""What an experiment needs of a host, whatever kind it is: scripts run, files given, its CPU time by class."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time of a host."""

    programs: float
    """Class `user`."""
    kernel: float
    seen: float = 0
    """How often, or how long, the kernel was seen at work, …"""
    seen_at_softirq: float = 0
    """… and at softirqs or interrupts."""

    @property
    def all(self) -> float:
        return self.programs + self.kernel

    @property
    def softirq(self) -> float:
        return self.kernel * self.seen_at_softirq / self.seen if self.seen else 0.0

    @property
    def system(self) -> float:
        return self.kernel - self.softirq

    def since(self, before: CpuSeconds) -> CpuSeconds:
        return CpuSeconds(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))


class Started(Protocol):
    """A script that was started."""

    def result(self, timeout_s: float = ...) -> str:
        """What it said, when it has ended. Raises LabError where it failed or takes too long."""


class Host(Protocol):
    name: str

    def run(self, script: str, timeout_s: float = ...) -> str:
        """Have ``script`` run to its end and return what it said. Raises LabError."""

    def start(self, script: str) -> Started:
        """Have ``script`` run and do not wait for its end."""

    def share(self, file: Path, name: str) -> str:
        """A copy of ``file`` where the host sees it; returns its path there."""

    def tell_softirqs(self, on: bool) -> None:
        """Whether they are to be told apart from now on. What it slows down is not to be measured meanwhile."""

    def cpu_seconds(self) -> CpuSeconds:
        """What it has used so far."""
