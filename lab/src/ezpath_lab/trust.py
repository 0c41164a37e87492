"""A lab in which nobody is believed for his address: keys and certificates for all, and a management network.

NATS, switches and hosts are reached over TCP, with what `ezpath trust` makes. Switches and hosts have a link each to
where the services are, as racks have: no port of theirs that carries traffic is used for it.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ezpath.bus import Access, Bus, BusError
from ezpath.inventory import Inventory
from ezpath.tls import CA, CERT, KEY, NKEY
from ezpath.trust.listening import addresses
from ezpath.trust.roles import ROLES, Durables, User
from ezpath.trust.store import MANIFEST, Plan, Store, TrustError

from ezpath_lab.ovs_host import OvsHost
from ezpath_lab.shell import LabError, run
from ezpath_lab.topology import Topology, Tor

P4RUNTIME, OVSDB, OPENFLOW = 9559, 6640, {"br-int": 6653, "br-phy": 6654}
_LISTENS_S = 15.0


class Trust:
    """Of one lab, with its files in ``directory``."""

    def __init__(self, topology: Topology, directory: Path) -> None:
        self.directory = directory
        self._topology = topology
        self._store = Store(directory)
        self._plan: Plan | None = None
        self._nodes = (*(tor.name for tor in topology.tors), *(host.name for host in topology.hosts))

    @property
    def made(self) -> bool:
        """By an earlier process, for services that somebody else runs."""
        return (self.directory / MANIFEST).exists()

    def address(self, node: str, end: int = 1) -> str:
        """Of a switch or a host on the management network; with ``end`` 0 that of the services on its link."""
        return f"198.18.0.{2 * self._nodes.index(node) + end}"

    def build(self) -> None:
        """The links; they go with the namespaces. Raises :class:`LabError`."""
        run("ip", "-batch", "-", stdin="".join(f"{line}\n" for line in self._links()))
        for node in self._nodes:
            lines = (f"address add {self.address(node)}/31 dev mgmt", "link set mgmt up")
            run("ip", "-n", self._topology.namespace(node), "-batch", "-", stdin="\n".join(lines) + "\n")

    def _links(self) -> Iterator[str]:
        for node in self._nodes:
            here = f"{self._topology.prefix}m-{node}"
            yield f"link add {here} type veth peer name mgmt netns {self._topology.namespace(node)}"
            yield f"address add {self.address(node, 0)}/31 dev {here}"
            yield f"link set {here} up"

    def describe(self, document: dict[str, Any]) -> None:
        """In an inventory: everybody is where only TLS is spoken, and no socket of theirs is known."""
        for name, switch in document["switches"].items():
            switch["address"] = f"{self.address(name)}:{P4RUNTIME}"
        for name, host in document["hosts"].items():
            del host["run_dir"]
            host["ovsdb"] = f"ssl:{self.address(name)}:{OVSDB}"
            host["openflow"] = {bridge: f"ssl:{self.address(name)}:{port}" for bridge, port in OPENFLOW.items()}

    def make(self, inventory: Inventory, **nats: Any) -> None:
        """Keys, certificates and permissions: a user for each role. ``nats``: of the server, where it is elsewhere."""
        switches, hosts = tuple(map(str, inventory.switches)), tuple(map(str, inventory.hosts))
        self._plan = Plan(
            tuple(map(User, ROLES)),
            Durables(switches, hosts),
            switches={str(name): addresses(each.config.address) for name, each in inventory.switches.items()},
            hosts={str(name): addresses(each.config.ovsdb) for name, each in inventory.hosts.items()},
            **nats,
        )
        self._write(self._plan)

    def _write(self, plan: Plan) -> None:
        try:
            self._store.make(plan, datetime.datetime.now(datetime.UTC))
        except TrustError as error:
            raise LabError(str(error)) from None

    def hand_over(self, owner: int) -> None:
        """To a user and his group, all but the authority: services in containers are not root."""
        for part in self.directory.iterdir():
            if part.name != "ca":
                for path in (part, *part.rglob("*")):
                    os.chown(path, owner, owner)
        self.directory.chmod(0o755)

    def nats_configuration(self, listen: str) -> Path:
        """Of a nats-server that asks everybody who he is."""
        assert self._plan is not None, "make comes first"
        self._write(replace(self._plan, listen=listen))
        return self.directory / "nats/nats-server.conf"

    def make_streams(self, url: str) -> None:
        """As the decider may, and nobody else: the lab starts that after the writers, who wait for them."""

        async def connect() -> None:
            async with await Bus.connect(self.access(url, "decider"), "ezpath-lab", wait_s=_LISTENS_S):
                pass

        try:
            asyncio.run(connect())
        except BusError as error:
            raise LabError(str(error)) from None

    def user(self, role: str) -> Path:
        """What `--trust` takes."""
        return self.directory / "users" / role

    def access(self, url: str, role: str) -> Access:
        mine = self.user(role)
        return Access(url, mine / NKEY, mine / CA, mine / CERT, mine / KEY)

    def tor_options(self, tor: Tor) -> list[str]:
        """What ``ezpath-tor`` is told besides."""
        mine = self.directory / "switches" / tor.name
        shown = {"--tls-ca": CA, "--tls-certificate": CERT, "--tls-key": KEY}
        options = ["--listen", f"{self.address(tor.name)}:{P4RUNTIME}", "--tls-writer", "switch-writer"]
        return [*options, *(word for option, file in shown.items() for word in (option, str(mine / file)))]

    def listen(self, ovs: OvsHost) -> None:
        """Have a host's database and bridges listen, as its operator would. Raises :class:`LabError`."""
        mine, address = self.directory / "hosts" / ovs.host.name, self.address(ovs.host.name)
        words = ["set-ssl", *(str(mine / file) for file in (KEY, CERT, CA)), "--", "set-manager"]
        words.append(f"pssl:{OVSDB}:{address}")
        for bridge, port in OPENFLOW.items():
            words += ["--", "set-controller", bridge, f"pssl:{port}:{address}"]
        ovs.vsctl(*words)
        deadline = time.monotonic() + _LISTENS_S
        for port in (OVSDB, *OPENFLOW.values()):
            while not _listens(address, port):
                if time.monotonic() > deadline:
                    raise LabError(f"{ovs.host.name}: nobody listens at {address}:{port}. See ovs-vsctl show there")
                time.sleep(0.05)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0
