"""Which flows' answers changed in a round, and are therefore worth keeping.

Pure. Looks only at flows that are on the switches, chosen, or wanted without room: so many as the tables have room for,
however many flows there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from ezpath_decider.columns import U64
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Round
from ezpath_decider.places import OVERLAY

KEPT_A_ROUND = 50
"""Accounts of one round. Moves first; of the others those with the highest score."""
MOST_WITHOUT_ROOM = 50_000
"""Where more than so many flows want in, that they do is no news about any of them."""
_WITHOUT_ROOM = np.uint64(1)
_ELSEWHERE = np.uint64(0)
"""The answer about a flow that nobody looks at."""


@dataclass(slots=True)
class Changes:
    """Remembers the last answers; one call a round."""

    _flows: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    """In ascending order, and beside them the answers."""
    _answers: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    _directory: Directory | None = None
    """Whose numbers the flows are made of."""

    def changed(self, decided: Round) -> list[int]:
        """The flows whose answer is another one than in the round before; at most :data:`KEPT_A_ROUND`."""
        flows, answers = _answers(decided)
        order = np.argsort(flows)
        flows, answers = flows[order], answers[order]
        if decided.candidates.directory is not self._directory:
            self._directory, self._flows, self._answers = decided.candidates.directory, flows[:0], answers[:0]
        new = flows[_at(flows, self._flows, self._answers) != answers]
        gone = self._flows[_at(self._flows, flows, answers) == _ELSEWHERE]
        self._flows, self._answers = flows, answers
        candidates, moves = decided.candidates, decided.moves
        moved = candidates.flow[np.concatenate([moves.offload, moves.revert])]
        rest = np.setdiff1d(np.concatenate([new, gone]), moved)
        rows = candidates.series.find(rest)
        best = np.argsort(-decided.selection.score[rows[rows >= 0]], kind="stable")
        return [int(flow) for flow in np.concatenate([moved, rest[rows >= 0][best]])[:KEPT_A_ROUND]]


def _answers(decided: Round) -> tuple[U64, U64]:
    """Flows that matter, and a number that is another one where the answer is: state, choice, and the reason's text."""
    candidates, selection = decided.candidates, decided.selection
    texts = np.array([crc32(text.encode()) for text in selection.reasons], np.uint64)
    matters = selection.chosen | (candidates.state != OVERLAY)
    without_room = selection.no_room
    if without_room is not None and np.count_nonzero(without_room) <= MOST_WITHOUT_ROOM:
        matters |= without_room
    rows = np.flatnonzero(matters)
    said = texts[selection.why[rows]]
    if without_room is not None:
        said[without_room[rows]] = _WITHOUT_ROOM  # which of the limits it was is another one each round
    state = candidates.state[rows].astype(np.uint64) * np.uint64(2) + selection.chosen[rows] + np.uint64(1)
    return candidates.flow[rows], said << np.uint64(4) | state


def _at(flows: U64, known: U64, answers: U64) -> U64:
    """The answer about each of ``flows`` among the ``known``, :data:`_ELSEWHERE` for the others."""
    if not len(known):
        return np.zeros(len(flows), np.uint64)
    place = np.minimum(np.searchsorted(known, flows), len(known) - 1)
    return np.where(known[place] == flows, answers[place], _ELSEWHERE)
