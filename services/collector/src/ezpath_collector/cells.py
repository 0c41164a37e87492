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
    # As four 64-bit words, one after the other: no field has to be put together from more than two of them.
    words = np.concatenate(used).view(">u8").T.astype(np.uint64) if used else np.zeros((4, 0), np.uint64)
    vni = words[0] >> np.uint64(32) & np.uint64(0xFFFFFF)
    src = words[0] << np.uint64(32) >> np.uint64(16) | words[1] >> np.uint64(48)
    dst = words[1] & np.uint64((1 << 48) - 1)
    once = _first_of_each(vni, src, dst)
    octets, packets = words[2][once] >> np.uint64(16), words[3][once] >> np.uint64(24)
    return Flows(vni[once], src[once], dst[once], packets, octets)


def _first_of_each(vni: Columns, src: Columns, dst: Columns) -> npt.NDArray[np.intp]:
    """Where each key stands first, in the order of keys."""
    order = _order(vni, src, dst)
    vni, src, dst = vni[order], src[order], dst[order]
    new = np.ones(len(order), bool)
    new[1:] = (vni[1:] != vni[:-1]) | (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
    return order[new]


def _order(vni: Columns, src: Columns, dst: Columns) -> npt.NDArray[np.intp]:
    """By VNI, source, destination; equal keys stay in the order of their stages.

    NumPy sorts plain numbers many times faster than it sorts by several columns, or stably, or tells of an order. So
    the 120 bits of a key are taken in three parts, the last first, and each is sorted with the place it stood at behind
    it: that keeps what equal ones have in order. A switch has far fewer than 2^21 cells, so that a place fits.
    """
    order = np.arange(len(vni), dtype=np.uint64)
    places = order.copy()
    low = dst & _LOW
    middle = dst >> _PART | (src & np.uint64((1 << 38) - 1)) << np.uint64(5)
    high = src >> np.uint64(38) | vni << np.uint64(10)
    for part in (low, middle, high):
        order = order[(np.sort(part[order] << _PLACE | places) & _PLACES).astype(np.intp)]
    return order.astype(np.intp)


_PLACE, _PART = np.uint64(21), np.uint64(43)
_PLACES, _LOW = np.uint64((1 << 21) - 1), np.uint64((1 << 43) - 1)
