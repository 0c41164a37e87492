"""Recorded traffic for the simulator: what flows sent from round to round while a decider recorded it. Pure but for
reading the stream it is given."""

from __future__ import annotations

from typing import IO

import numpy as np
from ezpath.samples import decode_sample

from ezpath_decider.columns import F32, U64
from ezpath_decider.directory import Directory
from ezpath_decider.recording import RecordingError, directory_in, messages
from ezpath_decider.series import Series
from ezpath_decider.sim.traffic import Second


class Recorded:
    """A recording's samples as traffic. What was decided then is not looked at."""

    directory: Directory
    interval_s: float
    """Mean time between rounds."""
    seconds: float
    """From the first round to the last."""

    def __init__(self, stream: IO[bytes]) -> None:
        told = messages(stream)
        self.directory = directory_in(next(told))
        series = Series(self.directory)
        self._seconds: list[Second] = []
        times: list[float] = []
        for kind, *values in told:
            if kind == "sample":
                series.add(decode_sample(values[1]), values[0])
            elif kind == "inventory":
                raise RecordingError(
                    "endpoints came or went while it was recorded: it can be replayed, but is no traffic for others. "
                    "Record again while they stay"
                )
            elif kind == "round":
                times.append(values[0])
                series.round(times[-1])
                if len(times) > 1:
                    self._seconds.append(_sent(series, times[-1] - times[-2]))
        if len(times) < 2:
            raise RecordingError("the recording has fewer than two rounds: there is no traffic in it")
        self.seconds = times[-1] - times[0]
        self.interval_s = self.seconds / (len(times) - 1)
        self._series, self._next = series, 0

    def all_flows(self) -> U64:
        """Every flow there was."""
        rows = self._series.rows
        return rows.key[: rows.count]

    def next(self) -> Second:
        """The next interval; nothing is sent after the end."""
        number, self._next = self._next, self._next + 1
        return self._seconds[number] if number < len(self._seconds) else Second(*_NOTHING)


_NOTHING = np.zeros(0, np.uint64), np.zeros(0, np.float32), np.zeros(0, np.float32)


def _sent(series: Series, seconds: float) -> Second:
    rows, used = series.rows, series.rows.count
    here = np.arange(used)
    packets: F32 = rows.packet_history[here, rows.newest[:used]] * np.float32(seconds) * series.fresh
    octets: F32 = rows.octet_history[here, rows.newest[:used]] * np.float32(seconds) * series.fresh
    active = np.flatnonzero(packets >= 1)
    return Second(rows.key[active].copy(), packets[active], octets[active])
