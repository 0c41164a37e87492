"""A whole desired state as a value, and its items as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from ezpath.items import HostItem, Item, SwitchItem

I = TypeVar("I", SwitchItem, HostItem)  # noqa: E741 - an item


@dataclass(frozen=True, slots=True)
class Desired(Generic[I]):
    """A whole desired state: all that every command of ``generation``, and of those before it, asked for."""

    generation: int
    items: AbstractSet[I]


def union(documents: Iterable[Desired[I]]) -> Desired[I]:
    """All that the documents of one target want; as of the newest generation, which says nothing across shards."""
    listed = list(documents)
    items = frozenset(item for document in listed for item in document.items)
    return Desired(max((document.generation for document in listed), default=0), items)


@lru_cache(maxsize=65536)
def item_to_json(item: Item) -> str:
    # A piece is written again and again with nearly the same items in it.
    return json.dumps(asdict(item), separators=(",", ":"))
