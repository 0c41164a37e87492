"""A source of endpoints for Nomad: running allocations of jobs whose metadata says which tenant's they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import aiohttp
from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.sources import Found, SourceAway
from ezpath.inventory.sources.source import endpoint_from
from pydantic import BaseModel


class NomadSettings(BaseModel):
    url: str
    wait_s: int = 60


class NomadSource:
    Settings: ClassVar[type[BaseModel]] = NomadSettings

    def __init__(self, name: str, settings: NomadSettings) -> None:
        self._settings = settings

    async def watch(self) -> AsyncIterator[Found]:
        index, known = "0", dict[str, Mapping[str, Any]]()
        try:
            async with aiohttp.ClientSession(self._settings.url, raise_for_status=True) as nomad:
                while True:
                    query = {"index": index, "wait": f"{self._settings.wait_s}s"}
                    async with nomad.get("/v1/allocations", params=query) as answer:
                        index, listed = answer.headers["X-Nomad-Index"], await answer.json()
                    running = [each["ID"] for each in listed if each["ClientStatus"] == "running"]
                    for each in running:
                        if each not in known:
                            async with nomad.get(f"/v1/allocation/{each}") as answer:
                                known[each] = await answer.json()
                    known = {each: known[each] for each in running}
                    yield _found(known.values())
        except (aiohttp.ClientError, TimeoutError, KeyError) as error:
            raise SourceAway(f"Nomad at {self._settings.url} does not answer: {error}") from None


def _found(allocations: Any) -> Found:
    endpoints: list[EndpointConfig] = []
    problems: list[str] = []
    for each in allocations:
        meta = {key: text for key, text in (each["Job"]["Meta"] or {}).items() if key.startswith("ezpath_")}
        said = {key.removeprefix("ezpath_"): text for key, text in meta.items()}
        if "tenant" in said:
            address = (each.get("NetworkStatus") or {}).get("Address")
            try:
                endpoints.append(endpoint_from({"ip": address, "host": each["NodeName"], **said}))
            except ValueError as error:
                problems.append(f"allocation {each['Name']}: {error}")
    return Found(tuple(endpoints), tuple(problems))
