"""Listens to sources: who is heard, who is away, what each told last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.sources import Found, Source, SourceAway

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


class Listening:
    """What sources tell. One that is away keeps what it told last, for as long as it takes."""

    def __init__(self, last: Mapping[str, Iterable[EndpointConfig]]) -> None:
        self.changed = asyncio.Event()
        """Set when a source told something new."""
        self._found = {name: Found(tuple(endpoints)) for name, endpoints in last.items()}
        self._sources: dict[str, tuple[Source, asyncio.Task[None]]] = {}
        self._log = structlog.get_logger()

    def found(self) -> Mapping[str, Found]:
        """What each told last, in the file's order."""
        return {name: self._found[name] for name in self._sources if name in self._found}

    def listen_to(self, sources: Mapping[str, Source], same: Iterable[str] = ()) -> None:
        """From now on to these. Those that are the ``same`` as before are not disturbed."""
        kept = {name: self._sources.pop(name) for name in same if name in self._sources}
        self.stop()
        for name in [name for name in self._found if name not in sources]:
            del self._found[name]
        self._sources = {
            name: kept[name] if name in kept else (source, asyncio.create_task(self._hear(name, source), name=name))
            for name, source in sources.items()
        }
        self.changed.set()

    def stop(self) -> None:
        """No longer to anybody."""
        for _, task in self._sources.values():
            task.cancel()
        self._sources = {}

    async def _hear(self, name: str, source: Source) -> None:
        pause_s, away = FIRST_PAUSE_S, False
        while True:
            reason = "it ended"
            try:
                async for found in source.watch():
                    if away or name not in self._found:
                        self._log.info("source heard", source=name, endpoints=len(found.endpoints))
                    pause_s, away = FIRST_PAUSE_S, False
                    self._found[name] = found
                    self.changed.set()
            except SourceAway as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - somebody's source must not take the others down
                reason = f"{type(error).__name__}: {error}"
                self._log.error("source failed", source=name, exc_info=error)
            if not away:
                self._log.warning("source away", source=name, reason=reason, next="what it told last stays")
            away = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
