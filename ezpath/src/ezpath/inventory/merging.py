"""The file's endpoints and those that sources tell of, as one. Pure.

The file comes first, then the sources in the file's order: where two claim the same name, MAC, IP address or
interface, the first has it and the other is said to be left out. A bad endpoint is left out; it spoils no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ezpath.inventory.admission import Admission
from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.model import Endpoint, Inventory, endpoint_of
from ezpath.names import Tenant


@dataclass(frozen=True)
class Merged:
    endpoints: tuple[Endpoint, ...]
    problems: tuple[str, ...] = ()
    """What was left out, a sentence each."""


def merge(network: Inventory, file: Iterable[EndpointConfig], found: Mapping[str, Iterable[EndpointConfig]]) -> Merged:
    """``found`` are the sources by name, in the file's order."""
    admission = Admission(network.tenants, network.hosts)
    taken: list[Endpoint] = []
    problems: list[str] = []
    for source, endpoints in {"file": file, **found}.items():
        for config in endpoints:
            refused = admission.refusals(config)
            if refused:
                problems += [
                    f"{source}: endpoint {config.name} left out: {cause}. {remedy}" for _, cause, remedy in refused
                ]
            else:
                taken.append(endpoint_of(config, network.tenants[Tenant(config.tenant)], source))
    return Merged(tuple(taken), tuple(problems))
