"""Which decider's part a tenant is: all that a saga shares with another belongs to one tenant, or to one shard.

Pure. Endpoint entries (VNI, MAC) and a host's send rules are a tenant's own. What tenants share is a host link's VLAN
ids, and of those each shard has its own. So two shards never speak about the same item, and need not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from ezpath.names import PairId, Tenant

MAX_SHARDS = 1024


@dataclass(frozen=True, slots=True)
class Shard:
    """Number ``number`` of ``of``."""

    number: int = 0
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"

    def has(self, tenant: Tenant) -> bool:
        """Whether ``tenant`` is in this shard. Every process says the same."""
        return crc32(tenant.encode()) % self.of == self.number

    def has_pair(self, pair: PairId) -> bool:
        return self.has(tenant_of(pair))

    def vlan_ids(self, first: int, last: int) -> range:
        """Those of a host link's VLAN ids that this shard may give to its tenants."""
        return range(first + (self.number - first) % self.of, last + 1, self.of)


WHOLE = Shard()
"""All tenants: there is one shard."""


def tenant_of(pair: PairId) -> Tenant:
    return Tenant(pair.partition(".")[0])
