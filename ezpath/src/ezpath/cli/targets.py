"""Which switches and hosts there are: by the inventory, or by what KV and the writers say where none is given.

And what the services answer, as values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from ezpath.answers import ServiceStatus, from_document
from ezpath.bus import Bus
from ezpath.events import DESIRED_BUCKET
from ezpath.inventory import Inventory
from ezpath.malformed import MalformedEvent


def of_inventory(inventory: Inventory) -> frozenset[str]:
    return frozenset(
        [*(f"switch:{name}" for name in inventory.switches), *(f"host:{name}" for name in inventory.hosts)]
    )


async def wanted_somewhere(bus: Bus) -> frozenset[str]:
    """Those that a decider has ever said something about."""
    keys = await bus.kv_items(DESIRED_BUCKET)
    return frozenset(":".join(key.split(".")[:2]) for key in keys if key.startswith(("switch.", "host.")))


def told_by(answers: Iterable[ServiceStatus]) -> frozenset[str]:
    """Those that somebody writes."""
    return frozenset(state.target for answer in answers for state in answer.targets)


def statuses(documents: Iterable[Mapping[str, Any]]) -> list[ServiceStatus]:
    """What can be understood of services' answers; the log says what cannot."""
    found: list[ServiceStatus] = []
    for document in documents:
        try:
            answer = from_document(document)
        except MalformedEvent as error:
            structlog.get_logger().warning("answer not understood", reason=str(error))
            continue
        if isinstance(answer, ServiceStatus):
            found.append(answer)
    return found
