"""A saga's record, as KV keeps it and people read it. Pure.

JSON, version 2. Version 1 (which had no number) held the tags alone and left the rest to the inventory.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ezpath.inventory import Inventory
from ezpath.malformed import brief
from ezpath.names import PairId
from ezpath.saga.model import Saga
from ezpath.saga.phases import ENDED
from ezpath.saga.plan import Sides, Target, sides_of
from ezpath.saga.vlans import Rest

VERSION = 2
_SAGA: TypeAdapter[Saga] = TypeAdapter(Saga)
_INFINITE = {"deadline": float("inf"), "offload_asked_at": float("-inf"), "revert_asked_at": float("-inf")}
"""JSON has no infinity: null stands for it."""
_WAITING = {"waiting"}


def saga_to_json(saga: Saga) -> bytes:
    """One record. (Not by ``asdict``, which was most of the work of a saga's step. It writes infinity as null, too.)"""
    rest = _SAGA.dump_json(saga, exclude=_WAITING)[1:]
    return b'{"v":%d,"waiting":%b,%b' % (VERSION, _targets_to_json(saga.waiting), rest)


@lru_cache(maxsize=4096)
def _targets_to_json(targets: frozenset[Target]) -> bytes:
    """The same few again and again."""
    return json.dumps(sorted(targets), separators=(",", ":")).encode()


def saga_from_json(data: bytes, inventory: Inventory) -> Saga:
    """The reverse of :func:`saga_to_json`, of version 1 too. Raises ValueError saying what is wrong."""
    try:
        raw = json.loads(data)
    except RecursionError:
        raise ValueError("saga record: nested too deep") from None
    if not isinstance(raw, dict):
        raise ValueError(f"saga record: not a JSON object but {type(raw).__name__}")
    version = raw.pop("v", 1)
    if version not in (1, VERSION) or isinstance(version, bool):
        raise ValueError(brief(f"saga record: version {version!r}, where this decider knows {VERSION} and 1"))
    if version == 1:
        raw = _from_version_1(raw, inventory)
    raw |= {name: infinite for name, infinite in _INFINITE.items() if raw.get(name) is None}
    try:
        return _SAGA.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(brief(f"saga record: {'.'.join(map(str, first['loc']))}: {first['msg']}")) from None


def _from_version_1(raw: dict[str, Any], inventory: Inventory) -> dict[str, Any]:
    vids = raw.pop("vids", None)
    raw["told"] = True
    if vids is None:
        return raw
    sides = _sides(raw, vids, inventory)
    if raw.get("phase") in ENDED:
        return raw | {"rests": [asdict(Rest(side.host, side.vid, raw["tenant"], raw["entered_at"])) for side in sides]}
    return raw | {"sides": [asdict(side) for side in sides]}


def _sides(raw: dict[str, Any], vids: Any, inventory: Inventory) -> Sides:
    try:
        pair = inventory.pair_by_id(PairId(raw["pair"]))
        first, second = vids
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("saga record: pair or vids: not what version 1 had there") from None
    if pair is None:
        raise ValueError(
            f"saga record: of version 1, so that only the inventory says where its items are, and that no longer has "
            f"{raw['pair']}. Put its endpoints back until it is reverted"
        )
    return sides_of(pair, (first, second), inventory)
