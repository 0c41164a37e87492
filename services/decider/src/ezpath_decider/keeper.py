"""The saga's shell: carries inputs to the pure machine, and its effects to KV and the bus, in the order they come in.

The order is the machine's (``ezpath/saga/effects.py``): records, what targets should hold, then what is said. All
inputs that wait are taken together, and what follows from them is carried out as one (``ezpath/saga/batch.py``). A
crash in between leaves a record without its commands; :func:`ezpath.saga.resume` asks for them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NoReturn

import structlog
from ezpath.bus import Bus, Saying
from ezpath.desired import generation_of
from ezpath.events import (
    DESIRED_BUCKET,
    SAGA_BUCKET,
    HostCommand,
    JsonEvent,
    SagaOutcome,
    SagaStep,
    SwitchCommand,
)
from ezpath.inventory import Inventory
from ezpath.names import PairId
from ezpath.saga import (
    Admit,
    Effects,
    InventoryChanged,
    Saga,
    SagaInput,
    Settings,
    Want,
    World,
    desired,
    rested_anew,
    resume,
    saga_from_json,
    saga_to_json,
    step,
    world_of,
)
from ezpath.saga.batch import Batch

from ezpath_decider.cabinet import Cabinet
from ezpath_decider.ledger import Emptied, Ledger

Clock = Callable[[], float]
PACE_S = 0.01
"""From one batch to the next, at least, seconds: what is written and said for one costs far more than a saga in it."""


class Keeper:
    """The one that moves the world of one shard, for one term."""

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        inventory: Inventory,
        settings: Settings,
        clock: Clock,
        on_event: Callable[[JsonEvent], None] = lambda event: None,
    ) -> None:
        """``on_event``: told of each event that was said."""
        self._bus = bus
        self._ledger = ledger
        self._inventory = inventory
        self._settings = settings
        self._clock = clock
        self._on_event = on_event
        self._waiting: list[tuple[tuple[SagaInput, ...], asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._open: list[Batch] = []
        """What follows from inputs that were taken, and nobody has begun to carry out."""
        self._under_way: list[Batch] = []
        """What is being carried out."""
        self._taken: list[asyncio.Future[None]] = []
        """Whose inputs those were."""
        self._ready = asyncio.Event()
        self._cabinet = Cabinet(settings.shard.number)
        self._told: tuple[Saga, ...] = ()
        """Sagas whose outcome is on the bus, and whose records do not say so yet."""
        self._log = structlog.get_logger().bind(shard=str(settings.shard))
        self.world = World()

    async def start(self) -> None:
        """Read the records that were kept, and take up every saga of the shard where it was."""
        mine: list[Saga] = []
        foreign: list[Saga] = []
        generation = 0
        records = await self._ledger.read(SAGA_BUCKET)
        until = self._clock() + self._settings.quarantine_s
        for key, value in records.items():
            # Of those that are not understood as well: a generation is never given twice.
            generation = max(generation, generation_of(value))
            try:
                saga = saga_from_json(value, self._inventory)
            except ValueError as error:
                self._log.error("saga record not understood, left alone", key=key, reason=str(error))
                continue
            if self._settings.shard.has_pair(PairId(key)):
                mine.append(saga)
            else:
                foreign.append(rested_anew(saga, until))
        pieces = await self._ledger.read(DESIRED_BUCKET)
        generation = max([generation, *map(generation_of, pieces.values())])
        self._cabinet = Cabinet.found(self._settings.shard.number, pieces)
        self.world = world_of(mine, generation, foreign)
        self.world, effects = resume(self.world, self._clock(), self._inventory, self._settings)
        await self._carry_out(effects)
        self._log.info("sagas taken up", known=len(mine), resumed=sum(isinstance(e, SagaStep) for e in effects))

    async def give(self, inputs: Iterable[SagaInput]) -> None:
        """Have the world moved by each input, and return when what follows is carried out."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((tuple(inputs), done))
        self._arrived.set()
        await done

    def adopt(self, inventory: Inventory) -> None:
        """From now on ``inventory``. Pairs that are no longer where their records say are brought back."""
        self._inventory = inventory
        self._waiting.append(((InventoryChanged(),), asyncio.get_running_loop().create_future()))
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled, or no longer the leader: :class:`~ezpath_decider.ledger.Deposed`.

        While one batch is carried out, which is mostly waiting for NATS, what comes is taken already, for the next one.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take())
            tasks.create_task(self._carry())

    async def _take(self) -> NoReturn:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            taken, self._waiting = self._waiting, []
            for effects in self._steps(event for inputs, _ in taken for event in inputs):
                if not self._open or not self._open[-1].fits(effects):
                    self._open.append(Batch())
                self._open[-1].add(effects)
            self._taken += (done for _, done in taken)
            self._ready.set()

    async def _carry(self) -> NoReturn:
        loop, next_at = asyncio.get_running_loop(), 0.0
        while True:
            await self._ready.wait()
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            next_at = loop.time() + PACE_S
            self._ready.clear()
            taken, self._taken = self._taken, []
            self._under_way, self._open = self._open, []
            for batch in self._under_way:
                await self._carry_out_batch(batch)
            self._under_way = []
            for done in taken:
                if not done.done():
                    done.set_result(None)

    def _steps(self, inputs: Iterable[SagaInput]) -> Iterator[Effects]:
        for event in inputs:
            yield self._step(event)
        if self.world.crowd.next(self._settings.under_way_most):
            yield self._step(Admit())

    def _step(self, event: SagaInput) -> Effects:
        self.world, effects = step(self.world, event, self._clock(), self._inventory, self._settings)
        return effects

    async def _carry_out(self, effects: Effects) -> None:
        batch = Batch()
        batch.add(effects)
        self._under_way = [batch]
        await self._carry_out_batch(batch)
        self._under_way = []

    async def _carry_out_batch(self, batch: Batch) -> None:
        """In the order that makes a crash at any point harmless.

        That an outcome is on the bus is written with the records of the next batch, which the next tick brings at the
        latest: nobody waits for it. A crash before that is one before the record, and the outcome is told again.
        """
        told, self._told = self._told, ()
        await self._keep((*told, *batch.records))
        await self._want(batch.documents)
        sayings = [Saying(event, _msg_id(event)) for event in batch.said]
        if sayings:
            await self._ledger.insist(lambda: self._bus.publish_all(sayings))
            for event in batch.said:
                self._tell(event)
        self._told = batch.told

    async def _keep(self, sagas: Iterable[Saga]) -> None:
        await self._put(SAGA_BUCKET, {saga.pair: saga_to_json(saga) for saga in sagas})

    async def _want(self, wants: Iterable[Want]) -> None:
        await self._put(DESIRED_BUCKET, self._cabinet.file(wants))

    async def _put(self, bucket: str, values: dict[str, bytes]) -> None:
        try:
            await self._ledger.put(bucket, values)
        except Emptied as error:
            self._log.error("NATS lost its store", reason=str(error))
            await self._ledger.open()
            await self._keep(self._records())
            generation, holds = self.world.generation, self.world.holds
            self._cabinet.lost()
            await self._want(Want(target, generation, holds) for target in desired(self.world, self._inventory))

    def _records(self) -> Iterator[Saga]:
        """All of this moment: ahead of what was said, for what follows from them is said next or asked for anew."""
        untold = {saga.pair for batch in (*self._under_way, *self._open) for saga in batch.told}
        for pair, saga in self.world.sagas.items():
            yield replace(saga, told=False) if pair in untold else saga

    def _tell(self, event: JsonEvent) -> None:
        self._on_event(event)
        match event:
            case SagaStep():
                self._log.info(
                    "saga step", saga=event.saga, phase=event.phase, targets=event.targets, reason=event.reason
                )
            case SagaOutcome():
                self._log.info("saga outcome", saga=event.saga, outcome=event.outcome, reason=event.reason)


def _msg_id(event: JsonEvent) -> str | None:
    """The same event said again after a crash is stored once."""
    match event:
        case SwitchCommand() | HostCommand():
            target = event.switch if isinstance(event, SwitchCommand) else event.host
            return f"command.{event.saga}.{event.generation}.{target}"
        case SagaOutcome():
            return f"outcome.{event.saga}.{event.outcome}"
        case _:
            return None
