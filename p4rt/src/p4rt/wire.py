"""Register and counter reads as columns, to and from the bytes on the wire.

A wildcard read of a register answers with one message of four levels for each cell. Touching 65,536 of those
through protobuf takes the better part of a second in Python; here the levels are walked for all cells at once
with NumPy. What does not look the way every known switch writes it is left to protobuf, slow but right.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt

from p4rt import messages

RegisterCells = npt.NDArray[np.uint8]
"""All cells of a register: shape (cells, width in bytes), each row big endian."""

_Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]
_Group = tuple[_Ints, _Bytes]
"""Indices of cells, and their values, a row each."""

# Tags (field number << 3 | 2) on the way down to a cell's value.
_ENTITIES, _REGISTER_ENTRY, _ID, _INDEX, _DATA, _BITSTRING = 0x0A, 0x5A, 0x08, 0x12, 0x1A, 0x0A
_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_PADDING = 32  # zero bytes behind the buffer, so that a walk over bad data stays inside it


_SHORT_RUN = 64
_FEW_RUNS = 32  # more than so many short runs: the cells do not come in runs


class _Unusual(Exception):
    """Well-formed perhaps, but not laid out as expected."""


def decode_register(responses: list[bytes], register_id: int, cells: int, width_bytes: int) -> RegisterCells:
    """The cells of one register from the bytes of all ``p4.v1.ReadResponse`` messages.

    Raises ``ValueError`` where they are not exactly the ``cells`` cells of register ``register_id``.
    """
    data = b"".join(responses)  # concatenated messages are one message with all their entities
    for read in (_runs, _walk):
        try:
            groups = list(read(data, register_id))
        except _Unusual:
            continue
        if all(values.shape[1] <= width_bytes for _, values in groups):
            return _placed(groups, cells, width_bytes)
    return _decode_slowly(data, register_id, cells, width_bytes)


def _placed(groups: list[_Group], cells: int, width_bytes: int) -> RegisterCells:
    """Each value at its index."""
    _check_indices(np.concatenate([np.zeros(0, np.int64), *(index for index, _ in groups)]), cells)
    found = np.zeros((cells, width_bytes), np.uint8)
    for index, values in groups:
        found[:, width_bytes - values.shape[1] :][index] = values
    return found


def _runs(data: bytes, register_id: int) -> Iterator[_Group]:
    """Cells that follow each other and whose messages have the same lengths, as :func:`encode_register` writes them.

    They are rows of one array then, and all that is not index or value has to be the same in every row.
    """
    column = np.frombuffer(data, np.uint8)
    identity = bytes([_ID]) + encode_varint(register_id)
    at = cells = 0
    for number in count(1):
        if at >= column.size:
            return
        if number > _FEW_RUNS and cells < number * _SHORT_RUN:
            raise _Unusual
        size = 2 + int(column[at + 1]) if at + 1 < column.size else 0
        rows = column[at : at + (column.size - at) // max(1, size) * size].reshape(-1, max(1, size))
        index_at, value_at = _places(bytes(rows[0]) if len(rows) else b"", identity)
        index, values = _run(rows, index_at, value_at)
        yield index, values
        at += size * len(index)
        cells += len(index)


def _places(entity: bytes, identity: bytes) -> tuple[slice, int]:
    """Where in an entity the index stands, and where the value begins."""
    index_at = 4 + len(identity) + 2
    if len(entity) < index_at + 4 or entity[4 : index_at - 1] != identity + bytes([_INDEX]):
        raise _Unusual
    index_end = index_at + entity[index_at - 1]
    begin = min(index_at + 1, index_end)  # behind the tag of Index.index, which is left out for 0
    value_at = index_end + 4
    if value_at >= len(entity):
        raise _Unusual
    value_size = len(entity) - value_at
    expected = delimited(bytes([_DATA]), delimited(bytes([_BITSTRING]), bytes(value_size)))
    entry = identity + bytes([_INDEX, index_end - index_at]) + entity[index_at:index_end] + expected
    if delimited(bytes([_ENTITIES]), delimited(bytes([_REGISTER_ENTRY]), entry))[:-value_size] != entity[:value_at]:
        raise _Unusual
    if begin < index_end and entity[index_at] != _ID:
        raise _Unusual
    return slice(begin, index_end), value_at


def _run(rows: _Bytes, at: slice, value_at: int) -> _Group:
    """Index and value of the rows that are as the first one, up to the first that is not."""
    window = _SHORT_RUN
    while True:
        some = rows[:window]
        # A column at a time: NumPy is quick along the long side.
        same = np.ones(len(some), bool)
        for place in (*range(at.start), *range(at.stop, value_at)):
            same &= some[:, place] == some[0, place]
        for place in range(at.start, at.stop):
            same &= (some[:, place] >= 0x80) == (place < at.stop - 1)
        length = len(some) if same.all() else int(same.argmin())
        if length < len(some) or len(some) == len(rows):
            break
        window *= 8
    if length == 0:
        raise _Unusual
    index = np.zeros(length, np.int64)
    for place in range(at.stop - at.start):
        index |= (rows[:length, at.start + place].astype(np.int64) & 0x7F) << (7 * place)
    return index, rows[:length, value_at:]


def _walk(data: bytes, register_id: int) -> Iterator[_Group]:
    """Cells whose messages have various lengths, level by level for all at once; in groups of values as long."""
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
    for size in np.unique(length):
        rows = np.nonzero(length == size)[0]
        yield index[rows], column[at[rows, None] + np.arange(size)]


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
    seen = np.zeros(cells, bool)
    seen[index] = True
    found = int(seen.sum())
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
    """``p4.v1.ReadResponse`` messages, each of at most about ``max_bytes``, for the cells from ``first`` on.

    Cells whose messages have the same lengths follow each other: what they have in common is written once for all.
    (The order of entities in an answer means nothing; each cell has its index.)
    """
    count, width = cells.shape
    index = np.arange(first, first + count)
    value_size = np.where(cells.any(axis=1), width - (cells != 0).argmax(axis=1), 1)
    index_size = _varint_sizes(index)
    shape = value_size * 8 + index_size
    order = np.argsort(shape, kind="stable")
    parts: list[bytes] = []
    size = 0
    for rows in np.split(order, np.flatnonzero(np.diff(shape[order])) + 1):
        if rows.size == 0:
            continue
        same = _same_shape(register_id, index[rows], int(index_size[rows[0]]), cells[rows], int(value_size[rows[0]]))
        step = max(1, max_bytes // same.shape[1])
        for start in range(0, len(same), step):
            parts.append(same[start : start + step].tobytes())
            size += len(parts[-1])
            if size >= max_bytes:
                yield b"".join(parts)
                parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _same_shape(register_id: int, index: _Ints, index_size: int, cells: RegisterCells, value_size: int) -> _Bytes:
    """Entities as rows, for cells whose indices and values are of these lengths."""
    sample = bytes([_ID]) + bytes(index_size) if index_size else b""
    head = bytes([_ID]) + encode_varint(register_id) + delimited(bytes([_INDEX]), sample)
    data = delimited(bytes([_DATA]), delimited(bytes([_BITSTRING]), bytes(value_size)))
    entry = delimited(bytes([_REGISTER_ENTRY]), head + data)
    entity = delimited(bytes([_ENTITIES]), entry)
    found = np.empty((len(cells), len(entity)), np.uint8)
    found[:] = np.frombuffer(entity, np.uint8)
    at = len(entity) - len(data) - index_size
    for place in range(index_size):
        more = 0x80 if place < index_size - 1 else 0
        found[:, at + place] = index >> (7 * place) & 0x7F | more
    found[:, len(entity) - value_size :] = cells[:, cells.shape[1] - value_size :]
    return found


def _varint_sizes(values: _Ints) -> _Ints:
    """Bytes each value takes; 0 for 0, which protobuf does not write."""
    sizes = np.zeros(values.shape, np.int64)
    for shift in range(0, 35, 7):
        sizes += values >> shift > 0
    return sizes


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field with a length."""
    size = len(data)
    return tag + (_ONE_BYTE[size] if size < 0x80 else encode_varint(size)) + data


def encode_varint(value: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
