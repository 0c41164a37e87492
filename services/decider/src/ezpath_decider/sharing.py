"""The shell around shared counting: carries orders and parts over NATS, for the one that decides and those that count.

    ezpath.share.order            from the one that decides, to all, once a round
    ezpath.share.part.<decider>   to it, from each that counts

Core NATS: what is lost is asked for again in the next round, and the flows concerned stay where they are meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog
from ezpath.bus import Bus, BusError
from ezpath.names import PairId
from ezpath.samples import FlowSample

from ezpath_decider.columns import I32
from ezpath_decider.counting import Counting
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Engine, Round
from ezpath_decider.gathering import Gathering
from ezpath_decider.parts import Order, Part

ORDER_SUBJECT = "ezpath.share.order"
PART_SUBJECT = "ezpath.share.part"
LEAST_WAIT_S = 0.25


class Sharing:
    """In each decider that was started with ``--share-flows``: counts its share, and decides where it is its turn."""

    def __init__(
        self, bus: Bus, name: str, engine: Engine, interval_s: float, warm_up_s: float, clock: Callable[[], float]
    ) -> None:
        self._bus = bus
        self._name = name
        self._engine = engine
        self._wait_s = max(LEAST_WAIT_S, interval_s / 2)
        self._warm_up_s = warm_up_s
        self._clock = clock
        self._counting = Counting(name, engine.directory)
        self._gathering: Gathering | None = None
        self._parts: dict[str, Part] = {}
        self._complete = asyncio.Event()
        self._log = structlog.get_logger()
        engine.series.gathered = 0

    async def start(self) -> None:
        await self._bus.subscribe_bulk(ORDER_SUBJECT, self._on_order)
        await self._bus.subscribe_bulk(f"{PART_SUBJECT}.{self._name}", self._on_part)

    def sample(self, sample: FlowSample) -> bool:
        return self._counting.sample(sample, self._clock())

    def forget(self) -> None:
        self._counting.forget(self._clock())

    def adopt(self, directory: Directory, numbers: I32) -> None:
        """Endpoints came, went or moved."""
        self._counting.adopt(directory, numbers)

    def rest(self) -> None:
        """Another one decides."""
        if self._gathering is not None:
            self._log.info("decides no longer")
        self._gathering = None

    async def round(self, strategy: str, asked: Collection[PairId]) -> Round:
        """Decide with what all have counted. Raises :class:`BusError` where nobody can be asked."""
        if self._gathering is None:
            self._gathering = Gathering(self._engine, self._name, self._warm_up_s)
            self._log.info("decides, with what all count")
        gathering = self._gathering
        before = gathering.owners
        order = gathering.order(strategy, self._clock(), asked)
        self._parts, self._complete = {}, asyncio.Event()
        await self._bus.publish_bulk(ORDER_SUBJECT, order.encode())
        try:
            async with asyncio.timeout(self._wait_s):
                await self._complete.wait()
        except TimeoutError:
            pass
        if set(before) != set(gathering.owners):
            self._log.info("flows are shared anew", among=sorted(set(gathering.owners)))
        if missing := set(order.owners) - self._parts.keys():
            self._log.warning("did not answer, its flows stay where they are", deciders=sorted(missing))
        return gathering.decide(self._parts.values(), order.now)

    async def _on_order(self, data: bytes) -> None:
        order = Order.decode(data)
        part = self._counting.answer(order, self._clock())
        try:
            await self._bus.publish_bulk(f"{PART_SUBJECT}.{order.sender}", part.encode())
        except BusError as error:
            self._log.warning("part not sent", to=order.sender, reason=str(error))

    async def _on_part(self, data: bytes) -> None:
        part, gathering = Part.decode(data), self._gathering
        if gathering is None or part.number != gathering.number:
            return
        self._parts[part.sender] = part
        if gathering.complete(self._parts):
            self._complete.set()
