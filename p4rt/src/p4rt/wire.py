"""Register and counter reads as columns, to and from the bytes on the wire.

A wildcard read of a register answers with one message of four levels for each cell. Touching 65,536 of those
through protobuf takes the better part of a second in Python; here the levels are walked for all cells at once
with NumPy. What does not look the way every known switch writes it is left to protobuf, slow but right.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from p4rt import messages

RegisterCells = npt.NDArray[np.uint8]
"""All cells of a register: shape (cells, width in bytes), each row big endian."""

_Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]

# Tags (field number << 3 | 2) on the way down to a cell's value.
_ENTITIES, _REGISTER_ENTRY, _ID, _INDEX, _DATA, _BITSTRING = 0x0A, 0x5A, 0x08, 0x12, 0x1A, 0x0A
_PADDING = 32  # zero bytes behind the buffer, so that a walk over bad data stays inside it


class _Unusual(Exception):
    """Well-formed perhaps, but not laid out as expected."""


def decode_register(responses: list[bytes], register_id: int, cells: int, width_bytes: int) -> RegisterCells:
    """The cells of one register from the bytes of all ``p4.v1.ReadResponse`` messages.

    Raises ``ValueError`` where they are not exactly the ``cells`` cells of register ``register_id``.
    """
    data = b"".join(responses)  # concatenated messages are one message with all their entities
    try:
        index, column, start, length = _walk(data, register_id)
        if length.size and int(length.max()) > width_bytes:
            raise _Unusual
    except _Unusual:
        return _decode_slowly(data, register_id, cells, width_bytes)
    _check_indices(index, cells)
    found = np.zeros((cells, width_bytes), np.uint8)
    for size in np.unique(length):
        rows = np.nonzero(length == size)[0]
        if size == 1:  # mostly empty cells
            found[index[rows], -1] = column[start[rows]]
        else:
            found[index[rows], width_bytes - size :] = column[start[rows, None] + np.arange(size)]
    return found


def _walk(data: bytes, register_id: int) -> tuple[_Ints, _Bytes, _Ints, _Ints]:
    """Index, and place and length of the value, of each cell; with the padded buffer they point into."""
    column = np.frombuffer(data + bytes(_PADDING), np.uint8)
    identity = bytes([_ID]) + encode_varint(register_id)
    start, end = _entities(column, len(data), identity)
    _ends(start + 4 + column[start + 3], end)  # the RegisterEntry is all there is in the entity
    at = _expect(column, start + 4 + len(identity), _INDEX)
    length, at = _varint(column, at)
    index = np.zeros(at.shape, np.int64)
    given = length > 0  # index 0 is protobuf's default, and not written
    index[given], after = _varint(column, _expect(column, at[given], _ID))
    at = at + length
    _ends(after, at[given])
    length, at = _varint(column, _expect(column, at, _DATA))
    _ends(at + length, end)
    length, at = _varint(column, _expect(column, at, _BITSTRING))
    _ends(at + length, end)
    return index, column, at, length


def _entities(column: _Bytes, size: int, identity: bytes) -> tuple[_Ints, _Ints]:
    """Where each entity of a ReadResponse starts (at its tag) and ends.

    All places are taken that look like the start of an entity with a RegisterEntry of this ``identity``. That
    they are the starts follows when they make a chain from the first byte to the last. (A cell's value can look
    like one as well. Then they do not.)
    """
    start = np.flatnonzero(column[2:size] == _REGISTER_ENTRY)
    start = start[column[start] == _ENTITIES]
    for place, byte in enumerate(identity, 4):
        start = start[column[np.minimum(start + place, size)] == byte]
    # Entities of 128 bytes and more (cells of 900 bits) have longer lengths, and make no chain either.
    end = start + 2 + column[start + 1]
    if start.size == 0:
        if size:
            raise _Unusual
    elif start[0] != 0 or end[-1] != size or not np.array_equal(start[1:], end[:-1]):
        raise _Unusual
    return start, end


def _ends(at: _Ints, end: _Ints) -> None:
    if not np.array_equal(at, end):
        raise _Unusual


def _expect(column: _Bytes, at: _Ints, tag: int) -> _Ints:
    if at.size and int(at.max()) >= column.size - _PADDING // 2:
        raise _Unusual
    if not np.all(column[at] == tag):
        raise _Unusual
    return at + 1


def _varint(column: _Bytes, at: _Ints) -> tuple[_Ints, _Ints]:
    """The variable-length integers (up to 35 bits) at ``at``, and where each ends."""
    value = np.zeros(at.shape, np.int64)
    more = np.ones(at.shape, bool)
    for shift in range(0, 35, 7):
        byte = column[at].astype(np.int64)
        value |= np.where(more, (byte & 0x7F) << shift, 0)
        at = at + more
        more = more & (byte >= 0x80)
        if not more.any():
            return value, at
    raise _Unusual


def _check_indices(index: _Ints, cells: int) -> None:
    if index.size and not 0 <= int(index.min()) <= int(index.max()) < cells:
        raise ValueError(f"a cell with index {int(index.max())} in a register of {cells} cells")
    found = int(np.unique(index).size)
    if found != cells:
        raise ValueError(f"{found} of {cells} cells")


def _decode_slowly(data: bytes, register_id: int, cells: int, width_bytes: int) -> RegisterCells:
    try:
        response = messages.ReadResponse.FromString(data)
    except Exception as error:
        raise ValueError(f"no ReadResponse: {error}") from error
    found = np.zeros((cells, width_bytes), np.uint8)
    indices = []
    for entity in response.entities:
        entry = entity.register_entry
        if not entity.HasField("register_entry") or entry.register_id != register_id:
            raise ValueError(f"something else than cells of register id {register_id}")
        value = entry.data.bitstring.lstrip(b"\x00")
        if len(value) > width_bytes:
            raise ValueError(f"cell {entry.index.index} is wider than {width_bytes} bytes")
        indices.append(entry.index.index)
        if 0 <= entry.index.index < cells:
            found[entry.index.index, width_bytes - len(value) :] = np.frombuffer(value, np.uint8)
    _check_indices(np.array(indices, np.int64), cells)
    return found


def encode_register(
    register_id: int, cells: RegisterCells, first: int = 0, max_bytes: int = 512 << 10
) -> Iterator[bytes]:
    """``p4.v1.ReadResponse`` messages, each of at most about ``max_bytes``, for the cells from ``first`` on."""
    count, width = cells.shape
    heads, empty = _templates(register_id, first, count)
    entities = list(empty)
    raw = np.ascontiguousarray(cells).tobytes()
    frames: dict[tuple[int, int], tuple[bytes, bytes]] = {}
    for row in np.nonzero(cells.any(axis=1))[0].tolist():
        value = raw[row * width : (row + 1) * width].lstrip(b"\x00")
        head = heads[row]
        sizes = (len(head), len(value))
        if sizes not in frames:
            frames[sizes] = _frame(*sizes)
        before, between = frames[sizes]
        entities[row] = before + head + between + value
    step = max(1, max_bytes // (width + 32))
    for start in range(0, count, step):
        yield b"".join(entities[start : start + step])


@lru_cache(maxsize=64)
def _templates(register_id: int, first: int, count: int) -> tuple[list[bytes], list[bytes]]:
    """For each cell: its id and index as they stand in a RegisterEntry, and the whole entity when it is 0."""
    identity = b"\x08" + encode_varint(register_id)
    heads, empty = [], []
    for index in range(first, first + count):
        inner = b"\x08" + encode_varint(index) if index else b""
        head = identity + b"\x12" + encode_varint(len(inner)) + inner
        before, between = _frame(len(head), 1)
        heads.append(head)
        empty.append(before + head + between + b"\x00")
    return heads, empty


def _frame(head: int, value: int) -> tuple[bytes, bytes]:
    """The bytes before the head and between head and value, for a head and a value of these lengths."""
    bitstring = bytes([_BITSTRING]) + encode_varint(value)
    between = bytes([_DATA]) + encode_varint(len(bitstring) + value) + bitstring
    entry = bytes([_REGISTER_ENTRY]) + encode_varint(head + len(between) + value)
    return bytes([_ENTITIES]) + encode_varint(len(entry) + head + len(between) + value) + entry, between


def encode_varint(value: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
