"""How a writer finds its switch or host: kept here, told to whoever asks, and published as it changes.

The decider listens for hosts that are gone; `ezpath status` shows all of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Literal, NoReturn

import structlog

from ezpath.bus import Bus, BusError
from ezpath.events import SwitchTables, TargetState

TELL_EVERY_S = 2.0
"""On core NATS nothing is kept: who comes later, or missed it, hears it again after this, seconds."""

State = Literal["starting", "in-sync", "differs", "standby", "unreachable"]


class Condition:
    """Of one target. Its writer calls :meth:`is_now`, and keeps :meth:`run` running."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._state: State = "starting"
        self._reason = ""
        self._since = time.time()
        self._compared_at: float | None = None
        self._items = 0
        self._changed = asyncio.Event()
        self.tables: SwitchTables | None = None
        """Of a switch: how full it was when it was last read back."""

    def is_now(self, state: State, reason: str = "") -> None:
        """``since`` stays while the state does, whatever the reason is by now."""
        if state != self._state:
            self._state, self._since = state, time.time()
            self._changed.set()
        self._reason = reason

    def compared(self, items: int, trouble: str = "") -> None:
        """It was read back; of the ``items`` that ought to be there, ``trouble`` says what could not be put right."""
        self._compared_at, self._items = time.time(), items
        self.is_now("differs" if trouble else "in-sync", trouble)

    def told(self) -> TargetState:
        """As of now."""
        return TargetState(
            self._target, self._state, self._since, time.time(), self._reason, self._compared_at, self._items
        )

    async def run(self, bus: Bus) -> NoReturn:
        """Publish it, at every change and every few seconds, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await bus.publish(self.told())
            except BusError as error:
                structlog.get_logger().debug("state not told", target=self._target, reason=str(error))
            try:
                async with asyncio.timeout(TELL_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
