"""Columns: NumPy arrays of equal length, and the two things the decider needs of them.

Pure. :class:`Rows` grows and forgets rows; :class:`KeyIndex` finds rows by their 64-bit key, many at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

NOWHERE = -1
"""No such row."""
LEAST_ROWS = 1024
GROWTH = 8
"""Rows grow by one part in so many: memory stays near what is used, and each row is still copied a few times only."""
BLOCK = 1 << 15
"""Rows worked on together where all of them are: so many that what is in between stays in the processor's cache."""
LEAST_SLOTS = 2048
MOST_FULL = 0.5
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

R = TypeVar("R", bound="Rows")


def column(kind: Any, width: int = 1) -> Any:
    """A column of :class:`Rows`, for use as a dataclass field. Wider ones are two-dimensional.

    Of a wider one, too, what stands in one place of all rows is together in memory (Fortran's order).
    """
    shape = (0,) if width == 1 else (0, width)
    return field(default_factory=lambda: np.zeros(shape, kind, order="F"))


def blocks(rows: int) -> Iterator[slice]:
    """All of so many rows, :data:`BLOCK` at a time."""
    return (slice(first, min(first + BLOCK, rows)) for first in range(0, rows, BLOCK))


@dataclass(slots=True)
class Rows:
    """Columns that grow together. Subclasses are dataclasses whose array fields are made by :func:`column`.

    The first ``count`` rows of each column are used; the rest is room to grow, and reads as zero.
    """

    count: int = 0

    def add(self, how_many: int) -> Indices:
        """So many new rows, all zero. Returns their numbers."""
        first, self.count = self.count, self.count + how_many
        room = len(self._columns()[0][1])
        if self.count > room:
            self._resize(max(LEAST_ROWS, self.count, room + room // GROWTH))
        return np.arange(first, self.count)

    def keep(self, rows: Indices) -> None:
        """Forget all but ``rows``, which are numbered anew in their order."""
        for name, values in self._columns():
            kept = np.asfortranarray(values[rows])
            if len(rows) < len(values) // 2:
                setattr(self, name, kept)
            else:
                values[: len(rows)] = kept
                values[len(rows) : self.count] = 0
        self.count = len(rows)

    @property
    def bytes(self) -> int:
        """Memory that the columns take, room to grow included."""
        return sum(values.nbytes for _, values in self._columns())

    def _columns(self) -> list[tuple[str, npt.NDArray[Any]]]:
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return [(name, values) for name, values in named if isinstance(values, np.ndarray)]

    def _resize(self, capacity: int) -> None:
        for name, values in self._columns():
            larger = np.zeros((capacity, *values.shape[1:]), values.dtype, order="F")
            larger[: len(values)] = values
            setattr(self, name, larger)


class KeyIndex:
    """Row numbers by key: open addressing with linear probing, a whole array of keys at a time.

    The keys themselves stay in the caller's column; here are 8 to 16 bytes a key. Rows are numbered from 0 and never
    taken out singly: :meth:`rebuild` starts over.
    """

    def __init__(self) -> None:
        self._slots = np.full(LEAST_SLOTS, NOWHERE, np.int32)
        self._used = 0

    def find(self, keys: U64, column: U64) -> I32:
        """The row of each key, :data:`NOWHERE` for those that have none. ``column`` are the keys by row."""
        rows = np.full(len(keys), NOWHERE, np.int32)
        if not len(column):
            return rows
        # Most keys are where they are looked for first; only of the others a list is kept.
        slots = self._first_slots(keys)
        found = self._slots[slots]
        hit = (found != NOWHERE) & (column[found] == keys)
        rows[hit] = found[hit]
        looking = np.flatnonzero((found != NOWHERE) & ~hit)
        slots = self._next(slots[looking])
        while looking.size:
            found = self._slots[slots]
            taken = found != NOWHERE
            hit = taken & (column[found] == keys[looking])
            rows[looking[hit]] = found[hit]
            further = taken & ~hit
            looking, slots = looking[further], self._next(slots[further])
        return rows

    def add(self, keys: U64, rows: Indices, column: U64) -> None:
        """Remember distinct ``keys`` that are not there yet. ``column`` holds all keys by row, these included."""
        self._used += len(keys)
        if self._used > MOST_FULL * len(self._slots):
            self.rebuild(column[: self._used])
            return
        self._place(keys, rows.astype(np.int32))

    def rebuild(self, column: U64) -> None:
        """Begin anew: row ``i`` has key ``column[i]``."""
        size = LEAST_SLOTS
        while len(column) > MOST_FULL * size:
            size *= 2
        self._slots = np.full(size, NOWHERE, np.int32)
        self._used = len(column)
        self._place(column, np.arange(len(column), dtype=np.int32))

    @property
    def bytes(self) -> int:
        return self._slots.nbytes

    def _place(self, keys: U64, rows: I32) -> None:
        slots = self._first_slots(keys)
        while rows.size:
            free = self._slots[slots] == NOWHERE
            # Several may want one slot: the last to write has it, the others go on to the next.
            self._slots[slots[free]] = rows[free]
            waiting = self._slots[slots] != rows
            rows, slots = rows[waiting], self._next(slots[waiting])

    def _first_slots(self, keys: U64) -> Indices:
        bits = len(self._slots).bit_length() - 1
        return ((keys * _GOLDEN) >> np.uint64(64 - bits)).astype(np.intp)

    def _next(self, slots: Indices) -> Indices:
        return (slots + 1) & (len(self._slots) - 1)
