"""Rules under our cookie on bridges where none of ours belongs: left there when a host got other bridges.

Shell around one read a bridge. What does not carry our cookie is not even read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from ezpath.ovs import Change, Flow, OpenFlowBridge, OvsRefused, Reach

from ezpath_host_writer.reaching import bridge_of


async def find(bridges: Iterable[str], reach: Reach) -> Mapping[str, tuple[Flow, ...]]:
    """By bridge, where there are any; not on those out of reach. Raises :class:`~ezpath.ovs.OvsUnreachable`."""
    names = reach.known(bridges)
    found = await asyncio.gather(*(_ours(bridge_of(name, reach)) for name in names))
    return {name: flows for name, flows in zip(names, found, strict=True) if flows}


async def remove(strays: Mapping[str, tuple[Flow, ...]], reach: Reach) -> int:
    """Returns how many there were. Raises :class:`~ezpath.ovs.OvsError`."""
    for name, flows in strays.items():
        await bridge_of(name, reach).change(Change(deletes=flows))
    return sum(map(len, strays.values()))


async def _ours(bridge: OpenFlowBridge) -> tuple[Flow, ...]:
    try:
        return tuple(await bridge.ours())
    except OvsRefused:
        return ()  # one that does not speak our OpenFlow: we cannot have written there
