"""Why a flow is where it is, as the decider tells it: on request, and kept whenever its answer changes.

Pure. `ezpath why` turns one into text; ``ezpath.why.<pair>`` keeps the last few of each flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ezpath.names import PairId, Tenant

WHY_STREAM = "EZPATH_WHY"
WHY_SUBJECT = "ezpath.why"

WhereName = Literal["overlay", "arriving", "switch", "leaving"]
Verdict = Literal["offload", "revert", "waits", "stays"]


@dataclass(frozen=True, slots=True)
class Need:
    """A table entry that a flow needs on a switch."""

    switch: str
    table: str
    what: str
    """Whose it is: ``red-1``, or ``red on h11`` for a host's tag."""
    sharers: int
    """Other flows on the switches that need it as well: with any, it costs nothing more."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How full something is that has a limit."""

    switch: str
    of: str
    """A table, ``all tables``, or ``tenant NAME``."""
    held: int
    allowed: int | None
    """None where nobody set a limit."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the decider knows of a flow's rate. Bits and packets a second, both directions."""

    bits_s: float
    packets_s: float
    bits_mean: float
    packets_mean: float
    burstiness: float
    age_s: float
    rounds: int
    """With fresh word so far."""
    history: tuple[float, ...]
    """Bits a second of the last of those rounds, the newest first."""
    fresh: bool
    """Both switches were heard since the round before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the strategy made of it."""

    strategy: str
    settings: dict[str, float | bool | str]
    score: float
    rank: int | None
    """Among those that may be on the switches, by score; None for one that may not."""
    candidates: int
    chosen: int
    """So many are to be on the switches."""
    last_in: float | None
    """The lowest score among those."""
    importance: float


@dataclass(frozen=True, slots=True)
class Course:
    """The saga of the flow."""

    phase: str
    since: float
    generation: int
    waiting: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """One flow in one round."""

    pair: PairId
    tenant: Tenant
    at: float
    """Unix time, seconds."""
    where: WhereName
    verdict: Verdict
    reason: str
    traffic: Traffic | None = None
    """None for a flow that was never seen."""
    standing: Standing | None = None
    here_s: float | None = None
    """Since it came to where it is; None where it never moved."""
    here_rounds: int | None = None
    needs: tuple[Need, ...] = ()
    fills: tuple[Fill, ...] = ()
    listed: tuple[str, ...] = ()
    """Of the operator's lists: always, barred."""
    paused: tuple[str, ...] = ()
    """What pauses hold it: ``everywhere``, ``rack r1``, ``tenant red``."""
    failures: int = 0
    """Rolled back so many times in a row …"""
    rests_s: float = 0.0
    """… and left alone for so long yet."""
    course: Course | None = None
    dry_run: bool = False
    type: Literal["account"] = "account"
