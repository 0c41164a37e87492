"""Whether a switch started anew between two polls: then most of its counters are smaller than they were.

Pure. A thousand cells tell: those whose addresses have the smallest digests, so that whoever reads a switch's samples
asks the same ones, however few of its flows he keeps himself (``share.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ezpath.samples import FlowSample

from ezpath_decider.columns import U64
from ezpath_decider.directory import digest

WITNESSES = 1024
MOST = 0.5
"""Where more than this share of the counters fell at once, the switch started anew and all of them did."""


def _none() -> U64:
    return np.zeros(0, np.uint64)


@dataclass(slots=True)
class Witnesses:
    """Of one switch: some of its cells, as they stood at the last poll."""

    _cells: U64 = field(default_factory=_none)
    _octets: U64 = field(default_factory=_none)
    _packets: U64 = field(default_factory=_none)

    def restarted(self, sample: FlowSample) -> bool:
        """Whether ``sample``'s counters began anew since the one before. Remembers it for the next."""
        cells = digest(sample.vni, sample.src) ^ digest(sample.vni, sample.dst) * np.uint64(3)
        chosen = np.arange(len(cells))
        if len(cells) > WITNESSES:
            chosen = np.argpartition(cells, WITNESSES)[:WITNESSES]
        cells, octets, packets = cells[chosen], sample.bytes[chosen], sample.packets[chosen]
        _, old, new = np.intersect1d(self._cells, cells, return_indices=True)
        fell = (octets[new] < self._octets[old]) | (packets[new] < self._packets[old])
        self._cells, self._octets, self._packets = cells, octets, packets
        return bool(np.count_nonzero(fell) > MOST * len(new))
