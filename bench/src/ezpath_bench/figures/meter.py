"""What the hosts spend on a run, seen from outside: a guest books its kernel's time as its programs'."""

from __future__ import annotations

from dataclasses import dataclass

from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.results import CLASSES


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of CPU."""

    hosts: float
    """Both hosts', without what the ToRs' programs took, which the kernel books to whoever sent the frame."""
    tors: float
    user: float
    """Both hosts' programs'."""
    system: float
    """Their kernels', for programs, …"""
    softirq: float
    """… and for packets. What the ToRs' programs took is in one of these two."""

    @property
    def kernels(self) -> float:
        """The share of the hosts' kernels in all."""
        return self._share(self.system + self.softirq)

    @property
    def softirqs(self) -> float:
        """The share of the hosts' softirqs in all."""
        return self._share(self.softirq)

    def each(self, unit: str, count: float, scale: float = 1.0) -> dict[str, float]:
        """Metrics: what one of ``count`` costs, together and by class; ``unit`` is as ``CPU s/Gbit``."""
        parts = {"hosts": self.hosts} | dict(zip(CLASSES, (self.user, self.system, self.softirq), strict=True))
        return {f"{unit}, {name}": seconds / count * scale for name, seconds in parts.items()}

    def _share(self, part: float) -> float:
        everything = self.user + self.system + self.softirq
        return part / everything if everything else 0.0


class Meter:
    """Runs from when it is made."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hosts, self._tors = site.cpu(), site.tor_seconds()

    def read(self) -> Spent:
        used = [after.since(before) for before, after in zip(self._hosts, self._site.cpu(), strict=True)]
        tors = self._site.tor_seconds() - self._tors
        user, system, softirq = (
            sum(getattr(each, name) for each in used) for name in ("programs", "system", "softirq")
        )
        return Spent(user + system + softirq - tors, tors, user, system, softirq)
