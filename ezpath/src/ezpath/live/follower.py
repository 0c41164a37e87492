"""From the bucket ``ezpath_inventory`` to an inventory, or to the endpoints of one host, as they change.

A document that is not understood is said and left alone: its host's endpoints stay as they were. Without NATS nothing
changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from ezpath.bus import Bus, BusError
from ezpath.events import INVENTORY_BUCKET
from ezpath.inventory import Endpoint, Inventory
from ezpath.live.records import Listing, all_of, from_json, key_of
from ezpath.names import HostName

Endpoints = tuple[Endpoint, ...]


async def published(bus: Bus, network: Inventory) -> Inventory | None:
    """``network`` with the endpoints that are published now; None where none ever were. Waits for NATS."""
    while True:
        try:
            found = await bus.kv_items(INVENTORY_BUCKET)
            break
        except BusError as error:
            structlog.get_logger().warning("inventory not read", reason=str(error))
    endpoints = all_of({key: document for key, (document, _) in found.items()})
    return network.with_endpoints(endpoints.values()) if endpoints is not None else None


async def follow(bus: Bus, network: Inventory) -> AsyncIterator[Inventory]:
    """``network`` with the published endpoints, now and after every change; nothing before any were published."""
    listing = Listing()
    async for change in bus.kv_watch(INVENTORY_BUCKET):
        try:
            complete = listing.enter(change.key, change.value)
        except ValueError as error:
            _not_understood(change.key, error)
            continue
        if complete:
            # With many endpoints it takes a while, and others have to be heard meanwhile.
            yield await asyncio.to_thread(lambda: network.with_endpoints(listing.endpoints().values()))


async def endpoints_of(bus: Bus, network: Inventory, host: HostName) -> Endpoints:
    """The endpoints on ``host``: those that were published, or the file's where none were. Waits for NATS."""
    while True:
        try:
            found = await bus.kv_get(INVENTORY_BUCKET, key_of(host))
            if found is not None:
                return from_json(found[0])
        except BusError as error:
            structlog.get_logger().warning("inventory not read", host=host, reason=str(error))
            continue
        except ValueError as error:
            _not_understood(key_of(host), error)
        return tuple(endpoint for endpoint in network.endpoints.values() if endpoint.host == host)


async def follow_host(bus: Bus, host: HostName) -> AsyncIterator[Endpoints]:
    """The endpoints on ``host``, now and after every change; nothing before any were published."""
    async for change in bus.kv_watch(INVENTORY_BUCKET, key_of(host)):
        try:
            yield from_json(change.value) if change.value is not None else ()
        except ValueError as error:
            _not_understood(change.key, error)


def _not_understood(key: str, error: ValueError) -> None:
    structlog.get_logger().error("inventory record not understood, what was known holds on", key=key, reason=str(error))
