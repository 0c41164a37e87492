"""The pieces of a document as KV has them: a head, and any number of parts. Pure.

The head is under ``switch.tor1``, or ``switch.tor1.2`` for shard 2: ``{"generation": 7, "items": [...]}``, and where
there are parts, ``"parts": [3, 7]``: the generation that each of them has at least. Part 1 is under
``switch.tor1.2.1``, of the first shard ``switch.tor1.0.1``, and has a generation and items as well. The document is the
items of all pieces, as of the head's generation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ezpath.desired.document import I
from ezpath.events import HostItems, SwitchItems
from ezpath.items import HostItem, SwitchItem
from ezpath.malformed import brief, check_item

_SWITCH_ITEMS: TypeAdapter[SwitchItems] = TypeAdapter(SwitchItems)
_HOST_ITEMS: TypeAdapter[HostItems] = TypeAdapter(HostItems)
MOST_PARTS = 1 << 16


class Place(NamedTuple):
    """Where a piece belongs. ``part`` is None for the head."""

    shard: int
    part: int | None


@dataclass(frozen=True, slots=True)
class Piece(Generic[I]):
    """One of them."""

    generation: int
    items: frozenset[I]
    parts: tuple[int, ...] = ()
    """Of a head: what it stands on."""


def key_of(target: str, shard: int = 0, part: int | None = None) -> str:
    """``switch:tor1`` to the key ``switch.tor1``; of shard 2, ``switch.tor1.2``; its part 5, ``switch.tor1.2.5``."""
    key = target.replace(":", ".", 1)
    if part is not None:
        return f"{key}.{shard}.{part}"
    return f"{key}.{shard}" if shard else key


def keys_of(target: str) -> tuple[str, str]:
    """Where all pieces about ``target`` are: the first shard's head, and a pattern for the rest. Read in this order."""
    return key_of(target), f"{key_of(target)}.>"


def place_of(key: str) -> Place:
    """What is under ``key``: the reverse of :func:`key_of`. Raises ValueError where it is no such key."""
    match key.split("."):
        case [_, _]:
            return Place(0, None)
        case [_, _, shard]:
            return Place(int(shard), None)
        case [_, _, shard, part]:
            return Place(int(shard), int(part))
    raise ValueError(brief(f"{key!r} is no key of a desired state"))


def to_json(generation: int, items: Iterable[str], parts: Sequence[int] = ()) -> bytes:
    """The piece, from the texts of its items."""
    stands_on = f',"parts":[{",".join(map(str, parts))}]' if parts else ""
    return f'{{"generation":{generation},"items":[{",".join(items)}]{stands_on}}}'.encode()


def switch_from_json(data: bytes) -> Piece[SwitchItem]:
    """Raises ValueError saying what is wrong with it."""
    return Piece(*_read(data, _SWITCH_ITEMS))


def host_from_json(data: bytes) -> Piece[HostItem]:
    """Raises ValueError saying what is wrong with it."""
    return Piece(*_read(data, _HOST_ITEMS))


def texts_from_json(data: bytes) -> Piece[Any]:
    """The same with each item as its text, whatever it says. Raises ValueError."""
    try:
        raw = json.loads(data)
        items = [json.dumps(item, separators=(",", ":")) for item in raw["items"]]
        return Piece(_number(raw["generation"]), frozenset(items), _parts(raw))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(brief(f"not a desired state: {type(error).__name__}: {error}")) from None


def generation_of(data: bytes) -> int:
    """Its generation alone; 0 for what is no such piece, nor a saga's record."""
    try:
        return _number(json.loads(data)["generation"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0


def _read(data: bytes, adapter: TypeAdapter[Any]) -> tuple[int, frozenset[Any], tuple[int, ...]]:
    try:
        raw = json.loads(data)
        generation, items = _number(raw["generation"]), adapter.validate_python(raw["items"])
        for item in items:
            check_item(item)
        return generation, frozenset(items), _parts(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(brief(f"items.{where}: {first['msg']}")) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(brief(f"not a desired state: {type(error).__name__}: {error}")) from None


def _parts(raw: Any) -> tuple[int, ...]:
    parts = raw.get("parts", [])
    if not isinstance(parts, list) or len(parts) > MOST_PARTS:
        raise ValueError("parts are none")
    return tuple(map(_number, parts))


def _number(generation: Any) -> int:
    if not isinstance(generation, int) or isinstance(generation, bool) or not 0 <= generation < 2**63:
        raise ValueError("generation is none")
    return generation
