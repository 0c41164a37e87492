"""One host's Open vSwitch, connected: find the ports, make the patch pair, bring the rules to what they ought to be.

Imperative shell around :mod:`~ezpath_host_writer.ports`, :mod:`~ezpath_host_writer.rules` and
:mod:`~ezpath_host_writer.plan`. Not to be used by two tasks at once: the worker has a lock.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping

import structlog
from ezpath.inventory import Endpoint, Host
from ezpath.items import HostItem
from ezpath.ovs import (
    CannotTalk,
    Daemon,
    Fence,
    Flow,
    OpenFlowBridge,
    OpenFlowConnection,
    Ovsdb,
    OvsMisfit,
    OvsRefused,
    OvsUnreachable,
    Role,
    difference,
    patch,
)
from ezpath.ovs.flows import Place, touch_line
from ezpath.ovs.reach import NO_TLS
from ezpath.tls import TlsFiles

from ezpath_host_writer import strays
from ezpath_host_writer.book import Entries, entries_of
from ezpath_host_writer.compare import Found
from ezpath_host_writer.plan import Stage, stages
from ezpath_host_writer.ports import check_bridges, resolve
from ezpath_host_writer.quick import NotQuickly, Quick
from ezpath_host_writer.reaching import bridge_of, daemon_of, reach_of
from ezpath_host_writer.rules import BridgeRole, Compiled, Ports, Rules, compile_items, guards
from ezpath_host_writer.tally import Tally

PORTS_TIMEOUT_S = 5.0
ATTEMPTS = 2
"""How often rules are brought to what they ought to be before what is read back is given up on."""


class HostOvs:
    """Made by :meth:`connect`; :meth:`close` it."""

    def __init__(
        self,
        host: Host,
        endpoints: Iterable[Endpoint],
        ovsdb: Ovsdb,
        vswitchd: Daemon,
        changed: asyncio.Event,
        term: int = 0,
        tls: TlsFiles = NO_TLS,
    ) -> None:
        self.host = host
        self.changed = changed
        """Set when the database shows something new."""
        self._endpoints = tuple(endpoints)
        self._ovsdb = ovsdb
        self._vswitchd = vswitchd
        self._reach = reach_of(host, tls)
        fence = Fence(term) if term else None
        self._bridges: Mapping[BridgeRole, OpenFlowBridge] = {
            "integration": bridge_of(host.config.integration_bridge, self._reach, fence),
            "physical": bridge_of(host.config.physical_bridge, self._reach, fence),
        }
        self._ports: Ports | None = None
        self._present: Rules | None = None
        self._settled = False
        self._quick: Quick | None = None
        self._connections: dict[BridgeRole, OpenFlowConnection] = {}
        self._blocked: dict[tuple[BridgeRole, Place], str] = {}
        self._log = structlog.get_logger().bind(host=host.name)

    @classmethod
    async def connect(cls, host: Host, endpoints: Iterable[Endpoint], term: int = 0, tls: TlsFiles = NO_TLS) -> HostOvs:
        """Connect to ``host``'s Open vSwitch and make the patch pair, guarded before it exists. Idempotent.

        From then on no writer of an earlier ``term`` changes rules there; one of a later has :class:`OvsFenced`
        raised, here and by all that changes any.

        Raises :class:`OvsUnreachable`, :class:`OvsMisfit`, :class:`OvsRefused`.
        """
        changed = asyncio.Event()
        ovsdb = await Ovsdb.connect(host.config.ovsdb, lambda _: changed.set(), tls)
        try:
            vswitchd = await daemon_of(host.config.integration_bridge, reach_of(host, tls))
        except BaseException:
            await ovsdb.close()
            raise
        self = cls(host, endpoints, ovsdb, vswitchd, changed, term, tls)
        try:
            await self.refresh()
        except BaseException:
            await self.close()
            raise
        return self

    def learn(self, endpoints: Iterable[Endpoint]) -> None:
        """Endpoints came, went or have other interfaces. Takes effect with the next :meth:`refresh`."""
        self._endpoints = tuple(endpoints)
        self.changed.set()

    async def refresh(self) -> bool:
        """Look at the database again, and put the patch pair right. Says whether any port number changed."""
        self.changed.clear()
        self._blocked.clear()
        self._quick = None
        check_bridges(self._ovsdb.view, self.host)
        await self.put_up_fences()
        config = self.host.config
        pair = patch.plan(self._ovsdb.view, config.integration_bridge, config.physical_bridge)
        if self._ports is None or not patch.is_up(self._ovsdb.view, pair):
            await self._make_patch(pair)
        before, self._ports = self._ports, resolve(self._ovsdb.view, self.host, self._endpoints, pair)
        return before != self._ports

    async def _make_patch(self, pair: patch.PatchPair) -> None:
        """Guards first: from its first moment on, nothing of the operator's comes through."""
        wanted = guards(pair.integration.number, pair.physical.number)
        present = await self._read()
        self._present = None
        # Whatever else is there stays: the rules of a path that works are not taken down to guard it.
        todo = stages(wanted, present.where(lambda flow: flow.role is Role.GUARD))
        in_the_way = await self._in_the_way(todo)
        if in_the_way:
            raise OvsRefused(f"host {self.host.name}: {'; '.join(in_the_way.values())}")
        await self._run(todo)
        await patch.ensure(self._ovsdb, pair)
        deadline = asyncio.get_running_loop().time() + PORTS_TIMEOUT_S
        while not patch.is_up(self._ovsdb.view, pair):
            if asyncio.get_running_loop().time() > deadline:
                raise self._no_patch(pair)
            await asyncio.sleep(0.005)
        for bridge, end in zip((self._bridges["integration"], self._bridges["physical"]), pair.ends, strict=True):
            try:
                await bridge.no_flood(end.name)
            except OvsRefused as error:
                # The trunk setting still keeps NORMAL away; only rules with the action FLOOD reach the port.
                self._log.warning("patch port not kept out of floods", reason=str(error))
        self._log.info("patch pair up", ports={end.name: end.number for end in pair.ends})

    def _no_patch(self, pair: patch.PatchPair) -> OvsMisfit:
        states = []
        for end in pair.ends:
            interface = self._ovsdb.view.interfaces.get(end.name)
            got = f"number {interface.ofport} ({interface.error or 'no error'})" if interface else "not there"
            states.append(f"{end.name} on {end.bridge}: asked for number {end.number}, {got}")
        return OvsMisfit(
            f"host {self.host.name}: patch ports not up within {PORTS_TIMEOUT_S:g} s: {'; '.join(states)}. "
            "See 'ovs-vsctl show' and ovs-vswitchd's log there"
        )

    @property
    def ports(self) -> Ports:
        assert self._ports is not None, "refresh comes first"
        return self._ports

    def problems(self, items: Iterable[HostItem]) -> Mapping[HostItem, str]:
        """Which of ``items`` cannot be installed, as far as is known, and why not. Read it after :meth:`apply`."""
        return self._compile(items).problems

    def _compile(self, items: Iterable[HostItem]) -> Compiled:
        return compile_items(items, self.ports, self._blocked)

    async def installed(self) -> Rules:
        """All rules under our cookie, as they are now."""
        return await self._read()

    async def advance(self, items: Entries) -> int:
        """The same as :meth:`apply` for who only has to see what changes; nearly always at the price of that alone."""
        quick, self._quick = self._quick, None
        if quick is not None:
            self._present = None
            try:
                changed = await quick.advance(items)
                self._quick = quick
                return changed
            except NotQuickly as reason:
                self._log.info("the long way", reason=str(reason))
        return await self.apply(items.values())

    async def found(self) -> Found:
        """All rules under our cookie, as they are now, on whatever bridge."""
        return Found(await self._read(), await strays.find(self._other_bridges, self._reach))

    async def put_up_fences(self) -> None:
        """Where they are not. Raises :class:`OvsFenced`."""
        for bridge in self._bridges.values():
            await bridge.put_up_fence()

    async def remove_strays(self) -> int:
        """Take our rules off bridges where none of ours belongs. Returns how many there were."""
        return await strays.remove(await strays.find(self._other_bridges, self._reach), self._reach)

    @property
    def _other_bridges(self) -> frozenset[str]:
        config = self.host.config
        return self._ovsdb.view.bridges - {config.integration_bridge, config.physical_bridge}

    async def apply(self, items: Iterable[HostItem]) -> int:
        """Bring our rules to ``items`` and nothing else, wait for the datapath, read back. Returns changed rules.

        Items with :meth:`problems` are left out. Raises :class:`OvsRefused` in Open vSwitch's words, also where
        what is read back is not what was asked for; :class:`OvsUnreachable`.
        """
        items = tuple(items)
        self._quick = None
        changed = 0
        for _ in range(ATTEMPTS):
            present = self._present if self._present is not None else await self._read()
            self._present = None
            wanted, todo = await self._plan(items, present)
            await self._run(todo)
            changed += sum(len(stage.change.adds) + len(stage.change.deletes) for stage in todo)
            now = await self._settle_and_read(wanted)
            if not stages(wanted, now):
                self._present = now
                self._quick = await self._quickly_from_here(items)
                return changed
            # Somebody else changed our rules meanwhile: once more, from what is really there.
            self._present = now
        self._present = None
        raise OvsRefused(f"host {self.host.name}: read back otherwise than written: {_gap(wanted, now)}")

    async def _quickly_from_here(self, items: Iterable[HostItem]) -> Quick | None:
        """What is installed is what ``items`` want. None where a bridge cannot be talked to in this way."""
        try:
            for role, bridge in self._bridges.items():
                connection = self._connections.get(role)
                if connection is None or not connection.usable:
                    self._connections.pop(role, None)
                    if connection is not None:
                        await connection.close()
                    self._connections[role] = await bridge.connection()
        except (CannotTalk, OvsUnreachable) as error:
            self._log.info("rules are changed the long way", reason=str(error))
            return None
        return Quick(self._connections, self._vswitchd, Tally(entries_of(items), self.ports, self._blocked))

    async def _plan(self, items: tuple[HostItem, ...], present: Rules) -> tuple[Rules, list[Stage]]:
        """What to install of ``items`` and how; not in places where somebody else's rule stands."""
        wanted = self._compile(items).rules
        todo = stages(wanted, present)
        in_the_way = await self._in_the_way(todo)
        if in_the_way:
            self._blocked |= in_the_way
            wanted = self._compile(items).rules
            todo = stages(wanted, present)
        return wanted, todo

    async def _run(self, todo: Iterable[Stage]) -> None:
        for stage in todo:
            self._settled = False
            await self._bridges[stage.bridge].change(stage.change)

    async def _settle_and_read(self, wanted: Rules) -> Rules:
        if self._settled:
            return await self._read()
        guard = wanted.integration[0]

        async def nudge() -> None:
            await self._bridges["integration"].bundle([touch_line(guard)])

        reading = asyncio.create_task(self._read())
        try:
            await self._vswitchd.settle(nudge)
            self._settled = True
            return await reading
        finally:
            reading.cancel()

    async def _read(self) -> Rules:
        integration, physical = await asyncio.gather(
            self._bridges["integration"].ours(), self._bridges["physical"].ours()
        )
        return Rules(tuple(integration), tuple(physical))

    async def _in_the_way(self, todo: Iterable[Stage]) -> dict[tuple[BridgeRole, Place], str]:
        """OpenFlow lets an added rule replace one of the same match and priority, whoever's it is. We do not."""
        ports: set[tuple[BridgeRole, int]] = set()
        ours: set[tuple[BridgeRole, Place]] = set()
        for stage in todo:
            ports.update((stage.bridge, _in_port(flow)) for flow in stage.change.adds)
            ours.update((stage.bridge, flow.place) for flow in stage.change.adds)
        asked = sorted(ports)
        dumps = await asyncio.gather(*(self._bridges[bridge].on_port(number) for bridge, number in asked))
        return {
            (bridge, flow.place): (
                f"bridge {self._bridges[bridge].name} has a rule that is not EZPath's where EZPath's would go: "
                f"{flow}. Give it another priority, or remove it"
            )
            for (bridge, _), flows in zip(asked, dumps, strict=True)
            for flow in flows
            if not flow.ours and (bridge, flow.place) in ours
        }

    async def until_lost(self) -> str:
        """Returns, with the reason, when ovsdb-server or ovs-vswitchd has gone."""
        database = asyncio.create_task(self._ovsdb.until_lost())
        daemon = asyncio.create_task(self._vswitchd.until_gone())
        try:
            await asyncio.wait((database, daemon), return_when=asyncio.FIRST_COMPLETED)
            return database.result() if database.done() else "ovs-vswitchd has ended"
        finally:
            database.cancel()
            daemon.cancel()

    async def close(self) -> None:
        """Let go; everything on the host stays as it is. Idempotent."""
        self._quick = None
        for connection in self._connections.values():
            await connection.close()
        await self._vswitchd.close()
        await self._ovsdb.close()


_IN_PORT = re.compile(r"\bin_port=(\d+)")


def _in_port(flow: Flow) -> int:
    found = _IN_PORT.search(flow.match)
    assert found is not None, f"a rule of ours without in_port: {flow}"
    return int(found.group(1))


def _gap(wanted: Rules, now: Rules) -> str:
    parts = []
    for name, target, there in (
        ("integration", wanted.integration, now.integration),
        ("physical", wanted.physical, now.physical),
    ):
        change = difference(target, there)
        parts += [f"missing on the {name} bridge: {flow}" for flow in change.adds]
        parts += [f"surplus on the {name} bridge: {flow}" for flow in change.deletes]
    return "; ".join(parts)
