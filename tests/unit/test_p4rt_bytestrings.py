"""Byte strings, against the tables of the P4Runtime specification ("Bytestrings") and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4rt import bytestrings


@pytest.mark.parametrize(
    ("width", "data", "value"),
    [
        (8, b"\x63", 99),
        (16, b"\x00\x63", 99),
        (16, b"\x63", 99),
        (16, b"\x30\x64", 12388),
        (16, b"\x00\x30\x64", 12388),
        (12, b"\x00\x00\x63", 99),
    ],
)
def test_what_the_specification_calls_valid_is_read(width: int, data: bytes, value: int) -> None:
    assert bytestrings.decode(data, width) == value


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (8, b"\x01\x63"),
        (8, b""),
        (16, b"\x01\x00\x63"),
        (12, b"\x10\x63"),
        (12, b"\x01\x00\x63"),
        (12, b"\x00\x40\x63"),
    ],
)
def test_what_the_specification_calls_invalid_is_refused(width: int, data: bytes) -> None:
    with pytest.raises(bytestrings.OutOfRange):
        bytestrings.decode(data, width)


@given(st.integers(1, 512).flatmap(lambda width: st.tuples(st.just(width), st.integers(0, 2**width - 1))))
def test_every_value_comes_back_from_its_shortest_string(case: tuple[int, int]) -> None:
    width, value = case
    data = bytestrings.encode(value, width)
    assert bytestrings.decode(data, width) == value
    assert len(data) == 1 or data[0] != 0


@given(st.integers(1, 128), st.binary(min_size=1, max_size=20), st.integers(0, 5))
def test_leading_zeros_change_nothing(width: int, data: bytes, zeros: int) -> None:
    try:
        value = bytestrings.decode(data, width)
    except bytestrings.OutOfRange:
        with pytest.raises(bytestrings.OutOfRange):
            bytestrings.decode(bytes(zeros) + data, width)
    else:
        assert bytestrings.decode(bytes(zeros) + data, width) == value


@pytest.mark.parametrize("value", [-1, 256, 2**64])
def test_a_value_that_does_not_fit_is_not_encoded(value: int) -> None:
    with pytest.raises(bytestrings.OutOfRange, match="does not fit in 8 bits"):
        bytestrings.encode(value, 8)
