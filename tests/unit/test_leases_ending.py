"""Who gives something up ends the task that has it, even one that overhears the first word."""

from __future__ import annotations

import asyncio
import contextlib

from ezpath.leases.keeper import _ended


async def test_given_a_task_that_a_cancellation_passes_by_then_it_is_told_again():
    # given one that swallows the first, as `asyncio.wait_for` may do, and goes on as if nothing had been
    async def hard_of_hearing() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def failing() -> None:
        raise RuntimeError("of its own")

    tasks = [asyncio.create_task(hard_of_hearing()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    # when both are ended, then both have ended, and nobody waits for ever
    async with asyncio.timeout(10):
        await _ended(tasks)
    assert tasks[0].cancelled() and tasks[1].done()
