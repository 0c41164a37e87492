"""Columns of cells to wire bytes and back, with protobuf as the reference for both directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4rt import messages, wire

REGISTER = 381379445


def cells_of(count: int, width: int, seed: int, density: float = 0.5) -> npt.NDArray[np.uint8]:
    """Random cells; in those that are not empty, a random number of leading bytes is 0."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, 256, (count, width), dtype=np.uint8)
    cells[np.arange(width) < random.integers(0, width + 1, (count, 1))] = 0
    cells[random.random(count) >= density] = 0
    return cells


def by_protobuf(responses: list[bytes]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for response in responses:
        for entity in messages.ReadResponse.FromString(response).entities:
            assert entity.register_entry.register_id == REGISTER
            index = entity.register_entry.index.index
            assert index not in found
            found[index] = entity.register_entry.data.bitstring
    return found


def response_of(cells: npt.NDArray[np.uint8], register: int = REGISTER, strip: bool = True) -> bytes:
    """The same answer, built by protobuf, as another switch would."""
    response = messages.ReadResponse()
    for index, row in enumerate(cells):
        value = row.tobytes()
        entry = messages.RegisterEntry(register_id=register, index=messages.Index(index=index))
        entry.data.bitstring = (value.lstrip(b"\x00") or b"\x00") if strip else value
        response.entities.add().register_entry.CopyFrom(entry)
    return response.SerializeToString()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700), st.integers(1, 200), st.integers(0, 2**32))
def test_what_is_encoded_is_what_protobuf_reads(count: int, width: int, seed: int) -> None:
    cells = cells_of(count, width, seed)
    responses = list(wire.encode_register(REGISTER, cells, max_bytes=4096))
    found = by_protobuf(responses)
    assert found == {index: row.tobytes().lstrip(b"\x00") or b"\x00" for index, row in enumerate(cells)}


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700), st.integers(1, 200), st.integers(0, 2**32), st.booleans())
def test_what_protobuf_writes_is_decoded(count: int, width: int, seed: int, strip: bool) -> None:
    cells = cells_of(count, width, seed)
    decoded = wire.decode_register([response_of(cells, strip=strip)], REGISTER, count, width)
    assert np.array_equal(decoded, cells)


def test_a_large_register_comes_in_messages_every_client_takes() -> None:
    cells = cells_of(65536, 32, seed=1)
    responses = list(wire.encode_register(REGISTER, cells))
    assert max(map(len, responses)) < 4 << 20  # gRPC's own limit
    assert np.array_equal(wire.decode_register(responses, REGISTER, 65536, 32), cells)


def test_a_cell_that_looks_like_the_start_of_another_is_only_a_cell() -> None:
    # Given a cell that holds the very bytes an entity of this register starts with
    cells = np.zeros((300, 32), np.uint8)
    start = response_of(np.ones((1, 32), np.uint8))[:12]
    cells[7, 8:20] = np.frombuffer(start, np.uint8)
    # When it is read, then it comes back as it was
    assert np.array_equal(wire.decode_register([response_of(cells)], REGISTER, 300, 32), cells)


def test_cells_in_any_order_are_put_where_they_belong() -> None:
    cells = cells_of(100, 32, seed=2)
    response = messages.ReadResponse.FromString(response_of(cells))
    shuffled = messages.ReadResponse(entities=reversed(response.entities))
    assert np.array_equal(wire.decode_register([shuffled.SerializeToString()], REGISTER, 100, 32), cells)


def test_a_part_of_a_register_keeps_its_indices() -> None:
    cells = cells_of(5, 32, seed=3, density=1)
    found = by_protobuf(list(wire.encode_register(REGISTER, cells, first=1000)))
    assert sorted(found) == [1000, 1001, 1002, 1003, 1004]


@pytest.mark.parametrize(
    ("cells", "register", "message"),
    [
        (np.zeros((9, 4), np.uint8), REGISTER, "9 of 10 cells"),
        (np.zeros((11, 4), np.uint8), REGISTER, "index 10 in a register of 10 cells"),
        (np.zeros((10, 4), np.uint8), REGISTER + 1, "something else than cells of register"),
        (np.full((10, 5), 1, np.uint8), REGISTER, "wider than 4 bytes"),
    ],
)
def test_an_answer_that_is_not_this_register_is_refused(
    cells: npt.NDArray[np.uint8], register: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        wire.decode_register([response_of(cells, register)], REGISTER, 10, 4)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2000))
def test_a_broken_answer_is_refused_or_read_as_protobuf_reads_it(seed: int, at: int) -> None:
    cells = cells_of(60, 32, seed)
    data = bytearray(response_of(cells))
    data[at % len(data)] ^= 1 << seed % 8
    try:
        decoded = wire.decode_register([bytes(data)], REGISTER, 60, 32)
    except ValueError:
        return
    found = by_protobuf([bytes(data)])
    assert decoded.tobytes() == b"".join(found[index].lstrip(b"\x00").rjust(32, b"\x00") for index in range(60))


@pytest.mark.parametrize("keep", [1, 2, 5, 11, 500, -1])
def test_a_truncated_answer_is_refused(keep: int) -> None:
    data = response_of(cells_of(60, 32, seed=4))
    with pytest.raises(ValueError, match=r"no ReadResponse|of 60 cells"):
        wire.decode_register([data[:keep]], REGISTER, 60, 32)


def test_no_answer_at_all_is_no_register() -> None:
    with pytest.raises(ValueError, match="0 of 10 cells"):
        wire.decode_register([], REGISTER, 10, 4)
