"""Which endpoints can stand beside each other: the first that claims a name or an address has it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable

from ezpath.inventory.document import EndpointConfig

Refusal = tuple[str, str, str]
"""Field, cause, remedy."""


class Admission:
    """Takes endpoints in one after the other, for a network that has these tenants and hosts."""

    def __init__(self, tenants: Collection[str], hosts: Collection[str]) -> None:
        self._tenants = tenants
        self._hosts = hosts
        self._owners: dict[Hashable, str] = {}

    def refusals(self, endpoint: EndpointConfig) -> list[Refusal]:
        """Why ``endpoint`` cannot be; where there is no reason, it is taken in."""
        refused = list(self._unknown(endpoint))
        if ("name", endpoint.name) in self._owners:
            return [*refused, ("name", f"endpoint {endpoint.name} is listed twice", "Names are unique")]
        # Tenants may use the same addresses; within one, an address is one endpoint's.
        claims = {
            ("mac", endpoint.mac): f"tenant {endpoint.tenant}",
            ("ip", endpoint.ip): f"tenant {endpoint.tenant}",
            ("interface", endpoint.interface): f"host {endpoint.host}",
        }
        for (what, value), within in claims.items():
            if other := self._owners.get((what, value, within)):
                cause = f"{value} is endpoint {other}'s already, of {within}"
                refused.append((what, cause, f"An endpoint's {what} stands in one place only"))
        if not refused:
            self._owners[("name", endpoint.name)] = endpoint.name
            self._owners |= {(*claim, within): endpoint.name for claim, within in claims.items()}
        return refused

    def _unknown(self, endpoint: EndpointConfig) -> list[Refusal]:
        refused = []
        if endpoint.host not in self._hosts:
            refused.append(("host", f"unknown host {endpoint.host}", f"Known hosts: {listed(self._hosts)}"))
        if endpoint.tenant not in self._tenants:
            refused.append(("tenant", f"unknown tenant {endpoint.tenant}", f"Known tenants: {listed(self._tenants)}"))
        return refused


def listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
