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
    """One row a flow: its key and its counters, as columns of equal length, in the order of their keys."""

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
    used = [stage[stage[:, 0] == 1] for stage in stages]
    cells = np.concatenate(used) if used else np.zeros((0, CELL_BYTES), np.uint8)
    vni, src, dst = _integers(cells, 1, 3), _integers(cells, 4, 6), _integers(cells, 10, 6)
    once = _first_of_each(vni, src, dst)
    packets, octets = _integers(cells, 24, 5), _integers(cells, 16, 6)
    return Flows(vni[once], src[once], dst[once], packets[once], octets[once])


def _integers(cells: RawCells, first: int, width: int) -> Columns:
    """Big-endian integers of ``width`` bytes that start at byte ``first`` of each cell."""
    wide = np.zeros((len(cells), 8), np.uint8)
    wide[:, 8 - width :] = cells[:, first : first + width]
    return wide.view(">u8").reshape(-1).astype(np.uint64)


def _first_of_each(vni: Columns, src: Columns, dst: Columns) -> npt.NDArray[np.intp]:
    """Where each key stands first, in the order of keys."""
    order = _order(vni, src, dst)
    vni, src, dst = vni[order], src[order], dst[order]
    new = np.ones(len(order), bool)
    new[1:] = (vni[1:] != vni[:-1]) | (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
    return order[new]


def _order(vni: Columns, src: Columns, dst: Columns) -> npt.NDArray[np.intp]:
    """By VNI, source, destination; equal keys stay in the order of their stages.

    NumPy sorts plain numbers much faster than it sorts by several columns, or stably: so each row becomes one number,
    the places of its halves of the key among all others, and the row's own place behind them. A switch has far fewer
    than 2^21 cells, so that three places fit 64 bits.
    """
    high = vni << np.uint64(40) | src >> np.uint64(8)
    low = (src & np.uint64(0xFF)) << np.uint64(48) | dst
    bits = np.uint64(21)
    rows = np.arange(len(vni), dtype=np.uint64)
    numbers = _ranks(high) << bits + bits | _ranks(low) << bits | rows
    return (np.sort(numbers) & np.uint64((1 << 21) - 1)).astype(np.intp)


def _ranks(column: Columns) -> Columns:
    """Each number's place among the different ones, from 0."""
    order = np.argsort(column)
    column = column[order]
    ranks = np.zeros(len(column), np.uint64)
    ranks[order[1:]] = np.cumsum(column[1:] != column[:-1], dtype=np.uint64)
    return ranks
