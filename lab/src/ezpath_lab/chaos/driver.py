"""Moves tunnels back and forth, without a pause, by the same requests that the decider's own policy publishes.

Knows from the stream what became of each request, and from the records where it cannot know otherwise.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ezpath.bus import FENCE, Bus, BusError
from ezpath.events import SAGA_BUCKET, OffloadRequested, RevertRequested, SagaOutcome
from ezpath.names import PairId, Tenant

from ezpath_lab.chaos.needs import Record, record_of
from ezpath_lab.workload import Pair

State = Literal["off", "going", "on", "coming", "unsure"]
STAY_S = (0.1, 1.0)
"""How long a pair stays where it came to rest."""
OVERDUE_S = 12.0
"""Nothing heard of a request for so long: look at the records, and ask again."""
TURN_BACK = 0.08
"""Of the offloads, how many are asked back before they can be active."""
_TICK_S = 0.05


@dataclass(slots=True)
class _Mover:
    pair: Pair
    state: State = "unsure"
    due: float = 0.0
    since: float = 0.0


@dataclass(slots=True)
class Tally:
    """What became of sagas, each outcome of each saga once."""

    outcomes: dict[str, int] = field(default_factory=lambda: {"active": 0, "reverted": 0, "rolled-back": 0})
    reasons: dict[str, int] = field(default_factory=dict)
    """Of the rolled back."""

    @property
    def switch_overs(self) -> int:
        return self.outcomes["active"] + self.outcomes["reverted"]


class Driver:
    """:meth:`run` it as a task."""

    def __init__(self, bus: Bus, pairs: Sequence[Pair], dice: random.Random) -> None:
        self._bus = bus
        self._movers = {pair.id: _Mover(pair) for pair in pairs}
        self._dice = dice
        self._asking: set[asyncio.Task[None]] = set()
        self._seen: set[tuple[str, str]] = set()
        self._moving = False
        self.tally = Tally()

    @property
    def pairs(self) -> Sequence[str]:
        return tuple(self._movers)

    def move(self) -> None:
        """From now on, pairs move."""
        self._moving = True

    def pause(self) -> None:
        """Nothing new is asked for; what was asked for goes on."""
        self._moving = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._ask())

    async def records(self) -> list[Record]:
        """All sagas' records as they are now. Raises BusError."""
        found = await self._bus.kv_items(SAGA_BUCKET)
        return [record_of(value) for key, (value, _) in found.items() if not key.startswith(FENCE)]

    async def at_rest(self, timeout_s: float) -> list[Record]:
        """Those that did not come to rest within ``timeout_s``; empty when all did. Call :meth:`pause` first."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                moving = [record for record in await self.records() if not record.at_rest]
                if not moving and not self._asking:
                    # A request may be in the stream and not in a record yet: look twice.
                    await asyncio.sleep(0.3)
                    moving = [record for record in await self.records() if not record.at_rest]
                    if not moving:
                        return []
            except BusError:
                moving = []
            if time.monotonic() > deadline:
                return moving or [Record("(NATS)", "no answer", False)]
            await asyncio.sleep(0.1)

    async def revert_all(self, timeout_s: float) -> list[Record]:
        """Everything back to the overlay. Returns those that are not there by then."""
        deadline = time.monotonic() + timeout_s
        self.pause()
        while True:
            left = [record for record in await self.records() if record.phase not in ("reverted", "rolled-back")]
            if not left or time.monotonic() > deadline:
                return left
            for record in left:
                if record.phase == "active":
                    await self._request(self._movers[record.pair].pair, "revert")
            await asyncio.sleep(2.0)

    async def _listen(self) -> None:
        async for delivery in self._bus.follow(["ezpath.saga.outcome.>"], await self._bus.last_sequence()):
            event = delivery.event
            if not isinstance(event, SagaOutcome) or (event.saga, event.outcome) in self._seen:
                continue
            self._seen.add((event.saga, event.outcome))
            self.tally.outcomes[event.outcome] += 1
            if event.outcome == "rolled-back":
                self.tally.reasons[event.reason] = self.tally.reasons.get(event.reason, 0) + 1
            mover = self._movers.get(event.pair)
            if mover is not None:
                self._rest(mover, "on" if event.outcome == "active" else "off")

    def _rest(self, mover: _Mover, state: State) -> None:
        mover.state, mover.since = state, time.monotonic()
        mover.due = mover.since + self._dice.uniform(*STAY_S)

    async def _ask(self) -> None:
        while True:
            now = time.monotonic()
            if self._moving:
                for mover in self._movers.values():
                    if mover.state in ("on", "off") and now >= mover.due:
                        self._start(mover, "offload" if mover.state == "off" else "revert")
            overdue = [m for m in self._movers.values() if m.state not in ("on", "off") and now - m.since > OVERDUE_S]
            if overdue:
                await self._look(overdue)
            await asyncio.sleep(_TICK_S)

    async def _look(self, movers: Sequence[_Mover]) -> None:
        try:
            records = {record.pair: record for record in await self.records()}
        except BusError:
            return
        for mover in movers:
            record = records.get(mover.pair.id)
            if record is None or record.at_rest:
                self._rest(mover, "on" if record is not None and record.phase == "active" else "off")
            else:
                mover.since = time.monotonic()

    def _start(self, mover: _Mover, what: Literal["offload", "revert"]) -> None:
        mover.state, mover.since = ("going" if what == "offload" else "coming"), time.monotonic()
        task = asyncio.create_task(self._ask_for(mover.pair, what))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask_for(self, pair: Pair, what: Literal["offload", "revert"]) -> None:
        try:
            await self._request(pair, what)
            if what == "offload" and self._dice.random() < TURN_BACK:
                await asyncio.sleep(self._dice.uniform(0, 0.4))
                await self._request(pair, "revert")
        except BusError:
            return  # it is overdue some day, and asked for again

    async def _request(self, pair: Pair, what: Literal["offload", "revert"]) -> None:
        name, tenant, now = PairId(pair.id), Tenant(pair.tenant), time.time()
        if what == "offload":
            await self._bus.publish(OffloadRequested(name, tenant, "chaos", 1e6, now))
        else:
            await self._bus.publish(RevertRequested(name, tenant, "chaos", now))
