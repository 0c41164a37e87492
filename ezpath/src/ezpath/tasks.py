"""Cancelling tasks of which a library may forget that they were cancelled.

nats-py takes a cancellation in the middle of a request for a timeout; ``asyncio.wait_for`` of Python 3.11 gives the
answer instead where that has just come (CPython issue 86296).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.5


def heed_cancellation() -> None:
    """Raise where this task was cancelled and it was forgotten. To be asked behind each request."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(tasks: Iterable[asyncio.Task[Any]], *, again_s: float = AGAIN_S, within_s: float | None = None) -> bool:
    """Cancel ``tasks`` every ``again_s`` seconds until all have ended; whether they have after ``within_s``.

    What they raised is of no interest to whoever ends them.
    """
    everything = list(tasks)
    left = {task for task in everything if not task.done()}
    rounds = 0
    while left and (within_s is None or rounds * again_s < within_s):
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_s)
        rounds += 1
    for task in everything:
        if task.done() and not task.cancelled():
            task.exception()  # else it is complained of as never having been looked at
    return not left
