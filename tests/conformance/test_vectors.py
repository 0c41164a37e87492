"""Every vector on every switch: the same bytes out of the same ports, and the same drops counted."""

from __future__ import annotations

import pytest
from conformance.target import Target
from conformance.vector import Vector
from conformance.vectors import VECTORS

pytestmark = pytest.mark.root


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector(loaded: Target, vector: Vector) -> None:
    loaded.install(vector.tables)

    outcome = loaded.observe(vector.sent)

    assert outcome == vector.expected


def test_names_are_unique() -> None:
    names = [vector.name for vector in VECTORS]

    assert sorted(set(names)) == sorted(names)
