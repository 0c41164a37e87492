"""Columns as bytes, for what deciders that share the work say to each other.

Pure. Msgpack around packed little-endian columns, as samples have them; both sides are of one version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
from ezpath.malformed import MalformedEvent

VERSION = 1
Columns = Mapping[str, npt.NDArray[Any]]


def pack(kind: str, fields: Mapping[str, Any], columns: Columns) -> bytes:
    packed = {
        name: (values.dtype.newbyteorder("<").str, list(values.shape), np.ascontiguousarray(values).tobytes())
        for name, values in columns.items()
    }
    data: bytes = msgpack.packb({"v": VERSION, "type": kind, **fields, "columns": packed})
    return data


def unpack(data: bytes, kind: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Raises :class:`MalformedEvent`."""
    try:
        body = msgpack.unpackb(data)
        if body["type"] != kind or body["v"] != VERSION:
            raise MalformedEvent(f"{body['type']} of version {body['v']}, where {kind} of {VERSION} is expected")
        columns = {
            name: np.frombuffer(values, np.dtype(dtype)).reshape(shape)
            for name, (dtype, shape, values) in body.pop("columns").items()
        }
    except MalformedEvent:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack and NumPy raise half a dozen unrelated classes
        raise MalformedEvent(f"no {kind}: {error}") from None
    return body, columns
