"""What one switch ought to hold: KV's word, and where KV cannot be asked, what was last heard.

The shell around :class:`~ezpath_switch_writer.guard.Guards`, which remember.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from ezpath.bus import Bus, BusError
from ezpath.desired import Desired, switch_from_json
from ezpath.items import SwitchItem
from ezpath.wanted import Documents, NotWhole

from ezpath_switch_writer.guard import Guards


@dataclass(frozen=True, slots=True)
class Word:
    """``desired`` ought to be there. ``whole``: it is KV's word of this moment, so that all else ought not to."""

    desired: Desired[SwitchItem]
    whole: bool


class Wanted:
    """For one switch."""

    def __init__(self, bus: Bus, target: str, guards: Guards) -> None:
        self._documents = Documents[SwitchItem](bus, target, switch_from_json)
        self._guards = guards
        self._log = structlog.get_logger().bind(target=target)

    async def ask(self) -> Word | None:
        """KV's word, which is remembered; None where it says nothing. Raises BusError.

        Where a document is not whole, or all of them are gone, that is no word: what was heard before stands.
        """
        whole = True
        try:
            await self._documents.ask()
        except NotWhole as error:
            whole = False
            self._log.error("desired state not understood, left alone", reason=str(error))
        shards = self._documents.heard
        for shard in shards:
            self._learn(shard)
        desired = self._guards.desired
        return Word(desired, True) if whole and shards and desired else self.remembered()

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

    def with_commands(self, word: Word | None) -> Word | None:
        """``word``, and what commands have changed since: they follow from documents that are newer than it."""
        known = self.remembered()
        return word if word is None or known is None else Word(known.desired, word.whole)

    @property
    def keys(self) -> tuple[str, ...]:
        """Where KV has documents about the switch; each for :meth:`changes`."""
        return self._documents.keys

    async def changes(self, keys: str) -> AsyncIterator[bool]:
        """Remember each new document. Yields True where commands alone will not bring the switch there."""
        async for shard in self._documents.changes(keys):
            first = not self._guards.spoken
            anew = self._learn(shard)
            if anew is not None:
                yield anew or first

    def _learn(self, shard: int) -> bool | None:
        """Take note of what was heard. Says whether generations count from anew; None where that is no document yet."""
        document = self._documents.heard.get(shard)
        return None if document is None else self._guards.learn(shard, document)
