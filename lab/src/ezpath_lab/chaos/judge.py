"""Reads switches, hosts and records, and says what is missing and what is an orphan.

The shell around :mod:`~ezpath_lab.chaos.needs` and :mod:`~ezpath_lab.chaos.readings`: P4Runtime and ovs-ofctl, past
EZPath's services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from ezpath_lab.chaos.needs import CARRYING, Record, differences, needed
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
        for tor in self._lab.topology.tors:
            found += await self._on_switch(tor.name, wanted.get(f"switch:{tor.name}", frozenset()), orphans=True)
        for host in self._lab.hosts:
            found += await self._on_host(host, wanted.get(f"host:{host}", frozenset()), orphans=True)
        return found

    async def missing(self, target: str, records: Iterable[Record]) -> list[str]:
        """What ``target`` lacks of all that frames may need now; more than is needed does not matter."""
        kind, _, name = target.partition(":")
        wanted = needed(records, CARRYING).get(target, frozenset())
        look = self._on_switch if kind == "switch" else self._on_host
        return await look(name, wanted, orphans=False)

    async def _on_switch(self, name: str, wanted: frozenset[tuple[str | int, ...]], *, orphans: bool) -> list[str]:
        target = f"switch:{name}"
        try:
            entries = await self._entries(name)
        except P4RuntimeError as error:
            return [f"{target}: not read: {error}"]
        base = base_on_switch(entries)
        found = [f"{target}: missing {entry}" for entry in sorted(self._base[name] - base)]
        if orphans:
            found += [f"{target}: orphan {entry}" for entry in sorted(base - self._base[name])]
        present = items_on_switch(entries)
        return found + differences(target, wanted, present if orphans else present & wanted)

    async def _on_host(self, name: str, wanted: frozenset[tuple[str | int, ...]], *, orphans: bool) -> list[str]:
        target = f"host:{name}"
        try:
            integration, physical = await asyncio.gather(self._dump(name, "br-int"), self._dump(name, "br-phy"))
        except LabError as error:
            return [f"{target}: not read: {error}"]
        found = []
        for bridge, text in (("br-int", integration), ("br-phy", physical)):
            if (count := guards(text)) != 1:
                found.append(f"{target}: {count} guards on {bridge}, where one is right")
        present = rules_on_host(integration, physical, self._ports[name])
        return found + differences(target, wanted, present if orphans else present & wanted)

    async def _entries(self, name: str) -> list[TableEntry]:
        tor = self._lab.topology.tor(name)
        address = f"unix:{tor_socket(self._lab.state.run_dir, name)}"
        async with Client(address, tor.device_id, timeout_s=3.0) as client:
            return await client.read_table()

    async def _dump(self, host: str, bridge: str) -> str:
        ovs = self._lab.hosts[host]
        target = f"unix:{ovs.directory / bridge}.mgmt"
        return await asyncio.to_thread(ovs.ofctl, "--no-stats", "--no-names", "dump-flows", target, COOKIE_MATCH)
