"""What the bucket ``ezpath_inventory`` holds: one document a host, with the endpoints there. Pure.

``{"v": 1, "endpoints": [{"name": "red-1", "tenant": "red", "vni": 5001, …, "source": "file"}]}`` under ``host.<name>``.
The VNI is in it, so that whoever reads needs no word on tenants that came after its start.

Documents change together: an endpoint that moves is in two of them, the first publication is all of them. So ``all``,
with the names of the hosts, is written after them, and whoever reads several takes over what came before that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ezpath.inventory import Endpoint
from ezpath.inventory.document import EndpointConfig, Name, VniField
from ezpath.inventory.model import endpoint_of
from ezpath.malformed import brief
from ezpath.names import EndpointName, HostName, Vni

VERSION = 1
ALL = "all"
"""The key that is written when all others are."""
Endpoints = tuple[Endpoint, ...]


class _Endpoint(EndpointConfig):
    """One of a document: as it may stand in the file, with the tenant's VNI and who told of it."""

    vni: VniField
    source: str


class _Hosts(BaseModel):
    hosts: tuple[Name, ...]


_ENDPOINTS: TypeAdapter[tuple[_Endpoint, ...]] = TypeAdapter(tuple[_Endpoint, ...])


def key_of(host: HostName) -> str:
    return f"host.{host}"


def to_json(endpoints: Iterable[Endpoint]) -> bytes:
    """The same bytes for the same endpoints, in whatever order they come."""
    listed = [asdict(endpoint) for endpoint in sorted(endpoints, key=lambda endpoint: endpoint.name)]
    return json.dumps({"v": VERSION, "endpoints": listed}, separators=(",", ":")).encode()


def from_json(document: bytes) -> Endpoints:
    """The reverse. Raises ValueError saying what is wrong with it."""
    try:
        read = _ENDPOINTS.validate_python(_read(document).get("endpoints"))
    except ValidationError as error:
        raise _refused("endpoints", error) from None
    return tuple(endpoint_of(each, Vni(each.vni), each.source) for each in read)


def by_host(endpoints: Iterable[Endpoint], hosts: Iterable[HostName]) -> Mapping[str, bytes]:
    """The documents, by key. Hosts without endpoints have an empty one: that says more than none."""
    there: dict[HostName, list[Endpoint]] = {host: [] for host in hosts}
    for endpoint in endpoints:
        there.setdefault(endpoint.host, []).append(endpoint)
    return {key_of(host): to_json(listed) for host, listed in there.items()}


def to_all(hosts: Iterable[HostName]) -> bytes:
    """What says that the documents of these hosts belong together."""
    return json.dumps({"v": VERSION, "hosts": sorted(hosts)}, separators=(",", ":")).encode()


class Listing:
    """All documents as one, taken in the order in which they were written."""

    def __init__(self) -> None:
        self._taken: dict[str, Endpoints] = {}
        self._waiting: dict[str, Endpoints] = {}

    def enter(self, key: str, document: bytes | None) -> bool:
        """A document came, or (None) is gone. True where it completes the others, and there is something to take over.

        Raises ValueError where it is not understood; then its host's endpoints stay as they were.
        """
        if key != ALL:
            self._waiting[key] = from_json(document) if document is not None else ()
            return False
        hosts = {key_of(host) for host in _hosts(document)} if document is not None else set()
        if not hosts or not hosts <= self._taken.keys() | self._waiting.keys():
            # Some were written anew since, and are still to come; or another store takes the place of one that is lost.
            return False
        for each in self._waiting:
            self._taken.pop(each, None)
        self._taken = {each: there for each, there in (self._taken | self._waiting).items() if each in hosts}
        self._waiting = {}
        return True

    def endpoints(self) -> Mapping[EndpointName, Endpoint]:
        """Where two documents have the same name or address, the newest word on it counts."""
        by_name = {endpoint.name: endpoint for there in self._taken.values() for endpoint in there}
        by_address = {(endpoint.vni, endpoint.mac): endpoint for endpoint in by_name.values()}
        return by_name if len(by_address) == len(by_name) else {each.name: each for each in by_address.values()}


def all_of(found: Mapping[str, bytes]) -> Mapping[EndpointName, Endpoint] | None:
    """The endpoints of a whole bucket; None where nothing was published to the end. What is no document is empty."""
    listing = Listing()
    for key, document in found.items():
        if key != ALL:
            try:
                listing.enter(key, document)
            except ValueError:
                listing.enter(key, None)
    with suppress(ValueError):
        if listing.enter(ALL, found.get(ALL)):
            return listing.endpoints()
    return None


def _hosts(document: bytes) -> tuple[HostName, ...]:
    try:
        return tuple(map(HostName, _Hosts.model_validate(_read(document)).hosts))
    except ValidationError as error:
        raise _refused("all", error) from None


def _read(document: bytes) -> dict[str, Any]:
    try:
        raw: Any = json.loads(document)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        raise ValueError(brief(f"not JSON: {error}")) from None
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise ValueError(f"no document of version {VERSION}")
    return raw


def _refused(what: str, error: ValidationError) -> ValueError:
    first = error.errors(include_url=False, include_input=False)[0]
    return ValueError(brief(f"{what}.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"))
