"""Whoever ends a task gets it ended, even one that overhears the first word."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from ezpath.tasks import end, heed_cancellation


async def hard_of_hearing() -> None:
    """Swallows the first cancellation, as ``asyncio.wait_for`` may do, and goes on as if nothing had been."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    await asyncio.sleep(3600)


async def deaf(enough: asyncio.Event) -> None:
    while not enough.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)


async def failing() -> None:
    raise RuntimeError("of its own")


async def test_given_a_task_that_a_cancellation_passes_by_then_it_is_told_again():
    tasks = [asyncio.create_task(hard_of_hearing()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    # when both are ended, then both have ended, and nobody waits for ever
    async with asyncio.timeout(10):
        assert await end(tasks, again_s=0.01)
    assert tasks[0].cancelled() and tasks[1].done()


async def test_given_a_task_that_never_ends_then_whoever_ends_it_hears_so_in_time():
    enough = asyncio.Event()
    task = asyncio.create_task(deaf(enough))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert not await end((task,), again_s=0.01, within_s=0.05)
    enough.set()
    await task


async def test_given_a_cancellation_that_was_swallowed_then_it_is_heeded_behind_the_request():
    went_on = False

    async def request() -> None:
        nonlocal went_on
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        heed_cancellation()
        went_on = True

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on
