"""From a container, as Docker's API lists it, to an endpoint. Pure.

A container with the label ``ezpath.tenant`` is an endpoint; what else is to be known comes from labels or, where there
are none, from the network that it is on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from ezpath.inventory.document import Document, EndpointConfig, Name, Text
from ezpath.inventory.sources.source import Found, Mistake, SourceSettings, endpoint_from, unknown, weight

Container = Mapping[str, Any]
"""One of ``GET /containers/json``."""


class DockerSettings(SourceSettings):
    """What may stand under a source of kind ``docker``."""

    host: Name
    """The host of the inventory whose containers these are."""
    tenants: tuple[Name, ...] = ()
    """Only these tenants may have containers here; all by default."""
    url: Text = "unix:///var/run/docker.sock"
    label_prefix: str = "ezpath."
    interface: Text = "{name}"
    """The container's interface in Open vSwitch, or its iface-id, where no label says it. ``{name}`` is the container's
    name, ``{id}`` its id, ``{id:.12}`` the first twelve letters of that."""
    resync_s: float = Field(default=60.0, ge=1)
    """All is listed again after so long without an event: a daemon that hangs is noticed by that."""

    def contradictions(self, document: Document) -> Iterator[Mistake]:
        yield from unknown("host", {"host": self.host}, document.hosts)
        yield from unknown("tenant", {f"tenants/{n}": name for n, name in enumerate(self.tenants)}, document.tenants)


def found(containers: Iterable[Container], settings: DockerSettings) -> Found:
    """The endpoints among running ``containers``, in the order of their names."""
    endpoints: list[EndpointConfig] = []
    problems: list[str] = []
    for container in sorted(containers, key=name_of):
        if f"{settings.label_prefix}tenant" not in container["Labels"]:
            continue
        try:
            endpoints.append(endpoint_of(container, settings))
        except ValueError as error:
            problems.append(f"container {name_of(container)}: {error}")
    return Found(tuple(endpoints), tuple(problems))


def endpoint_of(container: Container, settings: DockerSettings) -> EndpointConfig:
    """Raises ValueError saying what is missing or wrong, and what to do."""
    prefix, name = settings.label_prefix, name_of(container)
    labels = {key.removeprefix(prefix): text for key, text in container["Labels"].items() if key.startswith(prefix)}
    if settings.tenants and labels["tenant"] not in settings.tenants:
        raise ValueError(
            f"tenant {labels['tenant']} is not to have containers here. Correct {prefix}tenant, or the source's tenants"
        )
    network = {} if {"mac", "ip"} <= labels.keys() else _network(container, labels.get("network"), prefix)
    mac, ip = labels.get("mac") or network.get("MacAddress"), labels.get("ip") or network.get("IPAddress")
    for what, value in (("mac", mac), ("ip", ip)):
        if not value:
            raise ValueError(f"Docker gave it no {what.upper()} address. Say it with the label {prefix}{what}")
    return endpoint_from(
        {
            "name": labels.get("name") or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            "tenant": labels["tenant"],
            "mac": mac,
            "ip": ip,
            "host": settings.host,
            "interface": labels.get("interface") or settings.interface.format(name=name, id=container["Id"]),
            "importance": weight(labels.get("importance")),
            "kind": labels.get("kind"),
        }
    )


def name_of(container: Container) -> str:
    names = container.get("Names") or [container["Id"][:12]]
    # Links to a container are names of it too, with a slash in the middle.
    return str(min(names, key=lambda name: name.count("/"))).lstrip("/")


def _network(container: Container, wanted: str | None, prefix: str) -> Mapping[str, Any]:
    """The network that the container's addresses are of."""
    networks: Mapping[str, Mapping[str, Any]] = (container.get("NetworkSettings") or {}).get("Networks") or {}
    if wanted is not None:
        if wanted not in networks:
            raise ValueError(
                f"it is not on network {wanted}, but on {', '.join(sorted(networks)) or 'none'}. "
                f"Correct the label {prefix}network, or connect it"
            )
        return networks[wanted]
    with_address = [network for _, network in sorted(networks.items()) if network.get("MacAddress")]
    if len(with_address) > 1:
        raise ValueError(f"it is on {len(with_address)} networks. Say which one with the label {prefix}network")
    return with_address[0] if with_address else {}
