"""The worlds that are explored: as small as can be, with everything in them that can go wrong between two sagas."""

from __future__ import annotations

from dataclasses import replace

from ezpath.inventory import Inventory, parse
from ezpath.names import EndpointName, HostName, PairId
from model.decider import Scenario

_NETWORK = """
tenants:
  red: {{vni: 5001}}
  blue: {{vni: 5002}}
switches:
  tor1:
    rack: r1
    device_id: 1
    address: unix:/run/tor1.sock
    vtep: 10.255.0.1
    mac: "02:00:00:00:ff:01"
    ports:
      - {{number: 1, address: 10.1.1.0}}
      - {{number: 2, address: 10.1.2.0}}
      - {{number: 10, address: 10.9.1.1, fabric: true}}
  tor2:
    rack: r2
    device_id: 2
    address: unix:/run/tor2.sock
    vtep: 10.255.0.2
    mac: "02:00:00:00:ff:02"
    ports:
      - {{number: 1, address: 10.1.3.0}}
      - {{number: 10, address: 10.9.2.1, fabric: true}}
hosts:{more_hosts}
  h11: {{switch: tor1, port: 1, vtep: 10.1.1.1, ovsdb: "unix:/run/h11/db.sock", vlans: {{first: 100, last: {last}}}}}
  h21: {{switch: tor2, port: 1, vtep: 10.1.3.1, ovsdb: "unix:/run/h21/db.sock", vlans: {{first: 100, last: {last}}}}}
endpoints:{more_endpoints}
  - {{name: red-1, tenant: red, mac: "02:00:00:00:00:01", ip: 10.0.0.1, host: h11, interface: red1}}
  - {{name: red-3, tenant: red, mac: "02:00:00:00:00:03", ip: 10.0.0.3, host: h21, interface: red3}}
  - {{name: red-4, tenant: red, mac: "02:00:00:00:00:04", ip: 10.0.0.4, host: h21, interface: red4}}
  - {{name: blue-1, tenant: blue, mac: "02:00:00:00:00:01", ip: 10.0.0.1, host: h11, interface: blue1}}
  - {{name: blue-3, tenant: blue, mac: "02:00:00:00:00:03", ip: 10.0.0.3, host: h21, interface: blue3}}
"""


_HOST = """
  h12: {switch: tor1, port: 2, vtep: 10.1.2.1, ovsdb: "unix:/run/h12/db.sock", vlans: {first: 100, last: 101}}"""
_ENDPOINT = """
  - {name: red-2, tenant: red, mac: "02:00:00:00:00:02", ip: 10.0.0.2, host: h12, interface: red2}"""

RED = PairId("red.red-1.red-3")
RED_TOO = PairId("red.red-1.red-4")
RED_IN_RACK = PairId("red.red-1.red-2")
BLUE = PairId("blue.blue-1.blue-3")


def _network(vlans: int, third_host: bool = False) -> Inventory:
    more = (_HOST, _ENDPOINT) if third_host else ("", "")
    return parse(_NETWORK.format(last=99 + vlans, more_hosts=more[0], more_endpoints=more[1]), "model")


def followed(scenario: Scenario) -> Scenario:
    """With leaders that are paused anywhere, followed by another, and go on at any later time."""
    return replace(scenario, name=f"{scenario.name}, leaders that were paused", stale_leaders=True)


Asks = tuple[int, int]
"""Offloads and reverts."""


def alone(asks: Asks = (1, 1)) -> Scenario:
    """One pair over two racks."""
    return Scenario("one pair", _network(2), (RED,), (asks,))


def shared(one: Asks = (1, 1), other: Asks = (1, 1)) -> Scenario:
    """Two pairs that share an endpoint (red-1) and their tenant's tag on both hosts; two ToRs, two hosts."""
    return Scenario("two pairs, one endpoint and one tag", _network(2), (RED, RED_TOO), (one, other))


def crossing() -> Scenario:
    """The same: one is on the switches and comes back, the other goes there."""
    together = shared((0, 1), (1, 0))
    return replace(together, name="one comes, one goes", active=(RED,))


def moving(one: Asks = (1, 0), other: Asks = (0, 0)) -> Scenario:
    """Two pairs on the switches; the endpoint that they share moves to another host of its rack."""
    before = _network(2, True)
    moved = replace(before.endpoints[EndpointName("red-1")], host=HostName("h12"))
    after = before.with_endpoints({**before.endpoints, moved.name: moved}.values())
    together = (RED, RED_TOO)
    return Scenario("an endpoint of two pairs moves", before, together, (one, other), active=together, after=after)


def vanishing() -> Scenario:
    """One pair, and an end of it that vanishes at any time."""
    before = _network(2)
    after = before.with_endpoints(each for each in before.endpoints.values() if each.name != "red-1")
    return Scenario("an endpoint vanishes", before, (RED,), ((1, 1),), after=after)


def in_rack(one: Asks = (1, 1), other: Asks = (1, 1)) -> Scenario:
    """Two pairs that share an endpoint, one of them inside a rack; two ToRs, three hosts."""
    return Scenario("one pair in the rack, one out of it", _network(2, True), (RED_IN_RACK, RED), (one, other))


def tenants(red: Asks = (1, 1), blue: Asks = (1, 1)) -> Scenario:
    """Two tenants with the same addresses on the same hosts, and one VLAN id for both."""
    return Scenario("two tenants, one VLAN id", _network(1), (RED, BLUE), (red, blue), follow_rests=True)
