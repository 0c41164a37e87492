"""The quick way to change a few of many rules: over connections that stay, looking at nothing but what changes.

Adapter. Whatever is not as it expects, or is refused, is left to :meth:`HostOvs.apply`, which looks at everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from ezpath.items import HostItem
from ezpath.ovs import Daemon, OpenFlowConnection
from ezpath.ovs import openflow as of
from ezpath.ovs.flows import Change

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

    async def advance(self, items: Iterable[HostItem]) -> int:
        """Bring the rules from what they were to ``items``; wait for the datapath; read back. Returns changed rules.

        Raises :class:`NotQuickly`: then anything may have been changed, and the tally is void. :class:`OvsUnreachable`.
        """
        coming, going = self._tally.change(items)
        todo = stages(coming, going)
        try:
            if self._in_the_way(todo):
                raise NotQuickly("somebody else's rule stands where one of ours would go")
            for stage in todo:
                if not await self._connections[stage.bridge].commit(_mods(stage.change)):
                    raise NotQuickly("refused")
            if todo:
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

    async def _nudge(self) -> None:
        """Changes a rule to itself: counters stay, and the datapath is revalidated."""
        await self._connections["integration"].commit([of.Mod(of.Command.MODIFY_STRICT, self._tally.guard)])

    async def _read_back(self, coming: Rules, going: Rules) -> bool:
        """What was to come is there, byte for byte, and what was to go is not."""
        answers = []
        for bridge, connection in self._connections.items():
            wanted = {of.found_of(flow) for flow in getattr(coming, bridge)}
            unwanted = {of.found_of(flow) for flow in getattr(going, bridge)}
            found = await connection.with_cookies({each.cookie for each in wanted | unwanted})
            answers.append(wanted <= found and not unwanted & found)
        return all(answers)


def _mods(change: Change) -> list[of.Mod]:
    """Deletes first: a rule that is replaced is deleted and added in one transaction."""
    deletes = [of.Mod(of.Command.DELETE_STRICT, flow) for flow in change.deletes]
    return deletes + [of.Mod(of.Command.ADD, flow) for flow in change.adds]
