"""What one host ought to hold, by KV's word: a document of each of the deciders' shards that has spoken.

Shell: the deciding is the :class:`~ezpath_host_writer.book.Book`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from ezpath.bus import Bus, BusError
from ezpath.desired import Desired, host_from_json
from ezpath.items import HostItem
from ezpath.wanted import Documents as Kept
from ezpath.wanted import NotWhole

SOON_S = 2.0
"""How long KV may take before a host is put right by what is known, seconds."""

Documents = Mapping[int, Desired[HostItem]]
"""By shard."""


class Wanted:
    """For one host. Nothing is the answer where KV says nothing, or where not all of it is understood."""

    def __init__(self, bus: Bus, target: str) -> None:
        self._kept = Kept[HostItem](bus, target, host_from_json)
        self._log = structlog.get_logger().bind(target=target)

    async def ask(self) -> Documents:
        """Raises BusError."""
        try:
            return await self._kept.ask()
        except NotWhole as error:
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
