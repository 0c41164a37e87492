"""Whose turn it is: of many switches a few are read at a time, so that this process gets round to everything else.

Cells are made columns in one go each. Hundreds that begin together would keep a collector for seconds from renewing its
leases: others would take it for dead, and have its switches to begin with as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 8
"""One is taken apart while the switches of the others are at theirs; more would only take memory."""
PATIENCE_S = 1.0
"""A switch that takes longer is waited for beside the others, not before them, seconds."""


class Turns:
    """Share one among all pollers of a process. Who waits longest is next."""

    def __init__(self, at_once: int = AT_ONCE, patience_s: float = PATIENCE_S) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._patience_s = patience_s

    @asynccontextmanager
    async def mine(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it; it passes on at the end, or when patience is."""
        await self._free.acquire()
        passed_on = False

        def pass_on() -> None:
            nonlocal passed_on
            if not passed_on:
                passed_on = True
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._patience_s, pass_on)
        try:
            yield
        finally:
            timer.cancel()
            pass_on()
