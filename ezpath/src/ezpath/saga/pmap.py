"""A mapping that is never changed: a new one shares almost everything with the old. Pure.

Each transition of the saga makes a new world; with thousands of pairs, copying a whole dict for it would be most of
the work. Keys are spread over rows by a hash that is the same in every process, so that runs can be repeated.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar, overload
from zlib import crc32

K = TypeVar("K", bound=str)
V = TypeVar("V")
D = TypeVar("D")

_ROWS = 64
_NO_ROWS: list[dict[Any, Any]] = [{}] * _ROWS


class PMap(Mapping[K, V]):
    """Made empty or of pairs; :meth:`put` and :meth:`without` give new ones."""

    __slots__ = ("_rows", "_size")

    def __init__(self, pairs: Iterable[tuple[K, V]] = ()) -> None:
        self._rows: list[dict[K, V]] = _NO_ROWS  # neither it nor what is in it is ever changed
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

    def values(self) -> ValuesView[V]:
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        return _Items(self)

    def changed_since(self, before: PMap[K, V]) -> set[K]:
        """The keys that have another value than they had, or none in one of the two."""
        changed: set[K] = set()
        for now, was in zip(self._rows, before._rows, strict=True):
            if now is not was:  # most rows are the same
                changed.update(key for key, value in now.items() if was.get(key) is not value)
                changed.update(key for key in was if key not in now)
        return changed

    def put(self, key: K, value: V) -> PMap[K, V]:
        """The same with ``value`` under ``key``."""
        number, rows = _row(key), self._rows.copy()
        row = rows[number] = rows[number].copy()
        size = self._size - len(row)
        row[key] = value
        new: PMap[K, V] = object.__new__(PMap)
        new._rows, new._size = rows, size + len(row)
        return new

    def without(self, key: K) -> PMap[K, V]:
        """The same without ``key``, which need not be in it."""
        number = _row(key)
        row = self._rows[number]
        if key not in row:
            return self
        rows = self._rows.copy()
        row = rows[number] = row.copy()
        del row[key]
        new: PMap[K, V] = object.__new__(PMap)
        new._rows, new._size = rows, self._size - 1
        return new

    def __repr__(self) -> str:
        return f"PMap({dict(self)!r})"


class _Values(ValuesView[V]):
    """Row by row: a mapping's own look up each key."""

    def __iter__(self) -> Iterator[V]:
        return chain.from_iterable(row.values() for row in self._mapping._rows)  # type: ignore[attr-defined]


class _Items(ItemsView[K, V]):
    def __iter__(self) -> Iterator[tuple[K, V]]:
        return chain.from_iterable(row.items() for row in self._mapping._rows)  # type: ignore[attr-defined]


@lru_cache(maxsize=1 << 17)
def _row(key: str) -> int:
    return crc32(key.encode()) % _ROWS
