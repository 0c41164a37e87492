"""How a bus is doing, in numbers that anybody may read at any time: what metrics tell."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ezpath.bus.consumer import Delivery

E = TypeVar("E")


@dataclass(slots=True)
class Lag:
    """How far one consumer is behind."""

    pending: int = 0
    """Messages that waited for it when it was given the last ones."""
    _at: list[float] = field(default_factory=list)
    """Of each batch that it is working on, when the oldest event was stored."""

    @property
    def oldest_at(self) -> float | None:
        """When the oldest event that it is working on was stored; None while it has nothing to do."""
        return min(self._at, default=None)

    def seconds(self) -> float:
        """The age of that event; 0 while there is none."""
        oldest_at = self.oldest_at
        return 0.0 if oldest_at is None else max(0.0, time.time() - oldest_at)

    async def over(self, handler: Callable[[list[Delivery[E]]], Awaitable[None]], batch: list[Delivery[E]]) -> None:
        """Have ``batch`` handled, and be behind meanwhile."""
        if not batch:
            return await handler(batch)
        at = min(each.published_at for each in batch)
        self.pending = batch[-1].pending
        self._at.append(at)
        try:
            await handler(batch)
        finally:
            self._at.remove(at)


@dataclass(slots=True)
class Vitals:
    """One bus's."""

    connected: bool = False
    connections: int = 0
    """Made so far; all but the first one after one that was lost."""
    buried: int = 0
    """Dead letters that this bus sent."""
    missed: int = 0
    """What came over core NATS faster than it was dealt with, and was dropped: samples, which the next one heals."""
    lags: dict[str, Lag] = field(default_factory=dict)
    """By consumer."""
