"""A strategy's reason for one flow, in words. Pure."""

from __future__ import annotations

from ezpath_decider.candidates import Candidates
from ezpath_decider.strategy import Selection

_MEGA = {"mbit_s": "bits_s", "mbit_mean": "bits_mean"}
COLUMNS = ("bits_s", "bits_mean", "packets_s", "packets_mean", "importance", "burstiness", "age_s", "since_s")
"""What a reason may name, besides ``mbit_s``, ``mbit_mean``, ``score`` and the selection's own numbers."""


class _Row(dict[str, float]):
    """One row's columns, looked up when a text names them."""

    def __init__(self, candidates: Candidates, row: int, known: dict[str, float]) -> None:
        super().__init__(known)
        self._candidates, self._row = candidates, row

    def __missing__(self, name: str) -> float:
        if name in _MEGA:
            return self[_MEGA[name]] / 1e6
        if name not in COLUMNS:
            raise KeyError(name)
        return float(getattr(self._candidates, name)[self._row])


def words(selection: Selection, candidates: Candidates, row: int) -> str:
    """The reason of ``row`` with its numbers filled in; as it stands where it names columns that there are not."""
    text: str = selection.reasons[selection.why[row]]
    known = {**selection.numbers, "score": float(selection.score[row])}
    try:
        return text.format_map(_Row(candidates, row, known))
    except (KeyError, ValueError, IndexError):
        return text
