"""What `ezpath flows` shows of a round. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from ezpath.events import FlowLine
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga

from ezpath_decider.candidates import Candidates
from ezpath_decider.places import ARRIVING, LEAVING, ON_SWITCH, OVERLAY

SHOWN = 2000
"""Flows in one message, the busiest: more than a person reads, less than NATS takes."""
_WHERE: dict[int, Literal["overlay", "moving", "switch"]] = {
    OVERLAY: "overlay",
    ARRIVING: "moving",
    LEAVING: "moving",
    ON_SWITCH: "switch",
}


def flow_lines(candidates: Candidates, sagas: Mapping[PairId, Saga]) -> tuple[FlowLine, ...]:
    """Flows with traffic or on a switch, the busiest first."""
    bits = candidates.bits_s
    rows = np.flatnonzero((bits > 0) | (candidates.state != OVERLAY))
    if len(rows) > SHOWN:
        rows = rows[np.argpartition(-bits[rows], SHOWN)[:SHOWN]]
    lines = [_line(candidates, int(row), sagas) for row in rows]
    return tuple(sorted(lines, key=lambda line: (-line.rate_bps, line.pair)))


def _line(candidates: Candidates, row: int, sagas: Mapping[PairId, Saga]) -> FlowLine:
    directory = candidates.directory
    pair = directory.pair_name(candidates.flow[row])
    tenant, a, b = pair.split(".")
    switches = {directory.switches[directory.switch[end[row]]]: None for end in candidates.ends}
    saga = sagas.get(pair)
    return FlowLine(
        pair=pair,
        tenant=Tenant(tenant),
        a=a,
        b=b,
        rate_bps=float(candidates.bits_s[row]),
        packets_s=float(candidates.packets_s[row]),
        where=_WHERE[int(candidates.state[row])],
        phase=saga.phase.value if saga else None,
        switches=tuple(sorted(switches)),
    )
