"""From the inventory file and its sources to the bucket ``ezpath_inventory``. One process does it: the leading decider.

A file that is refused changes nothing: the last good one holds, and each mistake is said with file, line and field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import structlog

from ezpath.bus import Bus, BusError, Conflict
from ezpath.events import INVENTORY_BUCKET
from ezpath.inventory import Inventory, InventoryError, difference, load
from ezpath.inventory.document import Document, EndpointConfig
from ezpath.inventory.merging import merge
from ezpath.inventory.model import Endpoint
from ezpath.inventory.sources import SourceAway, open_sources
from ezpath.live import file
from ezpath.live.listening import Listening
from ezpath.live.records import ALL, all_of, by_host, to_all, to_json

SETTLE_S = 0.1
"""Changes that come within this time are published together."""
LOOK_AFTER_S = 5.0
RETRY_AFTER_S = 1.0
NO_ENDPOINTS = to_json(())


class Publisher:
    """Made with the file as it was read at the start; :meth:`run` it."""

    def __init__(self, bus: Bus, path: Path, inventory: Inventory) -> None:
        self._bus = bus
        self._path = path
        self._network = inventory
        """Switches and hosts stay as they were at the start; tenants are those of the newest good file."""
        self._document: Document = inventory.document
        self._version: file.Version = None
        self._listening = Listening({})
        self._endpoints: tuple[Endpoint, ...] = ()
        self._problems: frozenset[str] = frozenset()
        self._published: dict[str, tuple[bytes, int]] = {}
        self._log = structlog.get_logger()

    async def _begin(self) -> None:
        """Publish what there is to begin with: the file's endpoints, and what its sources told the last time."""
        self._version = file.look(self._path)
        self._document = await self._newest()
        self._network = self._with_tenants_of(self._document)
        sources = open_sources(self._document)
        self._published = await self._bus.kv_items(INVENTORY_BUCKET)
        self._listening = Listening(self._told_before())
        self._listening.listen_to(sources)
        await self._merge()
        await self._publish()

    async def run(self) -> NoReturn:
        """Until cancelled. Raises :class:`SourceAway` where a source can never work here; :class:`BusError`."""
        try:
            await self._begin()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_file())
                tasks.create_task(self._look_after())
                while True:
                    await self._listening.changed.wait()
                    await asyncio.sleep(SETTLE_S)
                    self._listening.changed.clear()
                    await self._merge()
                    try:
                        await self._publish()
                    except BusError as error:
                        self._log.warning("inventory not published", reason=str(error), next="tried again")
                        await asyncio.sleep(RETRY_AFTER_S)
                        self._listening.changed.set()
        finally:
            self._listening.stop()

    def _told_before(self) -> Mapping[str, list[EndpointConfig]]:
        """What sources told another publisher before this one: they may be away now."""
        known = all_of({key: document for key, (document, _) in self._published.items()}) or {}
        told: dict[str, list[EndpointConfig]] = {}
        for endpoint in known.values():
            if endpoint.source in self._document.sources:
                told.setdefault(endpoint.source, []).append(config_of(endpoint))
        return told

    async def _newest(self) -> Document:
        """The file as it is now: it may be long since it was read at the start."""
        try:
            return (await asyncio.to_thread(load, self._path)).document
        except InventoryError as error:
            self._refuse(error)
            return self._document

    # ---- the file -----------------------------------------------------------

    async def _watch_file(self) -> None:
        async for _ in file.changes(self._path, self._version):
            try:
                self._take((await asyncio.to_thread(load, self._path)).document)
            except (InventoryError, SourceAway) as error:
                self._refuse(error)

    def _refuse(self, error: InventoryError | SourceAway) -> None:
        for problem in error.problems if isinstance(error, InventoryError) else [error]:
            self._log.error("inventory refused, the one before holds on", reason=str(problem))

    def _take(self, document: Document) -> None:
        before, self._document = self._document, document
        if document.sources != before.sources:
            try:
                sources = open_sources(document)
            except SourceAway:
                self._document = before
                raise
            same = [name for name, config in document.sources.items() if before.sources.get(name) == config]
            self._listening.listen_to(sources, same)
        network = self._network.document
        if (document.switches, document.hosts) != (network.switches, network.hosts):
            self._log.warning(
                "switches or hosts changed in the inventory", next="taken up when the services are started anew"
            )
        self._network = self._with_tenants_of(document)
        self._log.info("inventory file taken", endpoints=len(document.endpoints), sources=list(document.sources))
        self._listening.changed.set()

    def _with_tenants_of(self, document: Document) -> Inventory:
        network = self._network.document
        return Inventory(
            document.model_copy(update={"switches": network.switches, "hosts": network.hosts, "endpoints": ()})
        )

    # ---- all together -------------------------------------------------------

    async def _merge(self) -> None:
        # With many endpoints it takes a while, and the process that leads has to be heard meanwhile.
        found = self._listening.found()
        told = {name: each.endpoints for name, each in found.items()}
        merged = await asyncio.to_thread(merge, self._network, self._document.endpoints, told)
        sources = [f"{name}: {problem}" for name, each in found.items() for problem in each.problems]
        problems = frozenset((*merged.problems, *sources))
        for problem in sorted(problems - self._problems):
            self._log.warning("endpoint left out", reason=problem)
        before, after = ({each.name: each for each in some} for some in (self._endpoints, merged.endpoints))
        if changes := await asyncio.to_thread(difference, before, after):
            self._log.info("endpoints changed", **changes.counts())
        self._endpoints, self._problems = merged.endpoints, problems

    async def _publish(self) -> None:
        """Write the documents that are not as they ought to be, then that they are. Raises :class:`BusError`."""
        hosts = self._network.hosts
        wanted = await asyncio.to_thread(by_host, self._endpoints, hosts)
        for key in sorted({*wanted, *self._published} - {ALL}):
            document = wanted.get(key, NO_ENDPOINTS)
            known = self._published.get(key)
            if known is None or known[0] != document:
                await self._write(key, document, known[1] if known else None)
        together, known = to_all(hosts), self._published.get(ALL)
        newest = max((revision for _, revision in self._published.values()), default=0)
        if known is None or known != (together, newest):
            await self._write(ALL, together, known[1] if known else None)

    async def _write(self, key: str, document: bytes, revision: int | None) -> None:
        try:
            written = await self._bus.kv_put_cas(INVENTORY_BUCKET, key, document, revision)
        except Conflict:
            # A publisher before this one was still at it, or the server lost its store: this one knows better.
            found = await self._bus.kv_get(INVENTORY_BUCKET, key)
            written = await self._bus.kv_put_cas(INVENTORY_BUCKET, key, document, found[1] if found else None)
        self._published[key] = document, written

    async def _look_after(self) -> None:
        """A NATS server may come back without its store: then everything is published anew."""
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            try:
                if await self._bus.kv_get(INVENTORY_BUCKET, ALL) != self._published.get(ALL):
                    self._published = await self._bus.kv_items(INVENTORY_BUCKET)
                    self._listening.changed.set()
            except BusError as error:
                self._log.debug("inventory not looked at", reason=str(error))


def config_of(endpoint: Endpoint) -> EndpointConfig:
    """An endpoint as its source told of it."""
    fields = {name: getattr(endpoint, name) for name in EndpointConfig.model_fields}
    return EndpointConfig.model_construct(**fields)
