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
    kernel: float
    """Their kernels'; what the ToRs' programs took is in it."""
    softirq: float | None = None
    """Of their kernels', what was for packets and not for programs. None: not told apart."""

    @property
    def kernels(self) -> float:
        """The share of the hosts' kernels in all."""
        everything = self.user + self.kernel
        return self.kernel / everything if everything else 0.0

    def each(self, unit: str, count: float, scale: float = 1.0) -> dict[str, float]:
        """Metrics: what one of ``count`` costs, and by class if that is told; ``unit`` is as ``CPU s/Gbit``."""
        parts = {"hosts": self.hosts}
        if self.softirq is not None:
            system = self.kernel - self.softirq
            parts |= dict(zip(CLASSES, (self.user, system, self.softirq), strict=True))
        return {f"{unit}, {name}": seconds / count * scale for name, seconds in parts.items()}


class Meter:
    """Runs from when it is made. Softirqs are told apart where the site tells them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hosts, self._tors = site.cpu(), site.tor_seconds()

    def read(self) -> Spent:
        used = [after.since(before) for before, after in zip(self._hosts, self._site.cpu(), strict=True)]
        tors = self._site.tor_seconds() - self._tors
        user, kernel = sum(each.programs for each in used), sum(each.kernel for each in used)
        softirq = sum(each.softirq for each in used) if self._site.tells_softirqs else None
        return Spent(user + kernel - tors, tors, user, kernel, softirq)
