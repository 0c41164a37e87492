"""Which flows a decider counts, where several share the work: some of a fixed number of parts, by a flow's addresses.

Pure. The addresses decide, and not the endpoints' numbers, so that all deciders agree, and so that cells of others'
flows are put aside before anything is looked up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
from ezpath.samples import FlowSample

from ezpath_decider.columns import F64, U8, U64, Mask
from ezpath_decider.directory import Directory, digest, ends

PARTS = 64
"""Enough to divide evenly among a handful of deciders; each of them costs a few bytes."""


def parts_of(vni: U64, one: U64, other: U64) -> U8:
    """The part of each pair of addresses, whichever way round."""
    mixed = digest(vni, np.minimum(one, other)) ^ digest(vni, np.maximum(one, other)) * np.uint64(5)
    return (mixed >> np.uint64(58)).astype(np.uint8)


def parts_of_flows(flows: U64, directory: Directory) -> U8:
    """The part of each flow."""
    one, other = ends(flows)
    return parts_of(directory.vni[one], directory.mac[one], directory.mac[other])


def assignment(members: Collection[str]) -> tuple[str, ...]:
    """Who counts each part. Whoever comes or goes moves only the parts that it gets or had."""
    if not members:
        return ()
    return tuple(max(members, key=lambda name: (crc32(f"{part}/{name}".encode()), name)) for part in range(PARTS))


@dataclass(slots=True)
class Share:
    """What one of them counts. ``since`` says from when on, by part; NaN for those that are not its own."""

    directory: Directory
    since: F64 = field(default_factory=lambda: np.full(PARTS, np.nan))
    _begun: Mask = field(init=False)
    """By switch and part: the counters' starting points are known."""

    def __post_init__(self) -> None:
        self._begun = np.zeros((len(self.directory.switches), PARTS), np.bool_)

    @property
    def owned(self) -> Mask:
        return ~np.isnan(self.since)

    def own(self, parts: Iterable[int], now: float) -> bool:
        """From now on these. True where some were given up."""
        wanted = np.zeros(PARTS, np.bool_)
        wanted[list(parts)] = True
        lost, new = self.owned & ~wanted, wanted & ~self.owned
        self.since[lost], self.since[new] = np.nan, now
        self._begun[:, new] = False
        return bool(lost.any())

    def has(self, flows: U64) -> Mask:
        """Which of ``flows`` are its own."""
        return self.owned[parts_of_flows(flows, self.directory)]

    def of(self, sample: FlowSample) -> tuple[FlowSample, U8]:
        """The cells of its own flows, and their parts."""
        parts = parts_of(sample.vni, sample.src, sample.dst)
        mine = np.flatnonzero(self.owned[parts])
        columns = {name: getattr(sample, name)[mine] for name in ("vni", "src", "dst", "packets", "bytes")}
        return replace(sample, **columns), parts[mine]

    def begun(self, switch: int, parts: U8) -> Mask:
        """Which of these cells' parts the switch was counted in before. All of its own are from now on."""
        known: Mask = self._begun[switch, parts]
        self._begun[switch, self.owned] = True
        return known
