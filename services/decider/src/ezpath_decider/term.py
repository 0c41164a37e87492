"""One spell of leading one shard: from moving the fences to the day when somebody else has moved them.

Adapter. It takes up the sagas where the records say, then carries requests and reports to the keeper. Reports are read
from the beginning of the term on, for all sagas ask anew; requests from where the one before had dealt with them. What
that one took and did not deal with comes again: its place in the stream is taken from under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ezpath.bus import Bus, Delivery
from ezpath.events import JsonEvent, OffloadRequested, RevertRequested, StepReport
from ezpath.inventory import Inventory
from ezpath.saga import Settings, Tick
from ezpath.shards import Shard

from ezpath_decider.keeper import Keeper
from ezpath_decider.ledger import Ledger

TICK_S = 0.1
AHEAD = 4
"""Batches of reports that the keeper takes while it carries out what follows from those before. (Of requests none:
what was asked for last is what counts.)"""

Request = OffloadRequested | RevertRequested
_REQUESTS: tuple[type[Request], ...] = (OffloadRequested, RevertRequested)


class Term:
    """:meth:`run` it until it is over."""

    def __init__(
        self,
        bus: Bus,
        holder: str,
        shard: Shard,
        epoch: int,
        since: int,
        inventory: Inventory,
        settings: Settings,
        clock: Callable[[], float],
        told: Callable[[JsonEvent], None],
    ) -> None:
        self.shard = shard
        self.epoch = epoch
        self.begun = asyncio.Event()
        """Set when all sagas have been taken up."""
        self._bus = bus
        self._since = since
        self._ledger = Ledger(bus, shard, holder, epoch)
        self.keeper = Keeper(bus, self._ledger, inventory, replace(settings, shard=shard), clock, told)
        suffix = f"-{shard.number}-of-{shard.of}" if shard.of > 1 else ""
        self._decisions, self._reports = f"decider-decisions{suffix}", f"decider-reports{suffix}"

    async def run(self) -> None:
        """Until cancelled. Raises :class:`~ezpath_decider.ledger.Deposed` when somebody else leads."""
        insist = self._ledger.insist
        before = await self._ledger.open()
        start = await insist(lambda: self._bus.place(self._decisions))
        if start is None:
            start = before.start if before is not None and before.of == self.shard.of else self._since
        await self._ledger.start_at(start)
        for place in (self._decisions, self._reports):
            await insist(partial(self._bus.forget_place, place))
        reports_from = await insist(self._bus.last_sequence) + 1
        await self.keeper.start()
        self.begun.set()
        consume = self._bus.consume
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self._tick())
            tasks.create_task(consume(self._decisions, "ezpath.decision.>", _REQUESTS, self._on_inputs, start=start))
            tasks.create_task(
                consume(self._reports, "ezpath.report.>", StepReport, self._on_inputs, start=reports_from, ahead=AHEAD)
            )

    async def _on_inputs(self, batch: list[Delivery[Request]] | list[Delivery[StepReport]]) -> None:
        """Those of the shard's tenants. The others' leaders get them as well, by a place of their own."""
        events = [delivery.event for delivery in batch]
        await self.keeper.give(event for event in events if self.shard.has_pair(event.pair))

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.keeper.give([Tick()])
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
