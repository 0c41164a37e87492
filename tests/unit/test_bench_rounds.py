"""Interleaved rounds and their ratios: what makes two figures of one run comparable."""

from __future__ import annotations

import pytest
from ezpath_bench.rounds import Spread, interleaved, ratios


def test_each_candidate_runs_once_a_round_and_every_second_round_backwards() -> None:
    ran = [(number, name) for number, name, _ in interleaved({"a": lambda: 1.0, "b": lambda: 2.0}, 3)]

    assert ran == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that became twice as slow between two rounds leaves the ratio as it was."""
    against = ratios({"base": [100.0, 50.0, 80.0], "ours": [90.0, 45.0, 88.0]}, "base")

    assert against["base"] == Spread(1.0, 1.0, 1.0, 3)
    assert against["ours"] == Spread(0.9, 0.9, 1.1, 3)


def test_a_spread_is_median_least_and_greatest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)


def test_no_rounds_have_no_median() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        Spread.of([])
