"""What ought to be installed on one target, as the decider keeps it in the bucket ``ezpath_desired``.

Pure. One document a target and shard, ``{"generation": 7, "items": [...]}`` under :func:`key_of`: the decider that
leads the shard writes it before the commands that follow from it, and a writer that starts from nothing reads there
what to put back. A target ought to hold the union of its documents (:func:`union`); shards have no item in common.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ezpath.events import HostItems, SwitchItems
from ezpath.items import HostItem, Item, SwitchItem
from ezpath.malformed import brief, check_item

_SWITCH_ITEMS: TypeAdapter[SwitchItems] = TypeAdapter(SwitchItems)
_HOST_ITEMS: TypeAdapter[HostItems] = TypeAdapter(HostItems)

I = TypeVar("I", SwitchItem, HostItem)  # noqa: E741 - an item


@dataclass(frozen=True, slots=True)
class Desired(Generic[I]):
    """A whole desired state, as of ``generation``."""

    generation: int
    items: frozenset[I]


def key_of(target: str, shard: int = 0) -> str:
    """``switch:tor1`` to the key ``switch.tor1``; for shard 2, ``switch.tor1.2``."""
    key = target.replace(":", ".", 1)
    return f"{key}.{shard}" if shard else key


def keys_of(target: str) -> tuple[str, str]:
    """Where all documents of ``target`` are: the first shard's key, and a pattern for the others'."""
    return key_of(target), f"{key_of(target)}.*"


def shard_of(key: str) -> int:
    """Whose document is under ``key``: the reverse of :func:`key_of`. Raises ValueError where it is no such key."""
    _kind, _name, *shard = key.split(".")
    return int(shard[0]) if shard else 0


def union(documents: Iterable[Desired[I]]) -> Desired[I]:
    """All that the documents of one target want; as of the newest generation, which says nothing across shards."""
    listed = list(documents)
    items = frozenset(item for document in listed for item in document.items)
    return Desired(max((document.generation for document in listed), default=0), items)


def items_to_json(items: Iterable[Item]) -> str:
    """The same text for the same items, in whatever order they come."""
    return f"[{','.join(sorted(map(item_to_json, items)))}]"


@lru_cache(maxsize=65536)
def item_to_json(item: Item) -> str:
    # A document is written again and again with nearly the same items in it.
    return json.dumps(asdict(item), separators=(",", ":"))


def to_json(generation: int, items_json: str) -> bytes:
    """The document, from what :func:`items_to_json` made."""
    return f'{{"generation":{generation},"items":{items_json}}}'.encode()


def switch_from_json(document: bytes) -> Desired[SwitchItem]:
    """Raises ValueError saying what is wrong with it."""
    generation, items = _read(document, _SWITCH_ITEMS)
    return Desired(generation, frozenset(items))


def host_from_json(document: bytes) -> Desired[HostItem]:
    """Raises ValueError saying what is wrong with it."""
    generation, items = _read(document, _HOST_ITEMS)
    return Desired(generation, frozenset(items))


def generation_of(document: bytes) -> int:
    """Its generation alone; 0 for what is no such document."""
    try:
        return _generation(json.loads(document))
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0


def _read(document: bytes, adapter: TypeAdapter[Any]) -> tuple[int, Any]:
    try:
        raw = json.loads(document)
        generation, items = _generation(raw), adapter.validate_python(raw["items"])
        for item in items:
            check_item(item)
        return generation, items
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(brief(f"items.{where}: {first['msg']}")) from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(brief(f"not a desired state: {type(error).__name__}: {error}")) from None


def _generation(raw: Any) -> int:
    generation = raw["generation"]
    if not isinstance(generation, int) or isinstance(generation, bool) or not 0 <= generation < 2**63:
        raise ValueError("generation is none")
    return generation
