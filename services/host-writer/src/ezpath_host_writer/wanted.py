"""What one host ought to hold, by KV's word: a document of each of the deciders' shards that has spoken.

Shell: the deciding is the :class:`~ezpath_host_writer.book.Book`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from ezpath.bus import Bus, BusError
from ezpath.desired import Desired, host_from_json, keys_of, shard_of
from ezpath.events import DESIRED_BUCKET
from ezpath.items import HostItem

SOON_S = 2.0
"""How long KV may take before a host is put right by what is known, seconds."""

Documents = Mapping[int, Desired[HostItem]]
"""By shard."""


class Wanted:
    """For one host. Nothing is the answer where KV says nothing, or where not all of it is understood."""

    def __init__(self, bus: Bus, target: str) -> None:
        self._bus = bus
        self._target = target
        self._log = structlog.get_logger().bind(target=target)

    async def ask(self) -> Documents:
        """Raises BusError."""
        found: dict[str, tuple[bytes, int]] = {}
        for keys in keys_of(self._target):
            found |= await self._bus.kv_items(DESIRED_BUCKET, keys)
        try:
            return {shard_of(key): host_from_json(document) for key, (document, _) in found.items()}
        except ValueError as error:
            self._log.error("desired state not understood, left alone", reason=str(error))
            return {}

    async def insist(self) -> Documents:
        """Waits for NATS as long as it takes."""
        while True:
            try:
                return await self.ask()
            except BusError as error:
                self._log.warning("desired state not read", reason=str(error), next="asked again")

    async def soon(self) -> Documents:
        """Nothing as well where KV does not answer soon."""
        try:
            async with asyncio.timeout(SOON_S):
                return await self.ask()
        except (BusError, TimeoutError) as error:
            reason = str(error) or f"KV did not answer within {SOON_S:g} s"
            self._log.warning("desired state not read", reason=reason, next="what is known counts")
            return {}
