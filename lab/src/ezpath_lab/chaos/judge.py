"""Reads switches, hosts and records, and says what is missing and what is an orphan.

The shell around :mod:`~ezpath_lab.chaos.needs` and :mod:`~ezpath_lab.chaos.readings`: P4Runtime and ovs-ofctl, past
EZPath's services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ezpath_lab.chaos.needs import Record, Thing, differences, needed, steady
from ezpath_lab.chaos.readings import base_on_switch, guards, items_on_switch, rules_on_host
from ezpath_lab.lab import Lab
from ezpath_lab.shell import LabError
from ezpath_lab.topology import tor_socket
from p4rt import Client, P4RuntimeError, TableEntry

COOKIE_MATCH = "cookie=0xe25a000000000000/0xffff000000000000"


class Judge:
    """Call :meth:`remember_base` once, when all is well and nothing is offloaded."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._base: dict[str, frozenset[str]] = {}
        self._ports = {
            host.name: {c.ofport: (lab.topology.vni_of(c.name), c.mac) for c in lab.topology.on_host(host.name)}
            for host in lab.topology.hosts
        }

    async def remember_base(self) -> None:
        """What a switch holds without a pair is what it has to hold at every check."""
        for tor in self._lab.topology.tors:
            self._base[tor.name] = base_on_switch(await self._entries(tor.name))

    async def differences(self, records: Sequence[Record]) -> list[str]:
        """Everything that is not as the records say it should be, in words; all sagas at rest."""
        found: list[str] = []
        wanted = needed(records)
        holding = {f"switch:{tor.name}": await self._switch_holds(tor.name) for tor in self._lab.topology.tors}
        holding |= {f"host:{host}": await self._host_holds(host) for host in self._lab.hosts}
        for target, (wrong, present) in holding.items():
            found += wrong or differences(target, wanted.get(target, frozenset()), present)
        return found

    async def missing(self, target: str, records: Callable[[], Awaitable[list[Record]]]) -> list[str]:
        """What ``target`` lacks of its base and of what pairs need that are active while it is looked at."""
        kind, _, name = target.partition(":")
        before = await records()
        # Looked at with nothing wanted: that is done below, when it is known who was active all the time.
        found, present = await (self._switch_holds(name) if kind == "switch" else self._host_holds(name))
        wanted = needed(steady(before, await records())).get(target, frozenset())
        return found + differences(target, wanted, present & wanted)

    async def base_missing(self, target: str) -> list[str]:
        """What ``target`` lacks of what it needs without any pair."""
        kind, _, name = target.partition(":")
        found, _ = await (self._switch_holds(name) if kind == "switch" else self._host_holds(name))
        return found

    async def _switch_holds(self, name: str) -> tuple[list[str], frozenset[Thing]]:
        """What is wrong with its base, and the entries that sagas wrote."""
        target = f"switch:{name}"
        try:
            entries = await self._entries(name)
        except P4RuntimeError as error:
            return [f"{target}: not read: {error}"], frozenset()
        base, right = base_on_switch(entries), self._base[name]
        found = [f"{target}: missing {entry}" for entry in sorted(right - base)]
        return found + [f"{target}: orphan {entry}" for entry in sorted(base - right)], items_on_switch(entries)

    async def _host_holds(self, name: str) -> tuple[list[str], frozenset[Thing]]:
        """What is wrong with its guards, and the rules that sagas wrote."""
        target = f"host:{name}"
        try:
            integration, physical = await asyncio.gather(self._dump(name, "br-int"), self._dump(name, "br-phy"))
        except LabError as error:
            return [f"{target}: not read: {error}"], frozenset()
        found = [
            f"{target}: {count} guards on {bridge}, where one is right"
            for bridge, text in (("br-int", integration), ("br-phy", physical))
            if (count := guards(text)) != 1
        ]
        return found, rules_on_host(integration, physical, self._ports[name])

    async def _entries(self, name: str) -> list[TableEntry]:
        tor = self._lab.topology.tor(name)
        address = f"unix:{tor_socket(self._lab.state.run_dir, name)}"
        async with Client(address, tor.device_id, timeout_s=3.0) as client:
            return await client.read_table()

    async def _dump(self, host: str, bridge: str) -> str:
        ovs = self._lab.hosts[host]
        target = f"unix:{ovs.directory / bridge}.mgmt"
        return await asyncio.to_thread(ovs.ofctl, "--no-stats", "--no-names", "dump-flows", target, COOKIE_MATCH)
