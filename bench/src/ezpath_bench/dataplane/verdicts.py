"""What the data-plane benchmark's figures say about its targets: a pure function of them.

A target that the machine's kernel cannot reach with any program is still a target, and missed; the verdict then says
what the kernel allows at best, from the same run, and how much of that the ToRs make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ezpath_bench.rounds import Spread, ratios

BASE = "bare"
LEAST = "least"
FRAMES = (64, 350, 1440)
TCP_OF_BARE = 0.95
MPPS = 0.9
FLAT = 1.10
TIMES_BMV2 = 20.0

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Figure to way to one value a round."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what was measured, whether that reaches it, and what bounds it on this machine."""

    what: str
    reached: bool
    target: str
    bound: str = ""

    def __str__(self) -> str:
        head = "reached" if self.reached else "MISSED "
        return f"{head}  {self.what} (target {self.target}){'; ' if self.bound else ''}{self.bound}"


def verdicts(values: Values, growth: Mapping[str, Mapping[int, Sequence[float]]]) -> Iterator[Verdict]:
    """A verdict for each target that these figures can judge."""
    if "tor" in values.get("tcp_gbps", {}):
        yield _against(ratios(values["tcp_gbps"], BASE), TCP_OF_BARE, "TCP through two ToRs, of a bare veth")
    if "tor" in values.get("mpps_64", {}):
        mpps = {way: Spread.of(series) for way, series in values["mpps_64"].items()}
        yield _against(mpps, MPPS, "million packets a second, one core, 64 B")
        if "bmv2" in mpps:
            times = min(_median(values, octets, "tor") / _median(values, octets, "bmv2") for octets in FRAMES)
            yield Verdict(f"packets a second, times BMv2's: {times:.0f}", times >= TIMES_BMV2, f"{TIMES_BMV2:.0f}")
    one = growth.get("one destination", {})
    if {10, 100_000} <= set(one):
        ratio = Spread.of(one[100_000]).median / Spread.of(one[10]).median
        yield Verdict(f"100,000 entries against 10: {ratio:.2f}", ratio <= FLAT, f"at most {FLAT}")


def _median(values: Values, octets: int, way: str) -> float:
    return Spread.of(values[f"mpps_{octets}"][way]).median


def _against(of_way: Mapping[str, Spread], target: float, what: str) -> Verdict:
    """The ToRs' median against the target, beside what no program can pass here: the veth, and a tunnel by hand.

    Out of reach is only what that did not reach in any round: a noisy machine proves nothing.
    """
    tor = of_way["tor"].median
    named = [(name, of_way[way]) for way, name in ((BASE, "bare veth"), (LEAST, "by hand")) if way in of_way]
    said = f"{what}: {tor:.2f} ({', '.join(f'{name} {spread.median:.2f}' for name, spread in named)})"
    best = of_way.get(LEAST, of_way[BASE])
    if tor >= target or best.greatest >= target:
        return Verdict(said, tor >= target, f"{target}")
    who = "a tunnel made by hand" if LEAST in of_way else "a bare veth"
    bound = f"out of reach on this machine's kernel, where {who} makes {best.greatest:.2f} at best"
    return Verdict(said, False, f"{target}", f"{bound}: the ToRs make {tor / best.median:.0%} of its median")
