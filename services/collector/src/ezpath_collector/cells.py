"""Monitor cells to columns. Pure; no cell is ever touched by a Python loop.

``p4/ezpath/monitor.p4`` documents the 256 bits of a cell. As bytes, big endian:

    0        1 when used
    1-3      VNI
    4-9      inner source MAC
    10-15    inner destination MAC
    16-21    bytes
    22-23    epoch
    24-28    packets
    29-31    strength

Epoch and strength are the switch's own business: by them it decides whose the cell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CELL_BYTES = 32

RawCells = npt.NDArray[np.uint8]
"""Register cells as a switch gives them: (cells, bytes of a cell), big endian."""

Columns = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """One row a flow: its key and its counters, as columns of equal length, in the order of their cells."""

    vni: Columns
    src: Columns
    dst: Columns
    packets: Columns
    bytes: Columns


def decode(stages: Sequence[RawCells]) -> Flows:
    """The flows of all ``stages``.

    A flow that moves while the stages are read may be seen in two. The switch counts it in the first that has it, so
    that is the one to believe.

    Raises ValueError where a cell is not 256 bits wide: the switch runs another program than this one.
    """
    for stage in stages:
        if stage.ndim != 2 or stage.shape[1] != CELL_BYTES:
            width = stage.shape[-1] * 8
            raise ValueError(f"monitor cells are {width} bits wide, where this collector knows {CELL_BYTES * 8}")
    # As four 64-bit words, one after the other: no field has to be put together from more than two of them.
    words = np.concatenate(stages).view(">u8").T.astype(np.uint64) if stages else np.zeros((4, 0), np.uint64)
    used = words[0] >> np.uint64(56) == 1
    if not used.all():
        words = words[:, used]
    again = _seen_before(words[0], words[1])
    if again.size:
        words = np.delete(words, again, axis=1)
    return Flows(
        vni=words[0] >> np.uint64(32) & np.uint64(0xFFFFFF),
        src=words[0] << np.uint64(32) >> np.uint64(16) | words[1] >> np.uint64(48),
        dst=words[1] & np.uint64((1 << 48) - 1),
        packets=words[3] >> np.uint64(24),
        bytes=words[2] >> np.uint64(16),
    )


def _seen_before(high: Columns, low: Columns) -> npt.NDArray[np.intp]:
    """The places of keys, of two words each, that stand in an earlier place as well.

    Nearly always there is none, and to find that out takes one sort of plain numbers: a digest of each key with its
    place behind it. Only keys whose digests are equal are compared themselves. A switch has far fewer than 2^21 cells,
    so that a place fits.
    """
    digest = high * _GOLDEN ^ low
    digest = (digest ^ digest >> np.uint64(32)) * _GOLDEN
    digests = np.sort(digest & ~_PLACES | np.arange(len(high), dtype=np.uint64))
    equal = digests[1:] ^ digests[:-1] <= _PLACES
    if not equal.any():
        return np.zeros(0, np.intp)
    either = np.zeros(len(high), bool)
    either[1:] |= equal
    either[:-1] |= equal
    places = np.sort((digests[either] & _PLACES).astype(np.intp))
    order = places[np.lexsort((low[places], high[places]))]
    same = (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
    found: npt.NDArray[np.intp] = order[1:][same]
    return found


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PLACES = np.uint64((1 << 21) - 1)
