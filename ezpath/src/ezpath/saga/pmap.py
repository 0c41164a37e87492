"""A mapping that is never changed: a new one shares almost everything with the old. Pure.

Each transition of the saga makes a new world; with thousands of pairs, copying a whole dict for it would be most of
the work. Keys are spread over rows by a hash that is the same in every process, so that runs can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar, overload
from zlib import crc32

K = TypeVar("K", bound=str)
V = TypeVar("V")
D = TypeVar("D")

_ROWS = 64
_NO_ROWS: tuple[dict[Any, Any], ...] = ({},) * _ROWS


class PMap(Mapping[K, V]):
    """Made empty or of pairs; :meth:`put` and :meth:`without` give new ones."""

    __slots__ = ("_rows", "_size")

    def __init__(self, pairs: Iterable[tuple[K, V]] = ()) -> None:
        self._rows: tuple[dict[K, V], ...] = _NO_ROWS
        self._size = 0
        for key, value in pairs:
            filled = self.put(key, value)
            self._rows, self._size = filled._rows, filled._size

    def __getitem__(self, key: K) -> V:
        return self._rows[_row(key)][key]

    @overload
    def get(self, key: K, /) -> V | None: ...

    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...

    def get(self, key: K, /, default: object = None) -> object:
        return self._rows[_row(key)].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._rows[_row(key)]

    def __iter__(self) -> Iterator[K]:
        for row in self._rows:
            yield from row

    def __len__(self) -> int:
        return self._size

    def put(self, key: K, value: V) -> PMap[K, V]:
        """The same with ``value`` under ``key``."""
        number = _row(key)
        row = self._rows[number]
        return self._with(number, {**row, key: value}, self._size + (key not in row))

    def without(self, key: K) -> PMap[K, V]:
        """The same without ``key``, which need not be in it."""
        number = _row(key)
        row = self._rows[number]
        if key not in row:
            return self
        return self._with(number, {other: row[other] for other in row if other != key}, self._size - 1)

    def _with(self, number: int, row: dict[K, V], size: int) -> PMap[K, V]:
        new: PMap[K, V] = object.__new__(type(self))
        new._rows = (*self._rows[:number], row, *self._rows[number + 1 :])
        new._size = size
        return new

    def __repr__(self) -> str:
        return f"PMap({dict(self)!r})"


@lru_cache(maxsize=1 << 17)
def _row(key: str) -> int:
    return crc32(key.encode()) % _ROWS
