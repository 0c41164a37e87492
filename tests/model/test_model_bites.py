"""The explorer notices: each of a list of deliberate mistakes breaks the invariant that it ought to break."""

from __future__ import annotations

import pytest
from model.broken import Broken
from model.explorer import Explorer
from model.mutations import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.breaks}: {mutation.name}")
def test_given_a_mistake_then_the_invariant_falls(mutation: Mutation) -> None:
    with mutation.made(), pytest.raises(Broken) as broken:
        Explorer(mutation.scenario(), mutation.faults, mutation.switch, mutation.host).run()
    assert broken.value.invariant == mutation.breaks, str(broken.value)


def test_given_the_mistakes_then_every_invariant_has_one_that_breaks_it() -> None:
    assert {mutation.breaks for mutation in MUTATIONS} == {"I1", "I2", "I3", "I4", "I5", "I6"}
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 12
