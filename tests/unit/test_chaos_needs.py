"""What ought to be installed by the records, what is by the switches' and hosts' own words, and the difference."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from ezpath.inventory import Inventory, parse
from ezpath.items import EndpointLocal, EndpointRemote, Item, ReceiveRule, SendRule, TenantTag
from ezpath.names import Mac, PairId, VlanId
from ezpath.ovs import Flow
from ezpath.saga import Phase
from ezpath.saga.plan import held, sides_of
from ezpath_host_writer.rules import Ports, compile_items, guards
from ezpath_lab.chaos import readings
from ezpath_lab.chaos.needs import Record, Thing, differences, needed, record_of, steady
from ezpath_lab.topology import inventory_document, two_racks
from ezpath_switch_writer.base import base_entries
from ezpath_switch_writer.entries import entry_of

TOPOLOGY = two_racks()
APART, BESIDE = "red.red-11.red-21", "blue.blue-11.blue-12"


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return parse(yaml.safe_dump(inventory_document(TOPOLOGY, Path("/run/lab"))), "lab")


def _record(inventory: Inventory, pair: str, phase: str = "active", told: bool = True) -> bytes:
    found = inventory.pair_by_id(PairId(pair))
    assert found is not None
    sides = [asdict(side) for side in sides_of(found, (VlanId(2), VlanId(3)), inventory)]
    return json.dumps({"v": 2, "pair": pair, "phase": phase, "told": told, "generation": 7, "sides": sides}).encode()


def _items(inventory: Inventory, pair: str) -> dict[str, list[Item]]:
    """What the saga itself says that the pair holds."""
    found = inventory.pair_by_id(PairId(pair))
    assert found is not None
    items: dict[str, list[Item]] = {}
    for target, item in held(sides_of(found, (VlanId(2), VlanId(3)), inventory), Phase.ACTIVE):
        items.setdefault(target, []).append(item)
    return items


def _ports(host: str) -> tuple[Ports, dict[int, tuple[int, str]]]:
    containers = TOPOLOGY.on_host(host)
    ours = {(TOPOLOGY.vni_of(c.name), Mac(c.mac)): c.ofport for c in containers}
    return Ports(101, 201, 1, ours), {c.ofport: (TOPOLOGY.vni_of(c.name), c.mac) for c in containers}  # type: ignore[arg-type]


def _dump(flows: Iterable[Flow]) -> str:
    """As ``ovs-ofctl --no-stats dump-flows`` prints them."""
    return "".join(f" cookie={f.cookie:#x}, priority={f.priority},{f.match} actions={f.actions}\n" for f in flows)


@pytest.mark.parametrize("pair", [APART, BESIDE])
def test_the_judge_and_the_saga_agree_on_what_an_active_pair_needs(inventory: Inventory, pair: str) -> None:
    # Given what the writers make of the saga's items, read back as the judge reads it
    items = _items(inventory, pair)
    found: dict[str, frozenset[Thing]] = {}
    for target, held_there in items.items():
        kind, _, name = target.partition(":")
        if kind == "switch":
            switch_items = [i for i in held_there if isinstance(i, TenantTag | EndpointLocal | EndpointRemote)]
            found[target] = readings.items_on_switch([entry_of(item) for item in switch_items])
        else:
            ports, behind = _ports(name)
            rules = compile_items([i for i in held_there if isinstance(i, SendRule | ReceiveRule)], ports).rules
            found[target] = readings.rules_on_host(_dump(rules.integration), _dump(rules.physical), behind)

    # Then it is what the judge works out from the record alone
    assert found == dict(needed([record_of(_record(inventory, pair))]))


def test_only_active_pairs_need_something(inventory: Inventory) -> None:
    assert needed([record_of(_record(inventory, APART, "reverted"))]) == {}
    assert set(needed([record_of(_record(inventory, APART))])) == {"switch:tor1", "switch:tor2", "host:h11", "host:h21"}


def test_a_pair_that_moved_while_somebody_looked_is_not_looked_at(inventory: Inventory) -> None:
    stayed, left = record_of(_record(inventory, APART)), record_of(_record(inventory, BESIDE))
    came_back = replace(left, generation=left.generation + 8)

    assert steady([stayed, left], [stayed, came_back]) == [stayed]
    assert steady([stayed, left], [stayed, replace(left, phase="host-send-off")]) == [stayed]


def test_a_saga_is_at_rest_when_it_ended_and_that_was_told(inventory: Inventory) -> None:
    assert record_of(_record(inventory, APART)).at_rest
    assert not record_of(_record(inventory, APART, told=False)).at_rest
    assert not record_of(_record(inventory, APART, "switch-off")).at_rest
    assert Record("red.a.b", "reverted", told=True).at_rest


def test_what_is_missing_and_what_is_an_orphan_is_said() -> None:
    one, other = ("tag", 1, 2, 5001), ("tag", 2, 2, 5001)

    assert differences("switch:tor1", frozenset({one}), frozenset({other})) == [
        "switch:tor1: missing tag 1 2 5001",
        "switch:tor1: orphan tag 2 2 5001",
    ]
    assert differences("switch:tor1", frozenset({one}), frozenset({one})) == []


def test_base_entries_are_no_items_and_items_no_base(inventory: Inventory) -> None:
    base = base_entries(inventory, inventory.switches["tor1"].name)  # type: ignore[index]
    items = [entry_of(i) for i in _items(inventory, APART)["switch:tor1"] if isinstance(i, TenantTag | EndpointLocal)]

    assert len(readings.base_on_switch([*base, *items])) == len(base)
    assert len(readings.items_on_switch([*base, *items])) == len(items)


def test_a_rule_into_another_container_is_not_taken_for_one_of_its_own() -> None:
    # Given a receive rule of red on h11 that leads to blue's port
    vni, mac = TOPOLOGY.vni_of("red-11"), TOPOLOGY.container("red-11").mac
    blue = TOPOLOGY.container("blue-11").ofport
    line = f" cookie={0xE25A020000000000 | vni:#x}, priority=58082,in_port=101,dl_vlan=2,dl_dst={mac} "

    # When the judge reads it
    found = readings.rules_on_host(line + f"actions=strip_vlan,output:{blue}\n", "", _ports("h11")[1])

    # Then it is an orphan whatever the records say
    assert [thing[0] for thing in found] == ["unknown"]


def test_guards_are_counted_and_an_operators_rules_passed_over() -> None:
    rules = guards(101, 201)
    operators = " cookie=0x1ab, priority=100,in_port=1 actions=output:2\n"

    assert readings.guards(_dump(rules.integration) + operators) == 1
    assert readings.rules_on_host(_dump(rules.integration) + operators, _dump(rules.physical), {}) == frozenset()
