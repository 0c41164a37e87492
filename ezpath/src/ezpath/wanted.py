"""What KV says one target ought to hold, for its writer: read as a whole, or followed piece by piece. Adapter.

It remembers every piece, and looks only at those that are new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Generic

import structlog

from ezpath.bus import Bus, BusError
from ezpath.desired import Assembly, Desired, Piece, Place, keys_of, place_of
from ezpath.desired.document import I
from ezpath.events import DESIRED_BUCKET

TRIES = 5
AGAIN_AFTER_S = 0.1


class NotWhole(Exception):
    """KV has pieces that cannot be understood, or do not fit together: nobody is to act on them."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A piece that was heard of, and whether it could be understood."""

    revision: int
    reason: str = ""


class Documents(Generic[I]):
    """One target's, by shard."""

    def __init__(self, bus: Bus, target: str, parse: Callable[[bytes], Piece[I]]) -> None:
        self._bus = bus
        self._target = target
        self._parse: Callable[[bytes], Piece[I]] = parse
        self._known: dict[str, _Known] = {}
        self._shards: dict[int, Assembly[I]] = {}
        self._asking = asyncio.Lock()
        self._log = structlog.get_logger().bind(target=target)

    @property
    def keys(self) -> tuple[str, ...]:
        """Where KV has anything about the target; each for :meth:`changes`."""
        return keys_of(self._target)

    @property
    def heard(self) -> Mapping[int, Desired[I]]:
        """The newest document of each shard that was heard of whole."""
        return {shard: doc for shard, each in self._shards.items() if (doc := each.document) is not None}

    async def ask(self) -> Mapping[int, Desired[I]]:
        """What KV says at this moment. Raises :class:`NotWhole` and BusError."""
        missing: list[str] = []
        async with self._asking:
            for attempt in range(TRIES):
                if attempt:  # somebody writes just now
                    await asyncio.sleep(AGAIN_AFTER_S)
                await self._list()
                missing = self._missing()
                if not missing:
                    break
        wrong: list[str] = [f"{key}: {known.reason}" for key, known in self._known.items() if known.reason]
        if wrong or missing:
            raise NotWhole("; ".join((*wrong, *missing)))
        return self.heard

    async def changes(self, keys: str) -> AsyncIterator[int]:
        """The shard, whenever a piece of its document under ``keys`` was written."""
        async for change in self._bus.kv_watch(DESIRED_BUCKET, keys):
            known = self._known.get(change.key)
            if change.value is None or (known is not None and known.revision == change.revision):
                continue
            if known is not None and change.revision < known.revision:
                # Late, or the first word of a store that lost all others: KV itself knows.
                try:
                    await self.ask()
                except (BusError, NotWhole) as error:
                    self._log.warning("desired state not read", reason=str(error), next="what was heard counts")
            else:
                self._enter(change.key, change.value, change.revision)
            place = _place(change.key)
            if place is not None:
                yield place.shard

    async def _list(self) -> None:
        before = dict(self._known)
        found: dict[str, tuple[bytes, int]] = {}
        for keys in self.keys:
            found |= await self._bus.kv_items(DESIRED_BUCKET, keys)
        anew = any(key in before and revision < before[key].revision for key, (_, revision) in found.items())
        if anew:  # revisions only grow: it is another store of the same name
            self._known.clear()
        for key in before.keys() - found.keys():
            self._remove(key)
        # Parts before heads, so that a head finds them.
        for key in sorted(found, key=lambda key: -key.count(".")):
            value, revision = found[key]
            known = self._known.get(key)
            if known is None or known.revision < revision:
                self._enter(key, value, revision)

    def _enter(self, key: str, value: bytes, revision: int) -> None:
        try:
            place, piece = place_of(key), self._parse(value)
        except ValueError as error:
            self._log.error("desired state not understood, left alone", key=key, reason=str(error))
            self._known[key] = _Known(revision, str(error))
            return
        self._known[key] = _Known(revision)
        self._shards.setdefault(place.shard, Assembly()).enter(place.part, piece)

    def _remove(self, key: str) -> None:
        self._known.pop(key, None)
        place = _place(key)
        if place is not None and place.shard in self._shards:
            self._shards[place.shard].remove(place.part)

    def _missing(self) -> list[str]:
        return [
            f"shard {shard}: part {', '.join(map(str, each.missing))} is not as new as the head says"
            for shard, each in self._shards.items()
            if not each.whole
        ]


def _place(key: str) -> Place | None:
    try:
        return place_of(key)
    except ValueError:
        return None
