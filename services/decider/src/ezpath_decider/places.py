"""Where each flow is, and since when: what the sagas say, as columns beside the series.

Pure. Only flows that were ever moved have a record here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ezpath_decider.columns import F64, I32, NOWHERE, U8, U16, U32, U64, Indices, KeyIndex, Rows, column
from ezpath_decider.directory import renumbered
from ezpath_decider.series import Series

UNKNOWN = 0xFFFFFFFF
"""Rounds, where the flow's series are somebody else's and have not been seen yet."""
OVERLAY, ARRIVING, ON_SWITCH, LEAVING = 0, 1, 2, 3


@dataclass(slots=True)
class _PlaceRows(Rows):
    flow: U64 = column(np.uint64)
    state: U8 = column(np.uint8)
    entered_at: F64 = column(np.float64)
    rounds: U32 = column(np.uint32)
    """Of the series, when the state was entered."""
    failures: U16 = column(np.uint16)
    """Rolled back so many times in a row."""


class Record(NamedTuple):
    """A part of one flow's record."""

    rounds: int
    failures: int


@dataclass(slots=True)
class Places:
    """Records of moved flows by key. All calls take whole arrays of flows."""

    rows: _PlaceRows = field(default_factory=_PlaceRows)
    _index: KeyIndex = field(default_factory=KeyIndex)

    def enter(self, flows: U64, state: int, at: float | F64, series: Series, failed: bool = False) -> None:
        """``flows`` (each once) are in ``state`` from ``at`` on. ``failed``: they were on their way and went back."""
        if not len(flows):
            return
        rows, here = self.rows, self._rows_of(flows)
        rows.state[here] = state
        rows.entered_at[here] = at
        rows.rounds[here] = _rounds(series, flows, float(np.max(at)))
        if failed:
            rows.failures[here] += rows.failures[here] < 0xFFFF
        elif state == ON_SWITCH:
            rows.failures[here] = 0

    def put(self, flows: U64, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Records as somebody else has them; each flow once."""
        here = self._rows_of(flows)
        for name, values in columns.items():
            getattr(self.rows, name)[here] = values

    def settle(self, series: Series) -> None:
        """The series came from others: rounds that were not known are now; whose series began anew, stays anew."""
        records, rows = self.beside(series)
        real = rows < (series.gathered or 0)
        records, rows = records[real], rows[real]
        anew = self.rows.rounds[records] > series.rows.rounds[rows]
        now = series.rows.rounds[rows] - series.fresh[rows]
        self.rows.rounds[records[anew]] = now[anew]

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return self.rows.bytes + self._index.bytes

    def beside(self, series: Series) -> tuple[Indices, Indices]:
        """The records that have a row in ``series``: their own numbers, and those of the rows."""
        found = series.find(self.rows.flow[: self.rows.count])
        return np.flatnonzero(found != NOWHERE), found[found != NOWHERE].astype(np.intp)

    def record(self, flow: int) -> Record | None:
        """Of one flow, None where it never moved."""
        (row,) = self._index.find(np.array([flow], np.uint64), self.rows.flow[: self.rows.count])
        return None if row == NOWHERE else Record(int(self.rows.rounds[row]), int(self.rows.failures[row]))

    def moved(self) -> U64:
        """The flows that are not simply in the overlay."""
        used = slice(0, self.rows.count)
        return cast(U64, self.rows.flow[used][self.rows.state[used] != OVERLAY])

    def adopt(self, numbers: I32) -> None:
        """Endpoints have other numbers; see :func:`~ezpath_decider.directory.succeed`."""
        rows = self.rows
        kept, keys = renumbered(rows.flow[: rows.count], numbers)
        rows.keep(kept)
        rows.flow[: rows.count] = keys
        self._index.rebuild(rows.flow[: rows.count])

    def _rows_of(self, flows: U64) -> Indices:
        found = self._index.find(flows, self.rows.flow[: self.rows.count])
        missing = flows[found == NOWHERE]
        if len(missing):
            new = self.rows.add(len(missing))
            self.rows.flow[new] = missing
            self._index.add(missing, new, self.rows.flow[: self.rows.count])
            found = self._index.find(flows, self.rows.flow[: self.rows.count])
        return found.astype(np.intp)

    def forget(self, now: float, after_s: float) -> None:
        """Forget flows that have been back in the overlay for so long."""
        rows = self.rows
        old = (rows.state[: rows.count] == OVERLAY) & (now - rows.entered_at[: rows.count] > after_s)
        if np.count_nonzero(old) > rows.count // 4:
            rows.keep(np.flatnonzero(~old))
            self._index.rebuild(rows.flow[: rows.count])


def _rounds(series: Series, flows: U64, now: float) -> U32:
    """Of each flow, so far."""
    if series.gathered is None:
        here = series.rows_of(flows, now)  # first: the columns may grow for it
        return series.rows.rounds[here]
    found = series.find(flows)
    known = (found != NOWHERE) & (found < series.gathered)
    rounds = np.full(len(flows), UNKNOWN, np.uint32)
    rounds[known] = series.rows.rounds[found[known]]
    return rounds
