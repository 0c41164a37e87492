"""What `ezpath flows` shows of a round. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ezpath.events import FlowLine
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga

from ezpath_decider.candidates import Candidates
from ezpath_decider.columns import F32, U8, U64
from ezpath_decider.directory import Directory
from ezpath_decider.places import ARRIVING, LEAVING, ON_SWITCH, OVERLAY

SHOWN = 2000
"""Flows in one message, the busiest: more than a person reads, less than NATS takes."""
_WHERE: dict[int, Literal["overlay", "moving", "switch"]] = {
    OVERLAY: "overlay",
    ARRIVING: "moving",
    LEAVING: "moving",
    ON_SWITCH: "switch",
}


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is shown of flows as they were at one instant; :meth:`lines` may be made later, and a few at a time."""

    directory: Directory
    flow: U64
    bits_s: F32
    packets_s: F32
    state: U8

    @classmethod
    def of(cls, candidates: Candidates) -> Shown:
        """Flows with traffic or on a switch, the busiest first."""
        bits = candidates.bits_s
        rows = np.flatnonzero((bits > 0) | (candidates.state != OVERLAY))
        if len(rows) > SHOWN:
            rows = rows[np.argpartition(-bits[rows], SHOWN)[:SHOWN]]
        rows = rows[np.argsort(-bits[rows], kind="stable")]
        return cls(
            candidates.directory, candidates.flow[rows], bits[rows], candidates.packets_s[rows], candidates.state[rows]
        )

    def lines(self, sagas: Mapping[PairId, Saga]) -> Iterator[FlowLine]:
        """In their order."""
        directory, switch, between = (
            self.directory,
            self.directory.switch.tolist(),
            dict[tuple[int, int], tuple[str, ...]](),
        )
        columns = (self.flow, self.bits_s, self.packets_s, self.state)
        for flow, bits, packets, state in zip(*(column.tolist() for column in columns), strict=True):
            one, other = flow >> 32, flow & 0xFFFFFFFF
            pair = directory.pair_name(flow)
            tenant, a, b = pair.split(".")
            saga, ends = sagas.get(pair), (switch[one], switch[other])
            if ends not in between:
                between[ends] = tuple(sorted({directory.switches[end] for end in ends}))
            yield FlowLine(
                pair=pair,
                tenant=Tenant(tenant),
                a=a,
                b=b,
                rate_bps=bits,
                packets_s=packets,
                where=_WHERE[state],
                phase=saga.phase.value if saga else None,
                switches=between[ends],
            )


def flow_lines(candidates: Candidates, sagas: Mapping[PairId, Saga]) -> tuple[FlowLine, ...]:
    """All of them; those that are as busy by name."""
    return tuple(sorted(Shown.of(candidates).lines(sagas), key=lambda line: (-line.rate_bps, line.pair)))
