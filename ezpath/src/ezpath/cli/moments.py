"""Moments as people give them: so long ago, a time of day, or a date. Pure: what "now" is comes with the question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as time_of_day

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration_s(text: str) -> float | None:
    """``90s``, ``10m``, ``1h30m``, ``2d`` in seconds; None for what is no duration."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the three is given."""

    ago_s: float | None = None
    of_day: time_of_day | None = None
    at: float | None = None
    """Unix time."""

    def before(self, end: float) -> float:
        """As Unix time, seen from ``end``; a time of day is the last one that was."""
        if self.at is not None:
            return self.at
        if self.ago_s is not None:
            return end - self.ago_s
        assert self.of_day is not None
        last = datetime.fromtimestamp(end, self.of_day.tzinfo)
        found = datetime.combine(last.date(), self.of_day)
        return (found if found.timestamp() <= end else found - timedelta(days=1)).timestamp()


def moment(text: str) -> Moment:
    """``10m``, ``03:10``, ``03:10:05.5``, ``2026-11-28``, ``2026-11-28T03:10``, ``…Z``. Local time, where no zone
    is said.

    Raises ValueError saying what may be given.
    """
    if (ago_s := duration_s(text)) is not None:
        return Moment(ago_s=ago_s)
    try:
        if ":" in text and "-" not in text.split(":")[0]:
            return Moment(of_day=time_of_day.fromisoformat(text))
        return Moment(at=datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no moment: give how long ago, such as 90s, 10m or 1h30m, a time of day, such as 03:10, "
            "or a date, such as 2026-11-28T03:10"
        ) from None
