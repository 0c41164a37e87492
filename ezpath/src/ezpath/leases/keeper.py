"""Keeps a member's leases in KV, and a task running for each thing that it has. Adapter around ``leases``.

KV is watched, so that what one gives up another takes at once; every beat the member's own key is renewed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NoReturn

import structlog

from ezpath.bus import Bus, BusError, Conflict, KvChange, KvWrite
from ezpath.events import LEASE_BUCKET
from ezpath.leases.leases import Found, Leases, Write
from ezpath.tasks import end

FAREWELL_S = 1.0
TOGETHER_S = 0.01
"""Changes that come so close are looked at as one, seconds."""

Hold = Callable[[str, int], Awaitable[None]]
"""Have a thing, in an epoch: runs until cancelled, when the lease is another's or is to be left to another."""


class Deposed(BusError):
    """Raised by whoever has a thing: the fence says that somebody else has it, by a later epoch."""

    def __init__(self, message: str, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(message)


class Keeper:
    """:meth:`run` it. ``hold`` is begun for each thing that this member has."""

    def __init__(
        self,
        bus: Bus,
        leases: Leases,
        hold: Hold,
        *,
        what: str,
        also: Iterable[str] = (),
        check: Callable[[Found], None] = lambda _: None,
    ) -> None:
        """``what`` things are called in the log. ``check`` is shown all at every look, and the keys ``also``."""
        self.settled = asyncio.Event()
        """Set when it was seen for the first time what there is to have, and that has been begun."""
        self._bus = bus
        self._leases = leases
        self._hold = hold
        self._what = what
        self._check = check
        self._patterns = (f"{leases.space.things}.>", f"{leases.space.members}.>", *also)
        self._view: dict[str, tuple[bytes, int]] = {}
        self._known = False
        self._news: dict[str, KvChange] = {}
        self._changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._epochs: dict[str, int] = {}
        self._complained = False
        self._log = structlog.get_logger().bind(member=leases.me)

    @property
    def held(self) -> Mapping[str, int]:
        """What it has, and the epoch of each."""
        return self._leases.held

    def certain(self) -> bool:
        """Nobody else can have what is held: this process was not asleep, and NATS knows of it."""
        return self._leases.certain(asyncio.get_running_loop().time())

    async def run(self) -> NoReturn:
        """Until cancelled; then everything is given up at once."""
        watches = [asyncio.create_task(self._watch(keys), name=f"leases-{keys}") for keys in self._patterns]
        try:
            while True:
                due = asyncio.get_running_loop().time() + self._leases.timing.beat_s
                await self._beat()
                await self._wait(due, watches)
        finally:
            await end(watches)
            await self._leave()

    # ---- looking ------------------------------------------------------------

    async def _watch(self, keys: str) -> None:
        async for change in self._bus.kv_watch(LEASE_BUCKET, keys):
            before = self._view.get(change.key)
            if before is not None and before[1] >= change.revision:
                continue
            self._news[change.key] = change
            if change.value is None:
                self._view.pop(change.key, None)
            else:
                self._view[change.key] = change.value, change.revision
            if before is None or before[0] != change.value:
                self._changed.set()  # a renewal is no news

    async def _list(self) -> None:
        self._news.clear()
        found: dict[str, tuple[bytes, int]] = {}
        for keys in self._patterns:
            found |= await self._bus.kv_items(LEASE_BUCKET, keys)
        for change in self._news.values():  # what changed behind the listing's back
            if change.value is None:
                found.pop(change.key, None)
            elif change.revision > found.get(change.key, (b"", 0))[1]:
                found[change.key] = change.value, change.revision
        self._view, self._known = found, True

    async def _wait(self, due: float, watches: Iterable[asyncio.Task[None]]) -> None:
        """Until the next beat; wakes up early when leases change, or a task ends by itself."""
        loop = asyncio.get_running_loop()
        changed = asyncio.create_task(self._changed.wait())
        everything = (changed, *watches, *self._tasks.values())
        await asyncio.wait(everything, timeout=max(0.0, due - loop.time()), return_when=asyncio.FIRST_COMPLETED)
        if not changed.done():
            changed.cancel()
        elif self._changed.is_set():
            await asyncio.sleep(TOGETHER_S)
        for watch in watches:
            if watch.done():
                watch.result()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        self._bury_ended()
        try:
            async with asyncio.timeout(self._leases.timing.ttl_s):
                self._changed.clear()
                # Whoever slept has what is new still before him: what he knows is not what is.
                if not self._known or not self.certain():
                    await self._list()
                self._check(self._view)
                writes = self._leases.look(self._view, loop.time())
            await self._end(self._tasks.keys() - self._leases.held.keys(), "another has it")
            await self._end({write.gives_up for write in writes if write.gives_up is not None}, "left to another")
            async with asyncio.timeout(self._leases.timing.ttl_s):
                await self._write(writes)
        except (BusError, TimeoutError) as error:
            self._known = False
            if not self._complained:
                self._complained = True
                self._log.warning("leases not looked at", reason=str(error) or "NATS does not answer", next="tried on")
            return
        self._complained = False
        for thing, epoch in self._leases.held.items():
            if thing not in self._tasks:
                self._begin(thing, epoch)
        self.settled.set()

    async def _write(self, writes: Iterable[Write]) -> None:
        """All at once. Where somebody was faster, the next look says who."""
        loop = asyncio.get_running_loop()
        puts: list[tuple[Write, KvWrite]] = []
        for write in writes:
            if write.value is None:
                await self._bus.kv_delete(LEASE_BUCKET, write.key)
                self._leases.written(write, 0, loop.time())
            else:
                puts.append((write, KvWrite(write.key, write.value, write.revision)))
        outcomes = await self._bus.kv_put_all(LEASE_BUCKET, [put for _, put in puts])
        for (write, put), outcome in zip(puts, outcomes, strict=True):
            if isinstance(outcome, Conflict):
                self._known = False  # what is there is not what we took it for
                self._changed.set()
            else:
                self._view[put.key] = put.value, outcome
                self._leases.written(write, outcome, loop.time())

    # ---- having -------------------------------------------------------------

    def _begin(self, thing: str, epoch: int) -> None:
        self._tasks[thing] = asyncio.ensure_future(self._hold(thing, epoch))
        self._tasks[thing].set_name(f"{self._what}-{thing}-{epoch}")
        self._epochs[thing] = epoch
        self._log.info(f"{self._what} taken", thing=thing, epoch=epoch)

    def _bury_ended(self) -> None:
        """Tasks that ended by themselves: deposed, or by a mistake that is not for us to hide."""
        for thing, task in list(self._tasks.items()):
            if not task.done():
                continue
            del self._tasks[thing]
            deposed = _deposed(task)
            self._leases.deposed(thing, deposed.epoch)
            self._log.warning(f"{self._what} lost", thing=thing, epoch=self._epochs[thing], reason=str(deposed))

    async def _end(self, things: Iterable[str], reason: str) -> None:
        ending = {thing: self._tasks.pop(thing) for thing in list(things) if thing in self._tasks}
        await end(ending.values())
        for thing in sorted(ending):
            self._log.info(f"{self._what} let go", thing=thing, epoch=self._epochs[thing], reason=reason)

    async def _leave(self) -> None:
        await self._end(set(self._tasks), "stopping")
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._write(self._leases.farewell())


def _deposed(task: asyncio.Task[None]) -> Deposed:
    """Why a task ended. Raises what it raised where that was something else."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, Deposed):
        return error
    raise error or RuntimeError("what was to be had until further notice ended by itself")
