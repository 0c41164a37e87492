"""Generations: which command is the newest word on an item."""

from __future__ import annotations

import pytest
from ezpath.generations import Generations


def test_only_older_ones_are_stale() -> None:
    generations = Generations()
    generations.record("x", 5)
    assert [generations.is_stale("x", generation) for generation in (4, 5, 6)] == [True, False, False]
    assert not generations.is_stale("y", 1)


def test_an_older_word_does_not_replace_a_newer_one() -> None:
    generations = Generations()
    generations.record("x", 5)
    generations.record("x", 3)
    assert generations.of("x") == 5


def test_an_adopted_state_speaks_about_every_item() -> None:
    generations = Generations()
    generations.record("old", 5)
    generations.record("new", 9)
    generations.adopt(7)
    assert [generations.of(key) for key in ("old", "new", "never seen")] == [7, 9, 7]
    assert generations.is_stale("never seen", 6)
    assert generations.newest == 9


def test_what_agrees_with_the_newest_word_is_not_stale() -> None:
    generations = Generations()
    generations.adopt(7)
    generations.record("x", 8)
    assert not generations.is_stale("x", 6, agrees=True)
    assert generations.is_stale("x", 6, agrees=False)


@pytest.mark.parametrize("floor", [0, 3, 6])
def test_an_older_state_is_not_adopted_over_a_newer_one(floor: int) -> None:
    generations = Generations()
    generations.adopt(7)
    generations.adopt(floor)
    assert generations.floor == 7
