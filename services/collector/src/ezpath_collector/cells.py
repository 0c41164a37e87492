"""Monitor cells to columns. Pure; no cell is ever touched by a Python loop.

``p4/ezpath/monitor.p4`` documents the 256 bits of a cell. As bytes, big endian:

    0        1 when used
    1-3      VNI
    4-9      inner source MAC
    10-15    inner destination MAC
    16-19    packets
    20-25    bytes
    26-31    when last seen, microseconds
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
    """One row a flow: its key and its counters, as columns of equal length, in the order of their keys."""

    vni: Columns
    src: Columns
    dst: Columns
    packets: Columns
    bytes: Columns


def decode(stages: Sequence[RawCells]) -> Flows:
    """The flows of all ``stages``, equal keys added up.

    Raises ValueError where a cell is not 256 bits wide: the switch runs another program than this one.
    """
    for stage in stages:
        if stage.ndim != 2 or stage.shape[1] != CELL_BYTES:
            width = stage.shape[-1] * 8
            raise ValueError(f"monitor cells are {width} bits wide, where this collector knows {CELL_BYTES * 8}")
    used = [stage[stage[:, 0] == 1] for stage in stages]
    cells = np.concatenate(used) if used else np.zeros((0, CELL_BYTES), np.uint8)
    return _added_up(
        vni=_integers(cells, 1, 3),
        src=_integers(cells, 4, 6),
        dst=_integers(cells, 10, 6),
        packets=_integers(cells, 16, 4),
        octets=_integers(cells, 20, 6),
    )


def _integers(cells: RawCells, first: int, width: int) -> Columns:
    """Big-endian integers of ``width`` bytes that start at byte ``first`` of each cell."""
    wide = np.zeros((len(cells), 8), np.uint8)
    wide[:, 8 - width :] = cells[:, first : first + width]
    return wide.view(">u8").reshape(-1).astype(np.uint64)


def _added_up(vni: Columns, src: Columns, dst: Columns, packets: Columns, octets: Columns) -> Flows:
    """A flow that moved from one stage to the other stands in both for a while."""
    if len(vni) == 0:
        return Flows(vni, src, dst, packets, octets)
    order = _order(vni, src, dst)
    vni, src, dst = vni[order], src[order], dst[order]
    new = np.ones(len(order), bool)
    new[1:] = (vni[1:] != vni[:-1]) | (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
    starts = np.flatnonzero(new)
    return Flows(
        vni[starts],
        src[starts],
        dst[starts],
        np.add.reduceat(packets[order], starts),
        np.add.reduceat(octets[order], starts),
    )


def _order(vni: Columns, src: Columns, dst: Columns) -> npt.NDArray[np.intp]:
    """By VNI, source, destination. NumPy sorts one column of numbers much faster than it sorts by several."""
    high = vni << np.uint64(40) | src >> np.uint64(8)
    low = (src & np.uint64(0xFF)) << np.uint64(48) | dst
    return np.argsort(_ranks(high) << np.uint64(32) | _ranks(low))


def _ranks(column: Columns) -> Columns:
    """Each number's place among the different ones, from 0."""
    order = np.argsort(column)
    column = column[order]
    ranks = np.zeros(len(column), np.uint64)
    ranks[order[1:]] = np.cumsum(column[1:] != column[:-1], dtype=np.uint64)
    return ranks
