"""Rules under our cookie on bridges where none of ours belongs: left there when a host got other bridges.

Shell around one read a bridge. What does not carry our cookie is not even read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from ezpath.ovs import Change, Flow, OpenFlowBridge, OvsRefused


async def find(bridges: Iterable[str], directory: Path) -> Mapping[str, tuple[Flow, ...]]:
    """By bridge, where there are any. Raises :class:`~ezpath.ovs.OvsUnreachable`."""
    names = sorted(bridges)
    found = await asyncio.gather(*(_ours(OpenFlowBridge(name, directory)) for name in names))
    return {name: flows for name, flows in zip(names, found, strict=True) if flows}


async def remove(strays: Mapping[str, tuple[Flow, ...]], directory: Path) -> int:
    """Returns how many there were. Raises :class:`~ezpath.ovs.OvsError`."""
    for name, flows in strays.items():
        await OpenFlowBridge(name, directory).change(Change(deletes=flows))
    return sum(map(len, strays.values()))


async def _ours(bridge: OpenFlowBridge) -> tuple[Flow, ...]:
    try:
        return tuple(await bridge.ours())
    except OvsRefused:
        return ()  # one that does not speak our OpenFlow: we cannot have written there
