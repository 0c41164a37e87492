"""A fence on a bridge: whoever's term is over changes no rule there any more, whatever he believes. Pure.

OpenFlow has no conditional change, but a bundle is atomic, and a rule added with CHECK_OVERLAP is refused where
another of its priority could match the same frame. So each change begins with a rule that names the writer's term, as a
source address, and takes it out again; and each writer begins with a wall of rules that overlap those of all earlier
terms and not its own. They are in a table that no frame comes to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ezpath.ovs.flows import PRIORITY, Flow, delete_line

COOKIE = 0xE25F_0000_0000_0000
"""Of rules that are about rules: not among those that carry traffic, which have 0xe25a."""
TABLE = 253
_BITS = 48
_ALL = (1 << _BITS) - 1
REFUSED = "OFPFMFC_OVERLAP"
"""What Open vSwitch says to one behind the wall."""
_SOURCE = re.compile(r"dl_src=([0-9a-f:]{17})(?:/([0-9a-f:]{17}))?")


@dataclass(frozen=True, slots=True)
class Fence:
    """Of a writer's ``term``, 1 or more."""

    term: int

    @property
    def mark(self) -> Flow:
        """What names the term, for as long as a bundle takes.

        It has a destination too, so that it is never the same as a rule of a wall: one that only takes the other's
        place overlaps nothing.
        """
        return _rule(f"dl_src={_mac(self.term)},dl_dst={_mac(1)}")

    @property
    def lines(self) -> list[str]:
        """What every bundle of this writer begins with."""
        add = f"add check_overlap,{self.mark}"
        return [add, delete_line(self.mark)]

    @property
    def wall(self) -> tuple[Flow, ...]:
        """Rules that overlap the marks of all terms before this one: prefixes that cover 0 to term - 1."""
        return tuple(
            _rule(f"dl_src={_mac(first)}/{_mac(mask)}" if mask != _ALL else f"dl_src={_mac(first)}")
            for first, mask in _prefixes(self.term)
        )


def term_of(wall: Iterable[Flow]) -> int:
    """The term whose wall stands there; 0 for none."""
    ends = []
    for flow in wall:
        found = _SOURCE.search(flow.match)
        if found is not None:
            mask = _number(found[2]) if found[2] else _ALL
            ends.append(_number(found[1]) + (~mask & _ALL) + 1)
    return max(ends, default=0)


def _prefixes(end: int) -> Iterator[tuple[int, int]]:
    """(first, mask) of the fewest aligned ranges that make up 0 to ``end`` - 1."""
    for bit in range(_BITS):
        if end >> bit & 1:
            yield end >> (bit + 1) << (bit + 1), _ALL >> bit << bit


def _rule(match: str) -> Flow:
    return Flow(COOKIE, PRIORITY, match, "drop", TABLE)


def _mac(value: int) -> str:
    return ":".join(f"{value >> shift & 0xFF:02x}" for shift in range(_BITS - 8, -8, -8))


def _number(mac: str) -> int:
    return int(mac.replace(":", ""), 16)
