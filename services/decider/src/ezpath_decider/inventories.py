"""The inventory as it changes while the decider runs: every decider follows it, one of them publishes it.

Adapter around :mod:`ezpath.live`. The one is whoever leads the first shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog
from ezpath.bus import BusError
from ezpath.inventory import Inventory, difference
from ezpath.inventory.sources import SourceAway
from ezpath.live import Publisher, follow, published
from ezpath.service import Service
from ezpath.tasks import end

LOOK_EVERY_S = 0.25
RETRY_AFTER_S = 2.0


class Inventories:
    """:meth:`begin` before anything is led, then :meth:`run` it."""

    def __init__(self, service: Service, publishes: Callable[[], bool], adopt: Callable[[Inventory], None]) -> None:
        """``publishes`` says whether this decider is the one; ``adopt`` is given each other inventory."""
        self._service = service
        self._network = service.inventory
        self._publishes = publishes
        self._adopt = adopt
        self._log = structlog.get_logger()

    async def begin(self) -> None:
        """Take over what was published last: a source of endpoints may be away now. Else, what the file says."""
        known = await published(self._service.bus, self._network)
        if known is not None:
            await self._take(known)

    async def run(self) -> NoReturn:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_where_it_is_ours())
            async for inventory in follow(self._service.bus, self._network):
                await self._take(inventory)
        raise AssertionError("a watch has no end")

    async def _take(self, inventory: Inventory) -> None:
        changes = await asyncio.to_thread(difference, self._service.inventory.endpoints, inventory.endpoints)
        if changes:
            self._log.info("inventory changed", **changes.counts())
            self._service.inventory = inventory
            self._adopt(inventory)

    async def _publish_where_it_is_ours(self) -> NoReturn:
        while True:
            if self._publishes():
                publishing = asyncio.create_task(self._publish())
                try:
                    while self._publishes() and not publishing.done():
                        await asyncio.wait((publishing,), timeout=LOOK_EVERY_S)
                finally:
                    await end((publishing,))
                if not publishing.cancelled():
                    publishing.result()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _publish(self) -> None:
        service = self._service
        try:
            await Publisher(service.bus, service.settings.inventory, self._network).run()
        except (BusError, SourceAway) as error:
            self._log.error("inventory not published", reason=str(error), next="tried again")
            await asyncio.sleep(RETRY_AFTER_S)
