"""What one switch ought to hold: KV's word, and where KV cannot be asked, what was last heard.

The shell around :class:`~ezpath_switch_writer.guard.Guards`, which remember.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from ezpath.bus import Bus, BusError
from ezpath.desired import Desired, keys_of, shard_of, switch_from_json
from ezpath.events import DESIRED_BUCKET
from ezpath.items import SwitchItem

from ezpath_switch_writer.guard import Guards


@dataclass(frozen=True, slots=True)
class Word:
    """``desired`` ought to be there. ``whole``: it is KV's word of this moment, so that all else ought not to."""

    desired: Desired[SwitchItem]
    whole: bool


class Wanted:
    """For one switch."""

    def __init__(self, bus: Bus, target: str, guards: Guards) -> None:
        self._bus = bus
        self._target = target
        self._guards = guards
        self._log = structlog.get_logger().bind(target=target)

    async def ask(self) -> Word | None:
        """KV's word, which is remembered; None where it says nothing. Raises BusError.

        Where a document is not understood, or all of them are gone, that is no word: what was heard before stands.
        """
        found: dict[str, tuple[bytes, int]] = {}
        for keys in keys_of(self._target):
            found |= await self._bus.kv_items(DESIRED_BUCKET, keys)
        understood = [self._learn(key, document) is not None for key, (document, _) in found.items()]
        desired = self._guards.desired
        return Word(desired, True) if understood and all(understood) and desired else self.remembered()

    async def within(self, seconds: float) -> Word | None:
        """The same, and what is remembered where KV takes longer than that or cannot be asked; the log says so."""
        try:
            async with asyncio.timeout(seconds):
                return await self.ask()
        except (BusError, TimeoutError) as error:
            word = self.remembered()
            self._log.warning(
                "what is offloaded could not be read",
                reason=str(error) or f"KV did not answer within {seconds:g} s",
                next="what was last known counts" if word else "nothing is known, the overlay goes first",
            )
            return word

    def remembered(self) -> Word | None:
        """What was heard so far; None where that is nothing."""
        known = self._guards.known()
        return Word(known, False) if known is not None else None

    @property
    def keys(self) -> tuple[str, ...]:
        """Where KV has documents about the switch; each for :meth:`changes`."""
        return keys_of(self._target)

    async def changes(self, keys: str) -> AsyncIterator[bool]:
        """Remember each new document. Yields True where commands alone will not bring the switch there."""
        async for change in self._bus.kv_watch(DESIRED_BUCKET, keys):
            if change.value is None:
                continue
            first = self._guards.desired is None
            anew = self._learn(change.key, change.value)
            if anew is not None:
                yield anew or first

    def _learn(self, key: str, document: bytes) -> bool | None:
        """Take note of it. Says whether generations count from anew; None where it cannot be understood."""
        try:
            return self._guards.learn(shard_of(key), switch_from_json(document))
        except ValueError as error:
            self._log.error("desired state not understood, left alone", key=key, reason=str(error))
            return None
