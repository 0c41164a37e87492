"""Hosts that their writer cannot reach: which pairs are to come back for it, and which are not to be moved there. Pure.

What a gone host sends and receives goes on by the rules that it has, if it lives at all; nobody can change them. So its
pairs are brought back as far as the others can be reached: the peers stop sending, and the saga waits for the host
itself (I2). A writer that falls silent says nothing about its hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ezpath.events import TargetState
from ezpath.names import HostName, PairId
from ezpath.saga import Phase, Saga

SILENT_S = 10.0
"""A writer tells every few seconds; what it said before it fell silent is forgotten after this, seconds."""
AGAIN_S = 10.0
"""A revert that no saga took up is asked for again after this, seconds."""


@dataclass(slots=True)
class _Gone:
    began: float
    heard: float
    reason: str


@dataclass(slots=True)
class Gone:
    """``after_s``: a host that is back sooner than this was never gone. Times are the decider's clock."""

    after_s: float
    _hosts: dict[HostName, _Gone] = field(default_factory=dict)
    _asked: dict[PairId, float] = field(default_factory=dict)

    def hear(self, state: TargetState, now: float) -> None:
        """A writer's word on its target."""
        kind, _, name = state.target.partition(":")
        if kind != "host":
            return
        host = HostName(name)
        if state.state != "unreachable":
            self._hosts.pop(host, None)
            return
        known = self._hosts.setdefault(host, _Gone(now, now, state.reason))
        known.heard, known.reason = now, state.reason

    def hosts(self, now: float) -> frozenset[HostName]:
        """Those that are gone now."""
        for host in [host for host, gone in self._hosts.items() if now - gone.heard > SILENT_S]:
            del self._hosts[host]
        return frozenset(host for host, gone in self._hosts.items() if now - gone.began >= self.after_s)

    def to_revert(self, sagas: Iterable[Saga], now: float) -> Iterator[tuple[Saga, str]]:
        """The active pairs of hosts that are gone, each with the reason. Not again at once where it was asked for."""
        gone = self.hosts(now)
        if not gone:
            self._asked.clear()
            return
        for saga in sagas:
            if saga.phase is not Phase.ACTIVE or saga.sides is None:
                continue
            host = next((side.host for side in saga.sides if side.host in gone), None)
            if host is not None and now - self._asked.get(saga.pair, float("-inf")) >= AGAIN_S:
                self._asked[saga.pair] = now
                yield saga, f"host {host} is gone: {self._hosts[host].reason}"
