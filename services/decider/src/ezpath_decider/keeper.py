"""The saga's shell: carries inputs to the pure machine, and its effects to KV and the bus, in the order they come in.

The order is the machine's (``ezpath/saga/effects.py``): records, what targets should hold, then what is said. A crash
in between leaves a record without its commands; :func:`ezpath.saga.resume` asks for them again.
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
from ezpath.saga import (
    Effects,
    Keep,
    Saga,
    SagaInput,
    Settings,
    Want,
    World,
    resume,
    saga_from_json,
    saga_to_json,
    step,
    world_of,
)

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
        self._log = structlog.get_logger()
        self.world = World()

    async def start(self) -> None:
        """Read the records that were kept, and take up every saga where it was."""
        records: list[Saga] = []
        generation = 0
        for key, (value, revision) in (await self._insist(lambda: self._bus.kv_items(SAGA_BUCKET))).items():
            self._revisions[(SAGA_BUCKET, key)] = revision
            # Of those that are not understood as well: a generation is never given twice.
            generation = max(generation, generation_of(value))
            try:
                records.append(saga_from_json(value, self._inventory))
            except ValueError as error:
                self._log.error("saga record not understood, left alone", key=key, reason=str(error))
        for key, (value, revision) in (await self._insist(lambda: self._bus.kv_items(DESIRED_BUCKET))).items():
            self._revisions[(DESIRED_BUCKET, key)] = revision
            generation = max(generation, generation_of(value))
        async with self._lock:
            world, effects = resume(world_of(records, generation), self._clock(), self._inventory, self._settings)
            await self._carry_out(world, effects)
        self._log.info("sagas taken up", known=len(records), resumed=sum(isinstance(e, SagaStep) for e in effects))

    async def give(self, inputs: Iterable[SagaInput]) -> None:
        """Move the world by each input, and carry out what follows."""
        async with self._lock:
            for event in inputs:
                world, effects = step(self.world, event, self._clock(), self._inventory, self._settings)
                await self._carry_out(world, effects)

    async def _carry_out(self, world: World, effects: Effects) -> None:
        """In the order in which they come: that is what makes a crash at any point harmless."""
        self.world = world
        for effect in effects:
            match effect:
                case Keep():
                    await self._put(SAGA_BUCKET, effect.saga.pair, saga_to_json(effect.saga))
                case Want():
                    document = to_json(effect.generation, items_to_json(effect.items))
                    await self._put(DESIRED_BUCKET, key_of(effect.target), document)
                case _:
                    await self._publish(effect)

    async def _publish(self, event: JsonEvent) -> None:
        await self._insist(lambda: self._bus.publish(event, msg_id=_msg_id(event)))
        self._tell(event)

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
