"""Several deciders, one leader for each shard: begins and ends terms as the leases say.

Adapter between :mod:`ezpath.leases` (who should lead what) and :mod:`~ezpath_decider.term` (leading). A decider
that leads nothing stands by: it reads samples like the others, and takes over within seconds.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Mapping

from ezpath.bus import Bus
from ezpath.inventory import Inventory
from ezpath.leases import DECIDERS, Keeper, Leases, Member
from ezpath.names import PairId, Tenant
from ezpath.process import is_gone, this_process
from ezpath.saga import Saga
from ezpath.shards import Shard

from ezpath_decider import shardcount
from ezpath_decider.term import Term

NewTerm = Callable[[Shard, int, int], Term]
"""A term of a shard, in an epoch, with the stream sequence where requests begin if nobody ever led it."""


class Leader:
    """:meth:`run` it beside the rounds; ask it whose sagas are ours."""

    def __init__(self, bus: Bus, me: str, shards: int, new_term: NewTerm) -> None:
        self.ready = asyncio.Event()
        """Set when it is known what there is to lead at first, and that has begun."""
        self._bus = bus
        self._shards = shards
        self._new_term = new_term
        self._since = 1
        leases = Leases(me, list(map(str, range(shards))), DECIDERS, member=Member(this_process()), is_gone=is_gone)
        self._keeper = Keeper(
            bus,
            leases,
            self._lead,
            what="shard",
            also=(shardcount.KEY,),
            check=lambda found: shardcount.check(found, shards),
        )
        self._terms: dict[int, Term] = {}

    # ---- asked by the rounds --------------------------------------------------

    def leads(self, tenant: Tenant) -> bool:
        """Whether this decider is to decide about ``tenant``'s flows."""
        return any(term.shard.has(tenant) for term in self._active())

    @property
    def shards(self) -> tuple[Shard, ...]:
        """Those that this decider leads."""
        return tuple(term.shard for term in self._active())

    @property
    def part(self) -> tuple[tuple[int, ...], int]:
        """The numbers of those shards, and how many there are."""
        return tuple(shard.number for shard in self.shards), self._shards

    @property
    def sagas(self) -> Mapping[PairId, Saga]:
        """Of all shards that it leads."""
        worlds = [term.keeper.world.sagas for term in self._active()]
        return worlds[0] if len(worlds) == 1 else ChainMap(*map(dict, worlds))

    @property
    def leads_first(self) -> bool:
        """Whether it leads the first shard, and so does what there is to be done once."""
        return any(shard.number == 0 for shard in self.shards)

    def adopt(self, inventory: Inventory) -> None:
        """The inventory is another one."""
        for term in self._terms.values():
            term.keeper.adopt(inventory)

    def _active(self) -> list[Term]:
        return [term for term in self._terms.values() if term.begun.is_set()]

    # ---- leading ----------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then every lease is given up at once."""
        self._since = await shardcount.agree(self._bus, self._shards)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keeper.run())
            tasks.create_task(self._say_when_ready())

    async def _say_when_ready(self) -> None:
        await self._keeper.settled.wait()
        while len(self._active()) < len(self._keeper.held):  # noqa: ASYNC110 - terms may end before they begin
            await asyncio.sleep(0.01)
        self.ready.set()

    async def _lead(self, thing: str, epoch: int) -> None:
        """Until cancelled, or deposed."""
        number = int(thing)
        term = self._terms[number] = self._new_term(Shard(number, self._shards), epoch, self._since)
        try:
            await term.run()
        finally:
            del self._terms[number]
