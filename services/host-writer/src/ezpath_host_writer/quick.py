"""The quick way to change a few of many rules: over connections that stay, looking at nothing but what changes.

Adapter. Whatever is not as it expects, or is refused, is left to :meth:`HostOvs.apply`, which looks at everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from ezpath.ovs import Daemon, OpenFlowConnection
from ezpath.ovs import openflow as of
from ezpath.ovs.flows import Change

from ezpath_host_writer.book import Entries
from ezpath_host_writer.plan import Stage, stages
from ezpath_host_writer.rules import BridgeRole, Rules
from ezpath_host_writer.tally import Tally


class NotQuickly(Exception):
    """It has to be done the long way, from what is really there."""


class Quick:
    """For as long as both connections last and nothing unforeseen happens."""

    def __init__(self, connections: Mapping[BridgeRole, OpenFlowConnection], vswitchd: Daemon, tally: Tally) -> None:
        self._connections = connections
        self._vswitchd = vswitchd
        self._tally = tally

    async def advance(self, items: Entries) -> int:
        """Bring the rules from what they were to ``items``; wait for the datapath; read back. Returns changed rules.

        Raises :class:`NotQuickly`: then anything may have been changed, and the tally is void. :class:`OvsUnreachable`.
        """
        coming, going = self._tally.change(items)
        todo = stages(coming, going)
        try:
            if self._in_the_way(todo):
                raise NotQuickly("somebody else's rule stands where one of ours would go")
            if todo:
                await self._carry_out(todo)
                _, right = await asyncio.gather(self._vswitchd.settle(self._nudge), self._read_back(coming, going))
                if not right:
                    raise NotQuickly("read back otherwise than written")
        except of.Unspoken as error:
            raise NotQuickly(str(error)) from None
        return sum(len(stage.change.adds) + len(stage.change.deletes) for stage in todo)

    def _in_the_way(self, todo: Iterable[Stage]) -> bool:
        return any(
            not connection.usable or any(map(connection.is_taken, stage.change.adds))
            for stage in todo
            for connection in (self._connections[stage.bridge],)
        )

    async def _carry_out(self, todo: Iterable[Stage]) -> None:
        """All bundles are looked over at once, for nothing changes by that; then carried out, one after the other."""
        bundles = [(self._connections[stage.bridge], _mods(stage.change)) for stage in todo]
        prepared = await asyncio.gather(*(connection.prepare(mods) for connection, mods in bundles))
        steps = [(connection, bundle) for (connection, _), bundle in zip(bundles, prepared, strict=True) if bundle]
        good = len(steps) == len(bundles)
        for connection, bundle in steps:
            if good:
                good = await connection.carry_out(bundle)
            else:
                await connection.discard(bundle)
        if not good:
            raise NotQuickly("refused")

    async def _nudge(self) -> None:
        """Changes a rule to itself: counters stay, and the datapath is revalidated."""
        self._connections["integration"].touch(self._tally.guard)

    async def _read_back(self, coming: Rules, going: Rules) -> bool:
        """What was to come is there, byte for byte, and what was to go is not."""
        return all(await asyncio.gather(*(self._is_there(bridge, coming, going) for bridge in self._connections)))

    async def _is_there(self, bridge: BridgeRole, coming: Rules, going: Rules) -> bool:
        wanted = {of.found_of(flow) for flow in getattr(coming, bridge)}
        unwanted = {of.found_of(flow) for flow in getattr(going, bridge)}
        found = await self._connections[bridge].with_cookies({each.cookie for each in wanted | unwanted})
        return wanted <= found and not unwanted & found


def _mods(change: Change) -> list[of.Mod]:
    """Deletes first: a rule that is replaced is deleted and added in one transaction."""
    deletes = [of.Mod(of.Command.DELETE_STRICT, flow) for flow in change.deletes]
    return deletes + [of.Mod(of.Command.ADD, flow) for flow in change.adds]
