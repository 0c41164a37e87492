"""Time series of all flows, built from the switches' samples, in columns.

Pure: no clock of its own; samples bring the collector's, rounds bring ``now``. A *flow* here is what EZPath moves: what
two endpoints say to each other, both directions. One row a flow, no Python loop over rows anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from ezpath.samples import Columns as SampleColumn
from ezpath.samples import FlowSample

from ezpath_decider.columns import (
    F32,
    F64,
    GROWTH,
    I32,
    NOWHERE,
    U8,
    U16,
    U32,
    U64,
    Indices,
    KeyIndex,
    Mask,
    Rows,
    blocks,
    column,
)
from ezpath_decider.directory import Directory, ends, pair_keys, renumbered
from ezpath_decider.polls import Ignored, Polls
from ezpath_decider.restarts import Witnesses
from ezpath_decider.share import Share

HISTORY = 8
"""Rates remembered of each flow."""
MIN_MEAN = np.float32(1e-30)


@dataclass(slots=True)
class FlowRows(Rows):
    """What is kept of each flow. Columns of width two hold the directions: smaller to larger number, and back."""

    key: U64 = column(np.uint64)
    octets: U64 = column(np.uint64, 2)
    """Counters as they stood at the last poll that had them."""
    packets: U64 = column(np.uint64, 2)
    poll: U32 = column(np.uint32, 2)
    """The number of that poll …"""
    observer: U16 = column(np.uint16, 2)
    """… and one more than the number of the switch it was of; 0 for none."""
    octet_rate: F32 = column(np.float32, 2)
    packet_rate: F32 = column(np.float32, 2)
    octet_history: F32 = column(np.float32, HISTORY)
    packet_history: F32 = column(np.float32, HISTORY)
    """Rates at the last rounds with fresh word of the flow, a ring."""
    newest: U8 = column(np.uint8)
    """Where in the ring the last one is."""
    rounds: U32 = column(np.uint32)
    """Rounds with fresh word so far."""
    octet_mean: F32 = column(np.float32)
    packet_mean: F32 = column(np.float32)
    """Exponentially weighted, both directions, a second."""
    octet_variance: F32 = column(np.float32)
    first_seen: F32 = column(np.float32)
    """Seconds after the series began: an age needs no more digits."""
    noted_at: F64 = column(np.float64)


@dataclass(slots=True)
class Series:
    """Feed it samples; tell it when a round begins; then read the columns.

    ``half_life_s``: the means forget half of what was in so many seconds.
    """

    directory: Directory
    half_life_s: float = 5.0
    rows: FlowRows = field(default_factory=FlowRows)
    fresh: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Of which flows the last round had fresh word, from both switches on the way."""
    began_at: float = 0.0
    """When the first flow was seen; 0 before that."""
    _index: KeyIndex = field(default_factory=KeyIndex)
    share: Share | None = None
    """The flows that are counted here, where several deciders share the work; None for all."""
    gathered: int | None = None
    """Where others count: so many rows came from them, and the rest is blank. None where the flows are counted here."""
    _polls: list[Polls] = field(default_factory=list)
    _witnesses: list[Witnesses] = field(default_factory=list)
    _round_at: float = 0.0

    def __post_init__(self) -> None:
        self._polls = [Polls() for _ in self.directory.switches]
        self._witnesses = [Witnesses() for _ in self.directory.switches]

    # ---- samples ----------------------------------------------------------

    def add(self, sample: FlowSample, now: float) -> bool:
        """Take a sample in. False where it is late, repeated, a second collector's or of an unknown switch."""
        switch = self.directory.switch_number.get(sample.switch)
        if switch is None:
            return False
        seconds = self._polls[switch].take(sample, now)
        if isinstance(seconds, Ignored):
            return False
        self.began_at = self.began_at or now
        restarted, begun = self._witnesses[switch].restarted(sample), None
        if self.share is not None:
            sample, parts = self.share.of(sample)
            begun = self.share.begun(switch, parts)
        self._count(switch, sample, seconds, restarted, begun, now)
        return True

    def _count(
        self, switch: int, sample: FlowSample, seconds: float, restarted: bool, begun: Mask | None, now: float
    ) -> None:
        """``begun``: of which cells the flows were counted here at the poll before; None for all."""
        sources, targets = self.directory.find(sample.vni, sample.src), self.directory.find(sample.vni, sample.dst)
        known = np.flatnonzero((sources != NOWHERE) & (targets != NOWHERE) & (sources != targets))
        sources, targets = sources[known], targets[known]
        known_before = self.rows.count
        flows = self.rows_of(pair_keys(sources, targets), now)
        ways = (sources > targets).astype(np.intp)
        new = flows >= known_before
        mine = self.rows.observer[flows, ways] == switch + 1
        present = self._present(flows, ways, self._numbers(before=switch))
        senders = self.directory.switch[sources] == switch
        # The sender's own switch has the word. Another one's counts only where that one has no cell for the flow: the
        # larger of the two would turn the jitter of two collectors' clocks into a bias.
        taken = np.flatnonzero(mine | senders | ~present)
        flows, ways = flows[taken], ways[taken]
        octets, packets = sample.bytes[known][taken], sample.packets[known][taken]
        if seconds > 0:
            continued = (mine & present)[taken] & (not restarted)
            # A cell taken over from the sender's switch may be old here: where it stands now is only a start. All
            # others that were not in the last poll are new in the monitor, and count from zero.
            counts = (mine | senders | new)[taken]
            if begun is not None:
                counts &= begun[known][taken]
            self._rate(flows, ways, octets, packets, continued, counts, seconds)
        rows = self.rows
        rows.octets[flows, ways] = octets
        rows.packets[flows, ways] = packets
        rows.poll[flows, ways] = self._polls[switch].number
        rows.observer[flows, ways] = switch + 1

    def find(self, keys: U64) -> I32:
        """The row of each flow; NOWHERE for those that have none."""
        return self._index.find(keys, self.rows.key[: self.rows.count])

    def rows_of(self, keys: U64, now: float) -> Indices:
        """The row of each flow; new ones where there were none."""
        found = self.find(keys)
        missing = np.unique(keys[found == NOWHERE])
        if len(missing):
            newest = self.rows.newest[:1].copy()
            new = self.rows.add(len(missing))
            self.rows.key[new] = missing
            # Whatever it is: most often all rows' rings then stand at one place, which is quick to read and to write.
            self.rows.newest[new] = newest if len(newest) else 0
            self.began_at = self.began_at or now
            self.rows.first_seen[new] = now - self.began_at
            self.rows.noted_at[new] = now
            self._index.add(missing, new, self.rows.key[: self.rows.count])
            found = self.find(keys)
        return found.astype(np.intp)

    def _rate(
        self,
        flows: Indices,
        ways: Indices,
        octets: SampleColumn,
        packets: SampleColumn,
        continued: Mask,
        counts: Mask,
        seconds: float,
    ) -> None:
        """Rates from two counts. What is not ``continued`` counts from zero.

        So does a flow that lost its cell and is back, and one whose counter wrapped (48 bits of bytes, 40 of packets):
        too little once in days, never too much.
        """
        rows = self.rows
        octets0 = np.where(continued, rows.octets[flows, ways], np.uint64(0))
        packets0 = np.where(continued, rows.packets[flows, ways], np.uint64(0))
        anew = (octets < octets0) | (packets < packets0)
        octets0[anew], packets0[anew] = 0, 0
        known = flows[counts], ways[counts]
        rows.octet_rate[known] = ((octets - octets0) / seconds)[counts]
        rows.packet_rate[known] = ((packets - packets0) / seconds)[counts]

    def _numbers(self, before: int | None = None) -> U32:
        """Each switch's newest poll, shifted by one for "nobody"; of ``before`` the one that came before it."""
        numbers = np.array([0xFFFFFFFF, *(polls.number for polls in self._polls)], np.uint32)
        if before is not None:
            numbers[before + 1] -= 1
        return numbers

    def _present(self, flows: Indices | slice, ways: Indices | int, numbers: U32) -> Mask:
        """Whether the switch that counts a flow had it in the poll of that number."""
        rows = self.rows
        return cast(Mask, rows.poll[flows, ways] == numbers[rows.observer[flows, ways]])

    # ---- rounds -----------------------------------------------------------

    def _heard(self) -> Mask:
        """Of each flow, whether both its switches were heard since the last round."""
        silent = np.array([polls.heard_at <= self._round_at for polls in self._polls], np.bool_)
        if not silent.any():
            return np.ones(self.rows.count, np.bool_)
        out_of_reach = silent[self.directory.switch]
        one, other = ends(self.rows.key[: self.rows.count])
        return ~(out_of_reach[one] | out_of_reach[other])

    def round(self, now: float) -> None:
        """Note each flow's rate now, where both its switches were heard since the last round.

        A silent collector is no idle flow: without fresh word everything about a flow stays as it was.
        """
        self.fresh = self._heard()
        self._round_at = now
        rows, numbers = self.rows, self._numbers()
        for block in blocks(rows.count):
            fresh = self.fresh[block]
            # A slice costs a fraction of what as many indices do, and as a rule all have been heard.
            noted = block if fresh.all() else block.start + np.flatnonzero(fresh)
            octets, packets = (np.zeros(np.count_nonzero(fresh), np.float32) for _ in range(2))
            for way in (0, 1):
                present = self._present(noted, way, numbers)
                octets += rows.octet_rate[noted, way] * present
                packets += rows.packet_rate[noted, way] * present
            self._note(noted, octets, packets, now)

    def _note(self, flows: Indices | slice, octets: F32, packets: F32, now: float) -> None:
        rows = self.rows
        newest = (rows.newest[flows] + np.uint8(1)) % np.uint8(HISTORY)
        rows.newest[flows] = newest
        rows.octet_history[at_place(flows, newest)] = octets
        rows.packet_history[at_place(flows, newest)] = packets
        rows.rounds[flows] += 1
        gap_s = now - rows.noted_at[flows]
        rows.noted_at[flows] = now
        # Over a gap, what was before it has faded for as long as the gap was. (As a rule there is one gap for all.)
        gap_s = gap_s[:1] if (gap_s == gap_s[:1]).all() else gap_s
        weight = (1 - np.exp2(-gap_s / self.half_life_s)).astype(np.float32)
        surprise = octets - rows.octet_mean[flows]
        rows.octet_mean[flows] += weight * surprise
        rows.packet_mean[flows] += weight * (packets - rows.packet_mean[flows])
        rows.octet_variance[flows] = (1 - weight) * (rows.octet_variance[flows] + weight * surprise * surprise)

    def latest(self, octets: bool = True) -> F32:
        """The last rate of each flow."""
        ring = self.rows.octet_history if octets else self.rows.packet_history
        rates = np.empty(self.rows.count, np.float32)
        for block in blocks(self.rows.count):
            rates[block] = ring[at_place(block, self.rows.newest[block])]
        return rates

    def history(self, flows: Indices, octets: bool = True) -> F32:
        """The last :data:`HISTORY` rates of each flow, the newest first; zero before the first."""
        ring = self.rows.octet_history if octets else self.rows.packet_history
        places = (self.rows.newest[flows, None].astype(np.intp) - np.arange(HISTORY)) % HISTORY
        return cast(F32, ring[flows[:, None], places])

    def age_s(self, now: float) -> F64:
        """Of each flow, since it was first seen."""
        return now - self.began_at - self.rows.first_seen[: self.rows.count].astype(np.float64)

    def burstiness(self, flows: Indices) -> F32:
        """Standard deviation over mean of the bytes a second: 0 for a steady flow, above 1 for a bursty one."""
        mean = np.maximum(self.rows.octet_mean[flows], MIN_MEAN)
        return cast(F32, np.sqrt(self.rows.octet_variance[flows]) / mean)

    # ---- forgetting -------------------------------------------------------

    def forget(self, wanted: Mask, now: float, after_s: float) -> Indices | None:
        """Forget the flows that no monitor holds, have been silent, and are not ``wanted``.

        Returns the rows that are left, which are numbered anew in this order; None where it is not worth while.
        A flow that stands in a monitor is kept, however idle: its count must not be taken for a new one.
        """
        rows, used, numbers = self.rows, slice(0, self.rows.count), self._numbers()
        silent = (rows.octet_history[used] == 0).all(axis=1) & (self.age_s(now) > after_s)
        held = self._present(used, 0, numbers) | self._present(used, 1, numbers)
        kept = np.flatnonzero(wanted | held | ~silent)
        if rows.count - len(kept) <= rows.count // GROWTH:
            return None
        self.keep(kept)
        return kept

    def keep(self, kept: Indices) -> None:
        """Forget all but these rows, which are numbered anew."""
        fresh = np.zeros(self.rows.count, np.bool_)
        fresh[: len(self.fresh)] = self.fresh
        self.rows.keep(kept)
        self._index.rebuild(self.rows.key[: self.rows.count])
        self.fresh = fresh[kept]

    def replace(self, flows: U64, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """The rows of these flows, as others have counted them, in place of all there were. ``fresh`` among them."""
        self.rows = FlowRows()
        new = self.rows.add(len(flows))
        self.rows.key[new] = flows
        for name, values in columns.items():
            if name != "fresh":
                getattr(self.rows, name)[new] = values
        self.fresh = columns.get("fresh", np.zeros(0, np.bool_))
        self.gathered = len(flows)
        self._index.rebuild(flows)

    def adopt(self, directory: Directory, numbers: I32) -> None:
        """Endpoints came, went or moved; see :func:`~ezpath_decider.directory.succeed`. Switches are the same."""
        rows = self.rows
        kept, keys = renumbered(rows.key[: rows.count], numbers)
        self.keep(kept)
        rows.key[: rows.count] = keys
        self._index.rebuild(keys)
        self.directory = directory
        if self.gathered is not None:
            self.gathered = int(np.count_nonzero(kept < self.gathered))
        if self.share is not None:
            self.share.directory = directory

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return self.rows.bytes + self._index.bytes + self.fresh.nbytes


def at_place(flows: Indices | slice, places: U8) -> tuple[Indices | slice, U8 | int]:
    """What selects, in columns of :data:`HISTORY`, the place of each row: as one slice where it is the same for all."""
    if isinstance(flows, slice):
        if (places == places[0]).all():
            return flows, int(places[0])
        flows = np.arange(flows.start, flows.stop)
    return flows, places
