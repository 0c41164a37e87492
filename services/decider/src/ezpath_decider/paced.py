"""Long lists made a few at a time, so that nothing else in the process waits for all of one. Adapter.

A round tells of thousands of flows. Commands and answers of sagas that come meanwhile are dealt with in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

SLICE_S = 0.0005
"""How long others may wait for it, seconds."""
REST_S = 0.0015
"""How long they have for themselves then: a batch of a saga's is a dozen turns of the loop, each behind a slice."""

T = TypeVar("T")


async def paced(items: Iterable[T]) -> list[T]:
    """All of ``items``. Whoever makes them must not mind what happens in between."""
    loop = asyncio.get_running_loop()
    made: list[T] = []
    until = loop.time() + SLICE_S
    for item in items:
        made.append(item)
        if loop.time() > until:
            await asyncio.sleep(REST_S)
            until = loop.time() + SLICE_S
    return made
