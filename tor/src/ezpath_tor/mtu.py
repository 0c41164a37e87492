"""MTUs that a port has to have: a tunnel's headers must fit beside what they carry.

Pure. What is too small is said with the numbers, for it is lost without a word otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MtuRule:
    """``port`` carries ``least`` bytes; with ``above_others``, that many more than any port without a rule."""

    port: int
    least: int
    above_others: bool


def too_small(rules: Sequence[MtuRule], names: Mapping[int, str], mtus: Mapping[int, int]) -> list[str]:
    """What each port whose MTU is too small lacks. ``names`` and ``mtus`` by port; a port without MTU is not there."""
    ruled = {rule.port for rule in rules}
    others = {port: mtu for port, mtu in mtus.items() if port not in ruled}
    largest = max(others, key=lambda port: others[port], default=None)
    problems = []
    for rule in rules:
        least, why = rule.least, "it has to be"
        if rule.above_others:
            if largest is None:
                continue
            least += others[largest]
            why = f"port {largest} ({names[largest]}) has {others[largest]}, and {rule.least} bytes more have to fit:"
        mtu = mtus.get(rule.port)
        if mtu is not None and mtu < least:
            interface = names[rule.port]
            problems.append(
                f"port {rule.port} ({interface}) has an MTU of {mtu}; {why} at least {least}: "
                f"ip link set {interface} mtu {least}"
            )
    return problems
