"""Every interleaving of two sagas, with faults at every step: I1 to I6 in each state, and an end from each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from model.bounds import IN_A_TEST_RUN, Bound
from model.explorer import Explorer


@pytest.mark.parametrize("bound", IN_A_TEST_RUN, ids=str)
@pytest.mark.timeout(600)
def test_given_any_interleaving_and_any_faults_then_every_invariant_holds(
    bound: Bound, tell: Callable[[object], None]
) -> None:
    explored = Explorer(bound.scenario(), bound.faults, bound.switch, bound.host).run()
    tell(explored)
    assert explored.ends, "it never comes to rest"
