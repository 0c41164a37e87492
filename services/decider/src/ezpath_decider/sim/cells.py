"""The simulated ToRs' monitors and their collectors: from what flows sent to the samples that switches report.

Pure. Each direction of a flow has a cell on its sender's ToR while it sends; a flow that paused begins anew, as one
does that lost its cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ezpath.names import SwitchName
from ezpath.samples import FlowSample

from ezpath_decider.columns import F64, U32, U64
from ezpath_decider.directory import ends
from ezpath_decider.series import Series
from ezpath_decider.sim.traffic import Second

_SCRAMBLE = np.uint64(0xD6E8FEB86659FD93)


class Monitors:
    """Counters of all switches, by row of a series."""

    def __init__(self, series: Series, interval_s: float) -> None:
        self._series, self._interval_s = series, interval_s
        self._counted: F64 = np.zeros((0, 2, 2))
        """By flow: packets and octets of each direction."""
        self._last: U32 = np.zeros(0, np.uint32)
        self._polls = 0

    def poll(self, second: Second, now: float) -> Iterator[FlowSample]:
        """One sample of each switch, at the end of the interval."""
        self._polls += 1
        self._count(second, now)
        rows = self._series.rows_of(second.flows, now)
        one, other = ends(second.flows)
        directory = self._series.directory
        sender, receiver = np.concatenate([one, other]), np.concatenate([other, one])
        packets = self._counted[rows, 0].T.ravel().astype(np.uint64)
        octets = self._counted[rows, 1].T.ravel().astype(np.uint64)
        switch = directory.switch[sender]
        order = np.argsort(switch.astype(np.uint16), kind="stable")
        cuts = np.searchsorted(switch[order], np.arange(len(directory.switches) + 1))
        cells = directory.vni[sender], directory.mac[sender], directory.mac[receiver], packets, octets
        vni, src, dst, packets, octets = (column[order] for column in cells)
        clock_ns = round(self._polls * self._interval_s * 1e9)
        for number, name in enumerate(directory.switches):
            here = slice(cuts[number], cuts[number + 1])
            yield FlowSample(
                SwitchName(name),
                self._polls,
                clock_ns,
                clock_ns,
                self._interval_s,
                *(vni[here], src[here], dst[here], packets[here], octets[here]),
                "sim",
            )

    def _count(self, second: Second, now: float) -> None:
        rows = self._series.rows_of(second.flows, now)
        more = self._series.rows.count - len(self._last)
        if more > 0:
            self._counted = np.concatenate([self._counted, np.zeros((more, 2, 2))])
            self._last = np.concatenate([self._last, np.zeros(more, np.uint32)])
        began = rows[self._last[rows] != self._polls - 1]
        self._counted[began] = 0
        self._last[rows] = self._polls
        there = _share(second.flows)
        for column, sent in enumerate((second.packets, second.octets)):
            forward = np.rint(sent * there)
            self._counted[rows, column, 0] += forward
            self._counted[rows, column, 1] += np.rint(sent) - forward


def _share(flows: U64) -> F64:
    """The part of a flow's packets that go from its first end to the other: between a tenth and nine tenths."""
    digest = (flows * _SCRAMBLE) >> np.uint64(48)
    return 0.1 + 0.8 * digest.astype(np.float64) / (1 << 16)
