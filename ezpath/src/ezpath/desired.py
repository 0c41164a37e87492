"""What ought to be installed on one target, as the decider keeps it in the bucket ``ezpath_desired``.

Pure. One document a target, ``{"generation": 7, "items": [...]}`` under :func:`key_of` its name: the decider writes it
before the commands that follow from it, and a writer that starts from nothing reads there what to put back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ezpath.events import HostItems, SwitchItems
from ezpath.items import HostItem, Item, SwitchItem

_SWITCH_ITEMS: TypeAdapter[SwitchItems] = TypeAdapter(SwitchItems)
_HOST_ITEMS: TypeAdapter[HostItems] = TypeAdapter(HostItems)

I = TypeVar("I", SwitchItem, HostItem)  # noqa: E741 - an item


@dataclass(frozen=True, slots=True)
class Desired(Generic[I]):
    """A whole desired state, as of ``generation``."""

    generation: int
    items: frozenset[I]


def key_of(target: str) -> str:
    """``switch:tor1`` to the key ``switch.tor1``."""
    return target.replace(":", ".", 1)


def items_to_json(items: Iterable[Item]) -> str:
    """The same text for the same items, in whatever order they come."""
    listed = sorted((asdict(item) for item in items), key=lambda item: json.dumps(item, sort_keys=True))
    return json.dumps(listed, separators=(",", ":"))


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
        return _generation(raw), adapter.validate_python(raw["items"])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"items.{where}: {first['msg']}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a desired state: {type(error).__name__}: {error}") from None


def _generation(raw: Any) -> int:
    generation = raw["generation"]
    if not isinstance(generation, int) or isinstance(generation, bool):
        raise ValueError("generation is no integer")
    return generation
