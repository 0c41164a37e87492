"""The saga's shell: carries inputs to the pure machine, and what comes out to KV and the bus, in an order that a crash
at any point survives.

For each input: first the records of the sagas that changed (compare-and-set), then what each target should hold, then
the commands. A crash in between leaves a record without its commands; :func:`ezpath.saga.resume` asks for them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog
from ezpath.bus import Bus, Conflict, Unavailable
from ezpath.desired import generation_of, items_to_json, key_of, to_json
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
from ezpath.saga import Saga, Settings, World, desired, resume, step
from ezpath.saga.machine import SagaInput
from ezpath.saga.model import saga_from_json, saga_to_json, world_of

T = TypeVar("T")
Clock = Callable[[], float]


class AnotherDecider(RuntimeError):
    """Somebody else writes the sagas' records."""


class Keeper:
    """The one that moves the world. Inputs are taken one after the other."""

    def __init__(self, bus: Bus, inventory: Inventory, settings: Settings, clock: Clock) -> None:
        self._bus = bus
        self._inventory = inventory
        self._settings = settings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._revisions: dict[tuple[str, str], int] = {}
        self._installed: dict[str, str] = {}
        self._log = structlog.get_logger()
        self.world = World()

    async def start(self) -> None:
        """Read the records that were kept, and take up every saga where it was."""
        records: list[Saga] = []
        for key, (value, revision) in (await self._insist(lambda: self._bus.kv_items(SAGA_BUCKET))).items():
            self._revisions[(SAGA_BUCKET, key)] = revision
            try:
                saga = saga_from_json(value)
            except ValueError as error:
                self._log.error("saga record not understood, left alone", key=key, reason=str(error))
                continue
            if self._inventory.pair_by_id(saga.pair) is None:
                self._log.warning("saga of a pair that the inventory no longer has, forgotten", pair=saga.pair)
                continue
            records.append(saga)
        generation = 0
        for key, (value, revision) in (await self._insist(lambda: self._bus.kv_items(DESIRED_BUCKET))).items():
            self._revisions[(DESIRED_BUCKET, key)] = revision
            generation = max(generation, generation_of(value))
        async with self._lock:
            world, events = resume(world_of(records, generation), self._clock(), self._inventory, self._settings)
            await self._commit(world, events)
        self._log.info("sagas taken up", known=len(records), resumed=sum(isinstance(e, SagaStep) for e in events))

    async def give(self, inputs: Iterable[SagaInput]) -> None:
        """Move the world by each input, and carry out what follows."""
        async with self._lock:
            for event in inputs:
                world, events = step(self.world, event, self._clock(), self._inventory, self._settings)
                if world is not self.world or events:
                    await self._commit(world, events)

    async def _commit(self, world: World, events: tuple[JsonEvent, ...]) -> None:
        before, self.world = self.world, world
        for pair, saga in world.sagas.items():
            if before.sagas.get(pair) != saga:
                await self._put(SAGA_BUCKET, pair, saga_to_json(saga))
        if world.sagas != before.sagas or not self._installed:
            await self._put_desired(world)
        for event in events:
            await self._insist(lambda event=event: self._bus.publish(event, msg_id=_msg_id(event)))  # type: ignore[misc]
            self._tell(event)

    async def _put_desired(self, world: World) -> None:
        for target, items in desired(world, self._inventory).items():
            body = items_to_json(items)
            if self._installed.get(target) == body:
                continue
            await self._put(DESIRED_BUCKET, key_of(target), to_json(world.generation, body))
            self._installed[target] = body

    async def _put(self, bucket: str, key: str | PairId, value: bytes) -> None:
        """Compare-and-set. Raises :class:`AnotherDecider` when the record is not as this one left it."""
        place = (bucket, str(key))
        try:
            revision = await self._insist(
                lambda: self._bus.kv_put_cas(bucket, str(key), value, self._revisions.get(place))
            )
        except Conflict:
            if await self._insist(lambda: self._bus.kv_get(bucket, str(key))) is not None:
                raise AnotherDecider(
                    f"{bucket}/{key} was written by somebody else. Run one decider for each NATS account"
                ) from None
            # The server lost its store: what we know is the truth.
            revision = await self._insist(lambda: self._bus.kv_put_cas(bucket, str(key), value, None))
        self._revisions[place] = revision

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Wait for NATS as long as it takes: the world must not move while nobody can be told."""
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                self._log.warning("waiting for NATS", reason=str(error))
                await asyncio.sleep(0.5)

    def _tell(self, event: JsonEvent) -> None:
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
