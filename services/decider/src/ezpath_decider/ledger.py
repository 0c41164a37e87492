"""What the leader of one shard keeps in NATS, so that nobody who led it before can write any more.

Each bucket has a fence for each shard: a key that says who leads, and in which epoch. A leader begins by moving it,
and every put is taken only if the fence is still where its writer left it
(``Nats-Expected-Last-Subject-Sequence-Subject``). So a leader that was paused, or cut off, finds at its next write that
it leads no longer. Adapter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

import structlog
from ezpath.bus import FENCE, Bus, BusError, Conflict, Unavailable
from ezpath.events import DESIRED_BUCKET, SAGA_BUCKET
from ezpath.leases import Deposed
from ezpath.shards import Shard

RETRY_AFTER_S = 0.5
REFUSED_MOST = 20
"""So many refusals in a row of puts behind a fence that is ours are no accident."""

T = TypeVar("T")


class Emptied(BusError):
    """The server lost its store: what the leader knows is all there is."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What stands in the key."""

    epoch: int = 0
    holder: str = ""
    of: int = 1
    """How many shards there were."""
    start: int = 1
    """Decisions before this sequence of the stream have been dealt with."""
    moved: int = 0
    """How often in this epoch: no two writes of it are alike."""


class Ledger:
    """Made for one term; :meth:`open` it first."""

    def __init__(self, bus: Bus, shard: Shard, holder: str, epoch: int) -> None:
        self._bus = bus
        self._shard = shard
        self._mine = Fence(epoch, holder, shard.of)
        self._key = f"{FENCE}{shard.number}"
        self._revisions: dict[str, int] = {}
        self._log = structlog.get_logger().bind(shard=str(shard), epoch=epoch)

    async def open(self) -> Fence | None:
        """From now on nobody of an older epoch writes. Returns what stood there. Raises :class:`Deposed`."""
        before = await self._move(SAGA_BUCKET)
        await self._move(DESIRED_BUCKET)
        return before

    async def start_at(self, sequence: int) -> None:
        """Keep where in the stream the decisions begin that nobody has dealt with."""
        self._mine = replace(self._mine, start=sequence)
        await self._move(SAGA_BUCKET)

    async def read(self, bucket: str) -> dict[str, bytes]:
        """All there is, of other shards too."""
        found = await self.insist(lambda: self._bus.kv_items(bucket))
        return {key: value for key, (value, _) in found.items()}

    async def put(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Write all of them, in order and at once; returns when they are written. Waits for NATS as long as it takes.

        Raises :class:`Deposed`; :class:`Emptied` where nothing is left of what was written before.
        """
        refused = 0
        while values:
            try:
                await self._bus.kv_put_fenced(bucket, values, self._key, self._revisions[bucket])
                return
            except Conflict as error:
                refused += 1
                self._log.info("put refused", bucket=bucket, reason=str(error))
            except Unavailable as error:
                self._log.warning("waiting for NATS", reason=str(error))
                await asyncio.sleep(RETRY_AFTER_S)
            if refused > REFUSED_MOST:
                raise BusError(
                    f"NATS refuses what is written to {bucket} although {self._key} there is as it was left. "
                    "nats-server 2.11 or newer is needed"
                )
            # What was sent may arrive yet: behind a fence that was moved it comes too late.
            if await self._move(bucket) is None:
                raise Emptied(f"{bucket} is empty, where {self._key} was. What is known is written anew")

    async def _move(self, bucket: str) -> Fence | None:
        """Move the fence. Returns what stood there, if anything."""
        while True:
            found = await self.insist(lambda: self._bus.kv_get(bucket, self._key))
            before = _fence(found[0]) if found else None
            if before is not None and not self._may_follow(before):
                raise Deposed(f"{before.holder} leads shard {self._shard}, in epoch {before.epoch}", before.epoch)
            start = max(self._mine.start, before.start if before.of == self._shard.of else 1) if before else 1
            self._mine = replace(self._mine, start=start, moved=self._mine.moved + 1)
            value = json.dumps(asdict(self._mine)).encode()
            put = partial(self._bus.kv_put_cas, bucket, self._key, value, found[1] if found else None)
            try:
                self._revisions[bucket] = await self.insist(put)
                return before
            except Conflict:
                continue

    def _may_follow(self, before: Fence) -> bool:
        mine = self._mine
        return (before.epoch, before.holder) == (mine.epoch, mine.holder) or before.epoch < mine.epoch

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Wait for NATS as long as it takes: nothing can be done while nobody can be told."""
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                self._log.warning("waiting for NATS", reason=str(error))
                await asyncio.sleep(RETRY_AFTER_S)


def _fence(value: bytes) -> Fence:
    """Where it cannot be read, nobody is known to lead."""
    try:
        raw = json.loads(value)
        return Fence(*(int(raw["epoch"]), str(raw["holder"]), int(raw["of"]), int(raw["start"]), int(raw["moved"])))
    except (ValueError, TypeError, KeyError):
        return Fence()
