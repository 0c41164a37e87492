"""The network that sagas are measured on: racks of one ToR and one host, each with many endpoints of a few tenants.

Pure: names, addresses, the inventory's text, and any number of pairs that are all different.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ezpath.names import PairId, Tenant, pair_id

TENANTS = 4
HOST_PORT, FABRIC_PORT = 1, 10
FIRST_OFPORT = 1000


@dataclass(frozen=True, slots=True)
class Rack:
    """One ToR, and the host behind it."""

    number: int
    directory: Path
    proxied: bool = False
    """There is a proxy in front of the ToR, and the switch-writer finds only that."""

    @property
    def switch(self) -> str:
        return f"tor{self.number}"

    @property
    def host(self) -> str:
        return f"h{self.number}"

    @property
    def tor_socket(self) -> Path:
        """Where the ToR listens."""
        return self.directory / f"{self.switch}.sock"

    @property
    def address(self) -> Path:
        """Where the switch-writer finds it."""
        return self.directory / f"{self.switch}.front.sock" if self.proxied else self.tor_socket

    @property
    def ovs(self) -> Path:
        """Open vSwitch's directory."""
        return self.directory / self.host


@dataclass(frozen=True, slots=True)
class Network:
    """Racks 1 to ``racks``, the last one's ToR behind a proxy; ``endpoints`` on each host, in turn of each tenant."""

    directory: Path
    racks: int
    endpoints: int

    def rack(self, number: int) -> Rack:
        return Rack(number, self.directory, proxied=number == self.racks)

    def all_racks(self) -> list[Rack]:
        return [self.rack(number) for number in range(1, self.racks + 1)]

    def interface(self, number: int) -> str:
        return f"e{number:04}"

    def tenant(self, number: int) -> Tenant:
        return Tenant(f"tenant{number % TENANTS}")

    def pairs(self, one: int, other: int, skip: int, count: int) -> list[tuple[PairId, Tenant]]:
        """``count`` pairs between two racks, behind the first ``skip``; an endpoint comes again after all others."""
        return list(islice(self._pairs(one, other), skip, skip + count))

    def _pairs(self, one: int, other: int) -> Iterator[tuple[PairId, Tenant]]:
        for turn in range(self.endpoints // TENANTS):
            for number in range(self.endpoints):
                tenant = self.tenant(number)
                peer = (number + turn * TENANTS) % (self.endpoints // TENANTS * TENANTS)
                if self.tenant(peer) == tenant:
                    yield pair_id(tenant, f"r{one}-{number:04}", f"r{other}-{peer:04}"), tenant

    def inventory(self) -> str:
        """The inventory file."""
        lines = ["tenants:", *(f"  tenant{n}: {{vni: {5001 + n}}}" for n in range(TENANTS)), "switches:"]
        for rack in self.all_racks():
            lines += self._switch(rack)
        lines.append("hosts:")
        for rack in self.all_racks():
            where = f"switch: {rack.switch}, port: {HOST_PORT}, vtep: 10.{rack.number}.1.1"
            lines.append(f'  {rack.host}: {{{where}, ovsdb: "unix:{rack.ovs}/db.sock"}}')
        lines.append("endpoints:")
        for rack in self.all_racks():
            lines += [self._endpoint(rack, number) for number in range(self.endpoints)]
        return "\n".join(lines) + "\n"

    def _switch(self, rack: Rack) -> list[str]:
        n = rack.number
        ports = [
            f"      - {{number: {HOST_PORT}, address: 10.{n}.1.0}}",
            f"      - {{number: {FABRIC_PORT}, address: 10.{n}.9.0, fabric: true}}",
        ]
        routes = [
            f'      - {{prefix: 10.{n}.1.0/24, port: {HOST_PORT}, next_hop: "02:00:00:00:01:{n:02x}"}}',
            f'      - {{prefix: 0.0.0.0/0, port: {FABRIC_PORT}, next_hop: "02:00:00:00:fe:01"}}',
        ]
        return [
            f"  {rack.switch}:",
            f"    rack: rack{n}",
            f"    device_id: {n}",
            f"    address: unix:{rack.address}",
            f"    vtep: 10.255.0.{n}",
            f'    mac: "02:00:00:00:ff:{n:02x}"',
            "    ports:",
            *ports,
            "    routes:",
            *routes,
        ]

    def _endpoint(self, rack: Rack, number: int) -> str:
        name, high, low = f"r{rack.number}-{number:04}", number >> 8, number & 0xFF
        who = f"name: {name}, tenant: {self.tenant(number)}, host: {rack.host}, interface: {self.interface(number)}"
        address = f'mac: "02:00:{rack.number:02x}:00:{high:02x}:{low:02x}", ip: 10.{100 + rack.number}.{high}.{low}'
        return f"  - {{{who}, {address}}}"
