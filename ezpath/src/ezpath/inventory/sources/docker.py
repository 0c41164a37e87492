"""A Docker host's containers: listed at first, and again after each event that may concern them.

Needs the package ``aiodocker`` (``pip install aiodocker``). It is imported when a source of this kind is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from ezpath.inventory.sources.docker_labels import DockerSettings, found
from ezpath.inventory.sources.source import Found, SourceAway

if TYPE_CHECKING:
    from aiodocker import Docker

CONCERN = frozenset({"start", "die", "destroy", "rename", "update", "connect", "disconnect"})
"""Events after which the list may be another one. (What is executed in a container has events of its own.)"""
SETTLE_S = 0.05
"""A container that starts has several events; they are answered with one list."""
ANSWER_S = 10.0


class DockerSource:
    """See :class:`~ezpath.inventory.sources.Source`."""

    Settings: ClassVar[type[BaseModel]] = DockerSettings

    def __init__(self, name: str, settings: DockerSettings) -> None:
        self._settings = settings
        try:
            import aiodocker
            import aiohttp
        except ImportError:
            raise SourceAway(f"source {name}: the package aiodocker is not installed. pip install aiodocker") from None
        self._open = aiodocker.Docker
        self._errors = (aiodocker.DockerError, aiohttp.ClientError, OSError, TimeoutError)

    async def watch(self) -> AsyncIterator[Found]:
        """All containers, whenever they may have changed."""
        url = self._settings.url
        try:
            async with self._open(url=url) as docker, self._events(docker) as events:
                while True:
                    yield await self._list(docker)
                    await self._until_news(events)
        except self._errors as error:
            raise SourceAway(
                f"the Docker daemon at {url} does not answer: {error or type(error).__name__}. "
                "See that it runs, and that url is right"
            ) from None

    @asynccontextmanager
    async def _events(self, docker: Docker) -> AsyncIterator[asyncio.Queue[dict[str, Any] | None]]:
        """The daemon's events from now on, by its own clock: what happens before a list is made is heard too."""
        async with asyncio.timeout(ANSWER_S):
            now = datetime.fromisoformat((await docker.system.info())["SystemTime"])
        heard = docker.events.subscribe(create_task=False)
        filters = '{"type":["container","network"]}'
        listening = asyncio.create_task(docker.events.run(since=f"{now.timestamp():.3f}", filters=filters))
        try:
            yield heard.queue
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _list(self, docker: Docker) -> Found:
        filters = f'{{"label":["{self._settings.label_prefix}tenant"],"status":["running","paused"]}}'
        async with asyncio.timeout(ANSWER_S):
            containers = await docker.containers.list(filters=filters)
        return found([container._container for container in containers], self._settings)

    async def _until_news(self, events: asyncio.Queue[dict[str, Any] | None]) -> None:
        """Until something happened, or nothing did for so long that a look is due."""
        try:
            async with asyncio.timeout(self._settings.resync_s):
                while not self._concerns(await events.get()):
                    pass
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_S)
        while not events.empty():
            self._concerns(events.get_nowait())

    def _concerns(self, event: dict[str, Any] | None) -> bool:
        if event is None:
            raise SourceAway(f"the Docker daemon at {self._settings.url} ended the stream of its events")
        return event.get("Action") in CONCERN
