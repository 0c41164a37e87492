"""A connection that stays, against a real Open vSwitch: bundles, rules by cookie, and what others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from contract.ovs_machine import OvsMachine
from contract.test_host_writer_host import ME, PEER, RED_RECEIVE, RED_SEND, connect
from ezpath.names import Vni
from ezpath.ovs import OpenFlowConnection, OvsUnreachable
from ezpath.ovs import openflow as of
from ezpath.ovs.flows import PRIORITY, Flow, Role, cookie
from ezpath_host_writer.book import entries_of
from ezpath_host_writer.quick import Quick

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = pytest.mark.root


def rule(match: str, actions: str, role: Role = Role.SEND) -> Flow:
    return Flow(cookie(role, Vni(5001), match), PRIORITY, match, actions)


RULES = [
    rule(
        f"in_port=11,vlan_tci=0x0000/0x1fff,dl_src={ME},dl_dst={PEER}",
        "push_vlan:0x8100,set_field:4196->vlan_vid,output:12",
    ),
    rule(f"in_port=12,dl_vlan=100,dl_dst={ME}", "pop_vlan,output:11", Role.RECEIVE),
    rule("in_port=13,dl_vlan=100", "output:14"),
    rule("in_port=14", "drop", Role.GUARD),
]


def adds(*flows: Flow) -> list[of.Mod]:
    return [of.Mod(of.Command.ADD, flow) for flow in flows]


@pytest_asyncio.fixture
async def bridge(machine: OvsMachine) -> AsyncIterator[OpenFlowConnection]:
    connection = await OpenFlowConnection.open("br-int", machine.openflow("br-int"))
    yield connection
    await connection.close()


async def until_taken(bridge: OpenFlowConnection, flow: Flow, taken: bool) -> None:
    async with asyncio.timeout(5):
        while bridge.is_taken(flow) is not taken:  # noqa: ASYNC110 - Open vSwitch tells the connection, not us
            await asyncio.sleep(0.01)


async def test_rules_are_what_ovs_ofctl_would_have_made_and_are_found_by_cookie(
    machine: OvsMachine, bridge: OpenFlowConnection
) -> None:
    # When each kind of rule of ours is added
    assert await bridge.commit(adds(*RULES))
    # Then ovs-ofctl shows it in the words it was given in, and it is found as it was written
    assert sorted(f"{flow.match} actions={flow.actions}" for flow in RULES) == sorted(
        line.partition(f"priority={PRIORITY},")[2] for line in machine.ours("br-int")
    )
    assert await bridge.with_cookies({flow.cookie for flow in RULES}) == set(map(of.found_of, RULES))
    # And when two are deleted and one of them is replaced, all that changes
    other = rule(RULES[2].match, "output:15")
    deletes = [of.Mod(of.Command.DELETE_STRICT, flow) for flow in RULES[1:3]]
    assert await bridge.commit([*deletes, *adds(other)])
    found = await bridge.with_cookies({flow.cookie for flow in RULES})
    assert found == {of.found_of(RULES[0]), of.found_of(other), of.found_of(RULES[3])}


async def test_a_bundle_is_taken_or_refused_as_a_whole(machine: OvsMachine, bridge: OpenFlowConnection) -> None:
    assert not await bridge.commit(adds(RULES[0], rule("in_port=15", "output:4294967280"), RULES[1]))
    assert machine.ours("br-int") == []
    assert await bridge.commit(adds(RULES[0]))


async def test_a_delete_spares_a_rule_that_has_another_cookie(machine: OvsMachine, bridge: OpenFlowConnection) -> None:
    machine.add_flow("br-int", f"cookie=0x1ab,priority={PRIORITY},{RULES[2].match},actions=drop")
    assert await bridge.commit([of.Mod(of.Command.DELETE_STRICT, RULES[2])])
    assert len(machine.others("br-int")) == len(machine.flows("br-int")) > 0


async def test_what_others_have_and_do_is_known(machine: OvsMachine, bridge: OpenFlowConnection) -> None:
    # Given somebody's rule where one of ours would go
    first, second = RULES[0], RULES[2]
    machine.add_flow("br-int", f"cookie=0x1ab,priority={PRIORITY},{first.match},actions=drop")
    await until_taken(bridge, first, True)
    assert not bridge.is_taken(second)
    # Whoever connects later knows of it as well
    later = await OpenFlowConnection.open("br-int", machine.openflow("br-int"))
    assert later.usable and later.is_taken(first)
    await later.close()
    # When it goes, then that is known too; ours are nobody else's
    machine.ofctl("del-flows", "br-int", "cookie=0x1ab/-1")
    await until_taken(bridge, first, False)
    assert await bridge.commit(adds(*RULES))
    await asyncio.sleep(0.1)
    assert not any(map(bridge.is_taken, RULES))


async def test_a_daemon_that_is_gone_is_unreachable(machine: OvsMachine, bridge: OpenFlowConnection) -> None:
    machine.kill("ovs-vswitchd")
    with pytest.raises(OvsUnreachable):
        await bridge.commit(adds(RULES[0]))
    assert not bridge.usable
    with pytest.raises(OvsUnreachable):
        await OpenFlowConnection.open("br-int", machine.openflow("br-int"))


async def test_a_bridge_that_speaks_another_openflow_is_written_to_the_long_way(machine: OvsMachine) -> None:
    machine.plug("br-int", "red1")
    ovs = await connect(machine)
    machine.vsctl("set", "bridge", "br-phy", "protocols=OpenFlow10,OpenFlow14")
    try:
        await ovs.advance(entries_of([RED_SEND]))
        assert len(machine.ours("br-int")) == 2
    finally:
        await ovs.close()


async def test_a_host_is_changed_quickly_and_where_somebody_is_in_the_way_the_long_way_and_not_at_all(
    machine: OvsMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a host that was brought to what it ought to be, and a count of the quick ways taken
    machine.plug("br-int", "red1")
    quick: list[int] = []
    advance = Quick.advance

    async def counted(self: Quick, items: object) -> int:
        changed = await advance(self, items)  # type: ignore[arg-type]
        quick.append(changed)
        return changed

    monkeypatch.setattr(Quick, "advance", counted)
    ovs = await connect(machine)
    try:
        await ovs.apply([])
        # When items come and go, then quickly, and what is there is what looking at everything would have made of it
        assert await ovs.advance(entries_of([RED_SEND])) == 2
        assert await ovs.advance(entries_of([RED_SEND, RED_RECEIVE])) == 2
        assert await ovs.advance(entries_of([RED_RECEIVE])) == 2
        assert quick == [2, 2, 2]
        assert await ovs.apply([RED_RECEIVE]) == 0
        # When somebody else's rule stands where ours would go
        port = ovs.ports.endpoints[(RED_SEND.vni, RED_SEND.src)]
        match = f"in_port={port},vlan_tci=0x0000/0x1fff,dl_src={ME},dl_dst={PEER}"
        machine.add_flow("br-int", f"cookie=0x1ab,priority={PRIORITY},{match},actions=drop")
        await asyncio.sleep(0.2)
        # Then it stays, the item is named, and the others are as they were
        await ovs.advance(entries_of([RED_RECEIVE, RED_SEND]))
        assert "not EZPath's" in ovs.problems([RED_SEND])[RED_SEND]
        assert any("cookie=0x1ab" in line and match in line for line in machine.others("br-int"))
        assert await ovs.apply([RED_RECEIVE]) == 0
        # And what somebody took away behind our back is put back by the next look at everything
        machine.ofctl("del-flows", "br-int", "cookie=0xe25a020000000000/0xffffff0000000000")
        assert await ovs.apply([RED_RECEIVE]) == 1
    finally:
        await ovs.close()
