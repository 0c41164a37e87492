"""Several deciders, one leader for each shard: keeps the leases, begins and ends terms.

Adapter around :mod:`~ezpath_decider.lease` (who should lead what) and :mod:`~ezpath_decider.term` (leading). A decider
that leads nothing stands by: it reads samples like the others, and takes over within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import ChainMap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import structlog
from ezpath.bus import Bus, BusError, Conflict
from ezpath.events import LEASE_BUCKET, SAGA_BUCKET
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga
from ezpath.service import ConfigurationRefused
from ezpath.shards import Shard

from ezpath_decider.lease import BEAT_S, TTL_S, Leases, Write
from ezpath_decider.ledger import Deposed
from ezpath_decider.term import Term

SHARDS_KEY = "shards"
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

    def _active(self) -> list[Term]:
        return [term for term, _ in self._terms.values() if term.begun.is_set()]

    # ---- the leases -----------------------------------------------------------

    async def run(self) -> NoReturn:
        """Until cancelled; then every lease is given up at once."""
        loop = asyncio.get_running_loop()
        try:
            await self._agree_on_shards()
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
        self._check_shards(found)
        writes = self._leases.look(found, loop.time())
        await self._end({number for number in self._terms if number not in self._leases.held}, "its lease is another's")
        for write in writes:
            if write.lease is not None and not write.lease.holder:
                await self._end({int(write.key.partition(".")[2])}, "left to another")
            await self._write(write, loop)
        for number, epoch in self._leases.held.items():
            if number not in self._terms:
                self._begin(number, epoch)
        if not self.ready.is_set():
            for term, task in self._terms.values():
                begun = asyncio.create_task(term.begun.wait())
                await asyncio.wait((begun, task), return_when=asyncio.FIRST_COMPLETED)
                begun.cancel()
            self.ready.set()

    async def _write(self, write: Write, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if write.value is None:
                await self._bus.kv_delete(LEASE_BUCKET, write.key)
                revision = 0
            else:
                revision = await self._bus.kv_put_cas(LEASE_BUCKET, write.key, write.value, write.revision)
        except Conflict:
            return  # somebody was faster; the next look says who
        self._leases.written(write, revision, loop.time())

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
                for write in self._leases.farewell():
                    await self._write(write, asyncio.get_running_loop())

    # ---- how many shards there are ----------------------------------------------

    async def _agree_on_shards(self) -> None:
        """Keep how many shards there are where all deciders see it. Raises :class:`ConfigurationRefused`."""
        while True:
            kept = await self._bus.kv_get(LEASE_BUCKET, SHARDS_KEY)
            if kept is not None:
                number, self._since = _shards(kept[0])
                if number == self._shards:
                    return
                await self._refuse_unless_idle(number)
            since = await self._bus.last_sequence() + 1 if kept is not None else 1
            value = json.dumps({"shards": self._shards, "since": since}).encode()
            try:
                await self._bus.kv_put_cas(LEASE_BUCKET, SHARDS_KEY, value, kept[1] if kept is not None else None)
            except Conflict:
                continue
            self._since = since
            if kept is not None:
                self._log.info("number of shards changed", before=number, now=self._shards)
            return

    async def _refuse_unless_idle(self, number: int) -> None:
        """Another number may be chosen while no decider leads and no pair is on the switches or on its way."""
        loop = asyncio.get_running_loop()
        watch = Leases("", number, "", is_gone)
        until = loop.time() + TTL_S + BEAT_S
        while others := watch.leading(await self._bus.kv_items(LEASE_BUCKET), loop.time()):
            if loop.time() > until:
                raise self._refused(number, f"{', '.join(others)} leads by it")
            await asyncio.sleep(BEAT_S)
        under_way = [key for key, (value, _) in (await self._bus.kv_items(SAGA_BUCKET)).items() if _under_way(value)]
        if under_way:
            first = ", ".join(sorted(under_way)[:5])
            raise self._refused(number, f"{len(under_way)} pairs are on the switches or on their way: {first}")

    def _check_shards(self, found: Mapping[str, tuple[bytes, int]]) -> None:
        kept = found.get(SHARDS_KEY)
        if kept is not None and (number := _shards(kept[0])[0]) != self._shards:
            raise self._refused(number, "another decider changed it")

    def _refused(self, number: int, why: str) -> ConfigurationRefused:
        return ConfigurationRefused(
            f"--shards {self._shards}: this NATS account has {number}, and {why}. Start it with --shards {number}, or "
            "bring all pairs back first (ezpath revert) and stop the other deciders"
        )


def _deposed(task: asyncio.Task[None]) -> Deposed:
    """Why a term ended. Raises what it raised where that was something else."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, Deposed):
        return error
    raise error or RuntimeError("a term ended by itself")


def _shards(value: bytes) -> tuple[int, int]:
    raw = json.loads(value)
    return int(raw["shards"]), int(raw["since"])


def _under_way(record: bytes) -> bool:
    """Also where it cannot be read: then nobody knows."""
    try:
        return json.loads(record)["phase"] not in ("reverted", "rolled-back")
    except (ValueError, TypeError, KeyError):
        return True


# ---- processes on the same machine ---------------------------------------------


def this_process() -> str:
    """Names this process for others on the same machine: the boot, the pid namespace, the pid."""
    return f"{_place()}/{os.getpid()}"


def is_gone(process: str) -> bool:
    """It was a process of this machine's, and has ended: no need to wait for its leases to run out."""
    place, _, pid = process.rpartition("/")
    if not place or place != _place() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
