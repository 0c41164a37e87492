"""How full the ToRs' tables are, as the switches themselves say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ezpath_bench.saga.network import Rack
from p4rt import Client

TABLE = "EzIngress.tunnel.endpoint"
"""The one that grows with what is offloaded; the others with tenants and racks."""


@dataclass(frozen=True, slots=True)
class Use:
    """Of the fullest ToR."""

    entries: int
    room: int


async def use(racks: Iterable[Rack]) -> Use:
    """Asks each rack's ToR. Raises P4RuntimeError."""
    found = []
    for rack in racks:
        async with Client(f"unix:{rack.tor_socket}", rack.number) as client:
            entries = await client.read_table(TABLE)
            pipeline = await client.get_pipeline()
            assert pipeline is not None, "a table was read"
            found.append(Use(len(entries), pipeline.p4info.tables[TABLE].size))
    return max(found, key=lambda each: each.entries)
