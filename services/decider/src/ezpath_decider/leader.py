"""Several deciders, one leader for each shard: keeps the leases, begins and ends terms.

Adapter around :mod:`~ezpath_decider.lease` (who should lead what) and :mod:`~ezpath_decider.term` (leading). A decider
that leads nothing stands by: it reads samples like the others, and takes over within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

import structlog
from ezpath.bus import Bus, BusError, Conflict, KvWrite
from ezpath.events import LEASE_BUCKET
from ezpath.inventory import Inventory
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga
from ezpath.shards import Shard

from ezpath_decider import shardcount
from ezpath_decider.lease import BEAT_S, TTL_S, Leases, Write
from ezpath_decider.ledger import Deposed
from ezpath_decider.process import is_gone, this_process
from ezpath_decider.term import Term

FAREWELL_S = 1.0

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
        self._leases = Leases(me, shards, this_process(), is_gone)
        self._terms: dict[int, tuple[Term, asyncio.Task[None]]] = {}
        self._log = structlog.get_logger().bind(decider=me)

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
        for term, _ in self._terms.values():
            term.keeper.adopt(inventory)

    def _active(self) -> list[Term]:
        return [term for term, _ in self._terms.values() if term.begun.is_set()]

    # ---- the leases -----------------------------------------------------------

    async def run(self) -> NoReturn:
        """Until cancelled; then every lease is given up at once."""
        loop = asyncio.get_running_loop()
        try:
            self._since = await shardcount.agree(self._bus, self._shards)
            due = loop.time()
            while True:
                try:
                    async with asyncio.timeout(TTL_S):
                        await self._beat(loop)
                except (BusError, TimeoutError) as error:
                    self._log.warning("leases not looked at", reason=str(error) or type(error).__name__)
                due = max(due + BEAT_S, loop.time())
                await self._sleep_until(due, loop)
        finally:
            await self._leave()

    async def _sleep_until(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        """Wake up early when a term ends by itself."""
        tasks = [task for _, task in self._terms.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=due - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(due - loop.time())

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bury_ended()
        found = await self._bus.kv_items(LEASE_BUCKET)
        shardcount.check(found, self._shards)
        writes = self._leases.look(found, loop.time())
        await self._end({number for number in self._terms if number not in self._leases.held}, "its lease is another's")
        left = [write for write in writes if write.lease is not None and not write.lease.holder]
        await self._end({int(write.key.partition(".")[2]) for write in left}, "left to another")
        await self._write(writes, loop)
        for number, epoch in self._leases.held.items():
            if number not in self._terms:
                self._begin(number, epoch)
        if not self.ready.is_set():
            for term, task in self._terms.values():
                begun = asyncio.create_task(term.begun.wait())
                await asyncio.wait((begun, task), return_when=asyncio.FIRST_COMPLETED)
                begun.cancel()
            self.ready.set()

    async def _write(self, writes: Iterable[Write], loop: asyncio.AbstractEventLoop) -> None:
        """All at once. Where somebody was faster, the next look says who."""
        puts: list[tuple[Write, KvWrite]] = []
        for write in writes:
            if write.value is None:
                await self._bus.kv_delete(LEASE_BUCKET, write.key)
                self._leases.written(write, 0, loop.time())
            else:
                puts.append((write, KvWrite(write.key, write.value, write.revision)))
        outcomes = await self._bus.kv_put_all(LEASE_BUCKET, [put for _, put in puts])
        for (write, _), outcome in zip(puts, outcomes, strict=True):
            if not isinstance(outcome, Conflict):
                self._leases.written(write, outcome, loop.time())

    # ---- the terms ------------------------------------------------------------

    def _begin(self, number: int, epoch: int) -> None:
        term = self._new_term(Shard(number, self._shards), epoch, self._since)
        self._terms[number] = (term, asyncio.create_task(term.run(), name=f"term-{number}-{epoch}"))
        self._log.info("leads", shard=str(term.shard), epoch=epoch)

    def _bury_ended(self) -> None:
        """Terms that ended by themselves: deposed, or by a mistake that is not for us to hide."""
        for number, (term, task) in list(self._terms.items()):
            if not task.done():
                continue
            del self._terms[number]
            deposed = _deposed(task)
            self._leases.deposed(number, deposed.epoch)
            self._log.warning("leads no longer", shard=str(term.shard), epoch=term.epoch, reason=str(deposed))

    async def _end(self, numbers: set[int], reason: str) -> None:
        for number in numbers & self._terms.keys():
            term, task = self._terms.pop(number)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
            self._log.info("leads no longer", shard=str(term.shard), epoch=term.epoch, reason=reason)

    async def _leave(self) -> None:
        await self._end(set(self._terms), "stopping")
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._write(self._leases.farewell(), asyncio.get_running_loop())


def _deposed(task: asyncio.Task[None]) -> Deposed:
    """Why a term ended. Raises what it raised where that was something else."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, Deposed):
        return error
    raise error or RuntimeError("a term ended by itself")
