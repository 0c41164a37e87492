"""Which pairs to offload and which to bring back: the decision itself.

Pure: ``decide(views, held, settings, now)``. A rate that holds for a few polls goes to the switches if both ToRs have
room; one that was low for some polls comes back. Between the two thresholds a pair stays where it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ezpath.names import PairId, SwitchName


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Rates in bits per second of both directions together; polls are rounds with fresh samples of both ToRs."""

    enter_bps: float = 5e6
    enter_polls: int = 3
    exit_bps: float = 1e6
    idle_polls: int = 5
    budget: int = 1024
    """Table entries that EZPath may use on each ToR."""
    retry_after_s: float = 30.0
    """How long a pair that was rolled back is left alone."""


@dataclass(frozen=True, slots=True)
class PairView:
    """One pair as the decision sees it."""

    pair: PairId
    rate_bps: float
    busy_polls: int
    """Rounds in a row at or above ``enter_bps``."""
    idle_polls: int
    """Rounds in a row below ``exit_bps``."""
    state: Literal["overlay", "moving", "switch"]
    cost: Mapping[SwitchName, frozenset[object]] = field(default_factory=dict)
    """Keys of the entries that it would need on each ToR; those that others hold already cost nothing."""
    failed_at: float | None = None
    """When its last attempt was rolled back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``pair`` should go where ``what`` says, because of ``reason``."""

    pair: PairId
    what: Literal["offload", "revert"]
    reason: str
    rate_bps: float


def decide(
    views: Sequence[PairView], held: Mapping[SwitchName, frozenset[object]], settings: PolicySettings, now: float
) -> list[Decision]:
    """The decisions of one round, the busiest pairs first. ``held`` are the keys of entries in use on each ToR."""
    decisions = [
        Decision(
            view.pair,
            "revert",
            f"idle: {view.rate_bps / 1e6:.2f} Mbit/s, below {settings.exit_bps / 1e6:g} for {view.idle_polls} polls",
            view.rate_bps,
        )
        for view in views
        if view.state == "switch" and view.idle_polls >= settings.idle_polls
    ]
    used = {switch: set(keys) for switch, keys in held.items()}
    for view in sorted(views, key=lambda v: (-v.rate_bps, v.pair)):
        if not _wants_in(view, settings, now) or not _fits(view, used, settings.budget):
            continue
        for switch, keys in view.cost.items():
            used.setdefault(switch, set()).update(keys)
        reason = (
            f"busy: {view.rate_bps / 1e6:.2f} Mbit/s, at least {settings.enter_bps / 1e6:g} for {view.busy_polls} polls"
        )
        decisions.append(Decision(view.pair, "offload", reason, view.rate_bps))
    return decisions


def _wants_in(view: PairView, settings: PolicySettings, now: float) -> bool:
    rested = view.failed_at is None or now - view.failed_at >= settings.retry_after_s
    return view.state == "overlay" and view.busy_polls >= settings.enter_polls and rested


def _fits(view: PairView, used: Mapping[SwitchName, set[object]], budget: int) -> bool:
    return all(len(used.get(switch, set()) | keys) <= budget for switch, keys in view.cost.items())


@dataclass(slots=True)
class Streaks:
    """How long each pair has been busy or idle, in rounds. Grows by one round at a time."""

    settings: PolicySettings
    busy: dict[PairId, int] = field(default_factory=dict)
    idle: dict[PairId, int] = field(default_factory=dict)

    def round(self, rates: Mapping[PairId, float], on_switch: Collection[PairId]) -> None:
        """One round: the rates of the pairs about which there is fresh word. Others keep what they had.

        Idleness is counted from the moment a pair is on the switches: what was moved by hand has its time there.
        """
        for pair, rate in rates.items():
            self.busy[pair] = self.busy.get(pair, 0) + 1 if rate >= self.settings.enter_bps else 0
            idle = pair in on_switch and rate < self.settings.exit_bps
            self.idle[pair] = self.idle.get(pair, 0) + 1 if idle else 0

    def forget(self, pair: PairId) -> None:
        self.busy.pop(pair, None)
        self.idle.pop(pair, None)
