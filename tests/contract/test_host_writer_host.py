"""The host-writer's hold on one real Open vSwitch, with real frames: what passes, what must not, what stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from contract.ovs_machine import OvsMachine, Wire, frame, wait_until
from ezpath.inventory import Host, Inventory, parse
from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import HostName, Mac, VlanId, Vni
from ezpath.ovs import OvsFenced, OvsMisfit, OvsUnreachable, patch
from ezpath_host_writer.book import entries_of
from ezpath_host_writer.cleanup import clean_up
from ezpath_host_writer.host import HostOvs

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = pytest.mark.root

RED, BLUE = Vni(5001), Vni(5002)
ME, PEER, OTHER = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), Mac("02:00:00:00:00:03")
BROADCAST = "ff:ff:ff:ff:ff:ff"
RED_TAG, BLUE_TAG = VlanId(100), VlanId(200)
RED_SEND, RED_RECEIVE = SendRule(RED, ME, PEER, RED_TAG), ReceiveRule(RED, RED_TAG, ME)
BLUE_SEND, BLUE_RECEIVE = SendRule(BLUE, ME, PEER, BLUE_TAG), ReceiveRule(BLUE, BLUE_TAG, ME)

INVENTORY = """
tenants: {{red: {{vni: 5001}}, blue: {{vni: 5002}}}}
switches:
  tor1:
    {{rack: r1, device_id: 1, address: "unix:/none", vtep: 10.255.0.1, mac: "02:aa:00:00:00:01",
     ports: [{{number: 1, address: 10.1.1.0}}, {{number: 2, address: 10.1.2.0}}]}}
hosts:
  h1: {{switch: tor1, port: 1, vtep: 10.1.1.1, ovsdb: "{ovsdb}"}}
  h2: {{switch: tor1, port: 2, vtep: 10.1.2.1, ovsdb: "unix:/nowhere/db.sock"}}
endpoints:
  - {{name: red1, tenant: red, mac: "{me}", ip: 10.0.0.1, host: h1, interface: red1}}
  - {{name: blue1, tenant: blue, mac: "{me}", ip: 10.0.0.1, host: h1, interface: id-of-blue1}}
  - {{name: red2, tenant: red, mac: "{peer}", ip: 10.0.0.2, host: h2, interface: red2}}
  - {{name: lost, tenant: red, mac: "{other}", ip: 10.0.0.3, host: h1, interface: lost0}}
"""


def inventory_of(machine: OvsMachine) -> Inventory:
    return parse(INVENTORY.format(ovsdb=machine.remote, me=ME, peer=PEER, other=OTHER))


def host_of(machine: OvsMachine) -> Host:
    return inventory_of(machine).hosts[HostName("h1")]


async def connect(machine: OvsMachine, term: int = 0) -> HostOvs:
    inventory = inventory_of(machine)
    endpoints = [endpoint for endpoint in inventory.endpoints.values() if endpoint.host == "h1"]
    return await HostOvs.connect(inventory.hosts[HostName("h1")], endpoints, term)


@pytest.fixture
def red1(machine: OvsMachine) -> Wire:
    return machine.plug("br-int", "red1")


@pytest.fixture
def blue1(machine: OvsMachine) -> Wire:
    return machine.plug("br-int", "blue1", iface_id="id-of-blue1")


@pytest_asyncio.fixture
async def ovs(machine: OvsMachine, red1: Wire, blue1: Wire) -> AsyncIterator[HostOvs]:
    ovs = await connect(machine)
    yield ovs
    await ovs.close()


async def carried(sender: Wire, data: bytes, receiver: Wire) -> list[bytes]:
    await asyncio.to_thread(sender.send, data)
    return await asyncio.to_thread(receiver.receive)


class TestFrames:
    async def test_what_an_endpoint_says_to_its_peer_leaves_tagged(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire
    ) -> None:
        await ovs.apply([RED_SEND])
        assert await carried(red1, frame(PEER, ME), machine.uplink) == [frame(PEER, ME, vid=RED_TAG)]

    async def test_what_comes_tagged_for_an_endpoint_reaches_it_untagged(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_RECEIVE])
        assert await carried(machine.uplink, frame(ME, PEER, vid=RED_TAG), red1) == [frame(ME, PEER)]
        assert blue1.silent()

    async def test_tenants_with_the_same_addresses_are_told_apart(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_SEND, RED_RECEIVE, BLUE_SEND, BLUE_RECEIVE])
        for wire, tag, idle in ((red1, RED_TAG, blue1), (blue1, BLUE_TAG, red1)):
            assert await carried(wire, frame(PEER, ME), machine.uplink) == [frame(PEER, ME, vid=tag)]
            assert await carried(machine.uplink, frame(ME, PEER, vid=tag), wire) == [frame(ME, PEER)]
            assert idle.silent(0.1)

    async def test_frames_that_carry_a_tag_already_are_left_to_the_operator(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_SEND])
        tagged = frame(PEER, ME, vid=7)
        assert await carried(red1, tagged, blue1) == [tagged], "br-int floods it, as it would without ezpath"
        assert machine.uplink.silent()

    async def test_frames_to_others_are_left_to_the_operator(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_SEND])
        assert await carried(red1, frame(OTHER, ME), blue1) == [frame(OTHER, ME)]
        assert machine.uplink.silent()

    async def test_a_tag_that_nobody_receives_reaches_no_container(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_RECEIVE])
        for data in (frame(ME, PEER, vid=300), frame(OTHER, PEER, vid=RED_TAG), frame(BROADCAST, PEER, vid=RED_TAG)):
            await asyncio.to_thread(machine.uplink.send, data)
        assert red1.silent()
        assert blue1.silent(0.05)

    async def test_after_removal_all_is_as_before(self, machine: OvsMachine, ovs: HostOvs, red1: Wire) -> None:
        before = machine.flows("br-int"), machine.flows("br-phy")
        await ovs.apply([RED_SEND, RED_RECEIVE])
        await ovs.apply([])
        assert (machine.flows("br-int"), machine.flows("br-phy")) == before
        await asyncio.to_thread(red1.send, frame(PEER, ME))
        assert machine.uplink.silent()

    async def test_the_shared_rule_of_a_tag_stays_while_one_needs_it(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire
    ) -> None:
        other = SendRule(RED, ME, OTHER, RED_TAG)
        await ovs.apply([RED_SEND, other])
        await ovs.apply([other])
        assert await carried(red1, frame(OTHER, ME), machine.uplink) == [frame(OTHER, ME, vid=RED_TAG)]

    async def test_no_frame_is_lost_while_paths_are_built_and_taken_down(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        # given an endpoint that talks all the time, on the operator's way (br-int floods to blue1) or on ours
        sent, going = 0, True

        def talk() -> None:
            nonlocal sent
            while going:
                red1.send(frame(PEER, ME, b"%06d" % sent))
                sent += 1
                time.sleep(0.0005)

        talking = asyncio.create_task(asyncio.to_thread(talk))
        seen: list[bytes] = []

        def listen(wire: Wire) -> None:
            while going or (more := wire.receive(1, 0.3)):
                seen.extend(wire.receive(200, 0.05) if going else more)

        listening = [asyncio.create_task(asyncio.to_thread(listen, wire)) for wire in (machine.uplink, blue1)]
        # when the path is built and taken down again and again
        for _ in range(8):
            await ovs.apply([RED_SEND, RED_RECEIVE])
            await ovs.apply([])
        await asyncio.sleep(0.1)
        going = False
        await asyncio.gather(talking, *listening)
        # then each frame has arrived, one way or the other, once
        numbers = sorted(int(data.split(b"\x88\xb5", 1)[1][:6]) for data in seen)
        assert sent > 200
        assert numbers == list(range(sent))
        assert {len(data) for data in seen} == {60, 64}, "both ways were used"


class TestOperatorsTraffic:
    async def test_floods_do_not_leak_through_the_patch(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        await ovs.apply([RED_SEND, RED_RECEIVE])
        machine.add_flow("br-int", "priority=7,dl_dst=02:00:00:00:00:77,actions=flood")
        for destination, tag in ((BROADCAST, None), ("02:00:00:00:00:77", None), (BROADCAST, RED_TAG)):
            data = frame(destination, ME, vid=tag)
            assert await carried(red1, data, blue1) == [data]
        flooded = frame("02:00:00:00:00:77", ME, vid=RED_TAG)
        assert await carried(red1, flooded, blue1) == [flooded]
        assert machine.uplink.silent()
        for data in (frame(BROADCAST, PEER), frame(ME, PEER), frame(BROADCAST, PEER, vid=RED_TAG)):
            await asyncio.to_thread(machine.uplink.send, data)
        assert blue1.silent()
        assert red1.silent(0.05)

    async def test_nothing_leaks_while_nobody_guards(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire, blue1: Wire
    ) -> None:
        # given ovs-vswitchd restarted: it has forgotten rules and no-flood, and the host-writer is not there
        await ovs.close()
        machine.restart_vswitchd()
        assert machine.ours("br-int") == machine.ours("br-phy") == []
        wait_until(lambda: "ezp-int" in machine.ofctl("show", "br-int"), "the patch port is back")
        # when containers and the underlay broadcast
        assert await carried(red1, frame(BROADCAST, ME), blue1) == [frame(BROADCAST, ME)]
        await asyncio.to_thread(machine.uplink.send, frame(BROADCAST, PEER))
        # then the two bridges stay apart
        assert machine.uplink.silent()
        assert blue1.silent(0.1)

    async def test_guards_are_there_before_the_ports(
        self, machine: OvsMachine, red1: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[list[str], list[str], str]] = []
        real: Callable[..., Awaitable[None]] = patch.ensure

        async def looked_at(*arguments: Any) -> None:
            ports = machine.vsctl("list-ports", "br-int")
            seen.append((machine.ours("br-int"), machine.ours("br-phy"), ports))
            await real(*arguments)

        monkeypatch.setattr(patch, "ensure", looked_at)
        await (await connect(machine)).close()
        ((integration, physical, ports),) = seen
        assert ports == "red1"
        number = patch.FIRST_NUMBER
        for flows in (integration, physical):
            assert flows == [f"cookie=0xe25a010000000000, priority=58081,in_port={number} actions=drop"]

    async def test_the_operators_rules_are_byte_for_byte_the_same(self, machine: OvsMachine, red1: Wire) -> None:
        machine.add_flow(
            "br-int", "cookie=0x1ab,table=0,priority=100,in_port=1,dl_src=02:00:00:00:00:01,actions=NORMAL"
        )
        machine.add_flow("br-int", "cookie=0xe25b000000000000,priority=58082,in_port=9,actions=drop")
        machine.add_flow("br-phy", "cookie=0xffff,table=3,priority=1,ip,actions=LOCAL")
        before = machine.flows("br-int"), machine.flows("br-phy")
        ovs = await connect(machine)
        for items in ((RED_SEND, RED_RECEIVE), (RED_SEND,), ()):
            await ovs.apply(items)
            assert (machine.others("br-int"), machine.others("br-phy")) == before
        await ovs.close()
        assert await clean_up([host_of(machine)]) == []
        assert (machine.flows("br-int"), machine.flows("br-phy")) == before

    async def test_a_rule_of_somebody_else_is_not_overwritten(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire
    ) -> None:
        ours_would_be = f"in_port={ovs.ports.uplink},dl_vlan={RED_TAG},dl_dst={ME}"
        machine.add_flow("br-phy", f"cookie=0x77,priority=58082,{ours_would_be},actions=LOCAL")
        before = machine.flows("br-int"), machine.flows("br-phy")
        # it is said, and others go on
        await ovs.apply([RED_RECEIVE, BLUE_RECEIVE])
        reason = ovs.problems([RED_RECEIVE, BLUE_RECEIVE])
        assert list(reason) == [RED_RECEIVE]
        assert (
            "bridge br-phy has a rule that is not EZPath's where EZPath's would go: cookie=0x77" in reason[RED_RECEIVE]
        )
        await ovs.apply([])
        assert (machine.flows("br-int"), machine.flows("br-phy")) == before
        # once it is gone, ours goes in
        machine.ofctl("del-flows", "br-phy", "cookie=0x77/-1")
        await ovs.refresh()
        await ovs.apply([RED_RECEIVE])
        assert not ovs.problems([RED_RECEIVE])
        assert len(machine.ours("br-phy")) == 2


class TestKeeping:
    async def test_applying_again_changes_nothing(self, machine: OvsMachine, ovs: HostOvs) -> None:
        items: list[HostItem] = [RED_SEND, RED_RECEIVE, BLUE_SEND]
        assert await ovs.apply(items) == 6
        before = machine.flows("br-int"), machine.flows("br-phy")
        assert await ovs.apply(items) == 0
        assert (machine.flows("br-int"), machine.flows("br-phy")) == before

    async def test_a_rule_that_somebody_removed_is_put_back(self, machine: OvsMachine, ovs: HostOvs) -> None:
        await ovs.apply([RED_SEND])
        before = machine.flows("br-int")
        machine.ofctl("del-flows", "br-int", "cookie=0xe25a000000000000/0xffff000000000000")
        assert await ovs.apply([RED_SEND]) == 2
        assert machine.flows("br-int") == before

    async def test_a_new_port_number_is_followed(self, machine: OvsMachine, ovs: HostOvs, red1: Wire) -> None:
        await ovs.apply([RED_SEND, RED_RECEIVE])
        machine.vsctl("set", "interface", "red1", "ofport_request=77")
        async with asyncio.timeout(5):
            while not await ovs.refresh():
                await ovs.changed.wait()
        await ovs.apply([RED_SEND, RED_RECEIVE])
        assert ovs.ports.endpoints[(RED, ME)] == 77
        assert await carried(red1, frame(PEER, ME), machine.uplink) == [frame(PEER, ME, vid=RED_TAG)]
        assert await carried(machine.uplink, frame(ME, PEER, vid=RED_TAG), red1) == [frame(ME, PEER)]
        assert len(machine.ours("br-int")) == 3, "and the rules of the old number are gone"

    async def test_a_patch_port_that_somebody_removed_is_made_again(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire
    ) -> None:
        await ovs.apply([RED_SEND])
        ovs.changed.clear()
        machine.vsctl("del-port", "br-int", "ezp-int")
        async with asyncio.timeout(5):
            await ovs.changed.wait()
            await ovs.refresh()
        assert machine.vsctl("list-ports", "br-int").split() == ["blue1", "ezp-int", "red1"]
        await ovs.apply([RED_SEND])
        assert await carried(red1, frame(PEER, ME), machine.uplink) == [frame(PEER, ME, vid=RED_TAG)]


class TestMisfits:
    async def test_an_unknown_interface_is_named_and_others_go_on(
        self, machine: OvsMachine, ovs: HostOvs, red1: Wire
    ) -> None:
        lost = ReceiveRule(RED, RED_TAG, OTHER)
        problems = ovs.problems([lost, RED_RECEIVE])
        assert list(problems) == [lost]
        assert "no interface of Open vSwitch is named lost0" in problems[lost]
        assert "h1" in problems[lost]
        assert "br-int" in problems[lost]
        await ovs.apply([lost, RED_RECEIVE])
        assert len(machine.ours("br-phy")) == 2

    async def test_an_interface_on_the_wrong_bridge_is_named(self, machine: OvsMachine) -> None:
        machine.plug("br-phy", "red1")
        ovs = await connect(machine)
        assert "interface red1 is on bridge br-phy, not on br-int" in ovs.problems([RED_SEND])[RED_SEND]
        await ovs.close()

    async def test_a_missing_uplink_is_named_with_the_remedy(self, machine: OvsMachine) -> None:
        machine.vsctl("del-port", "eth0")
        with pytest.raises(OvsMisfit, match=r"host h1: bridge br-phy has no port eth0.*ovs-vsctl add-port br-phy eth0"):
            await connect(machine)
        assert machine.ours("br-int") == machine.ours("br-phy") == []

    async def test_a_missing_bridge_is_named_with_the_remedy(self, machine: OvsMachine) -> None:
        machine.vsctl("del-br", "br-phy")
        with pytest.raises(
            OvsMisfit, match=r"host h1 has no bridge br-phy \(it has: br-int\).*ovs-vsctl add-br br-phy"
        ):
            await connect(machine)

    async def test_a_frozen_vswitchd_is_not_waited_for_for_ever(
        self, machine: OvsMachine, ovs: HostOvs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ezpath.ovs.ofctl.TIMEOUT_S", 0.5)
        machine.freeze("ovs-vswitchd")
        try:
            async with asyncio.timeout(5):
                with pytest.raises(OvsUnreachable, match="no answer within"):
                    await ovs.apply([RED_SEND])
        finally:
            machine.thaw("ovs-vswitchd")


class TestCleanup:
    async def test_everything_of_ours_goes_and_nothing_else(self, machine: OvsMachine, red1: Wire, blue1: Wire) -> None:
        before = machine.flows("br-int"), machine.flows("br-phy"), machine.vsctl("show")
        ovs = await connect(machine)
        await ovs.apply([RED_SEND, RED_RECEIVE, BLUE_SEND])
        await ovs.close()
        assert await clean_up([host_of(machine)]) == []
        assert await clean_up([host_of(machine)]) == [], "twice is the same as once"
        assert (machine.flows("br-int"), machine.flows("br-phy"), machine.vsctl("show")) == before

    async def test_the_ports_go_even_without_vswitchd(self, machine: OvsMachine, ovs: HostOvs) -> None:
        await ovs.close()
        machine.kill("ovs-vswitchd")
        assert await clean_up([host_of(machine)]) == []
        assert "ezp-" not in machine.vsctl("--no-wait", "show")

    async def test_a_host_that_is_not_there_is_named_and_others_are_cleaned(
        self, machine: OvsMachine, ovs: HostOvs
    ) -> None:
        await ovs.close()
        (reason,) = await clean_up(list(inventory_of(machine).hosts.values()))
        assert "host h2: Open vSwitch is not reachable: unix:/nowhere/db.sock: No such file" in reason
        assert machine.ours("br-int") == []


async def test_given_a_writer_of_a_later_term_then_the_earlier_one_changes_nothing_any_more(machine, red1, blue1):
    # given one that wrote, and is ready for the quick way, when another comes
    earlier = await connect(machine, term=3)
    await earlier.apply([RED_RECEIVE, RED_SEND])
    await earlier.advance(entries_of([RED_RECEIVE]))
    later = await connect(machine, term=4)
    await later.apply([RED_RECEIVE, RED_SEND])
    there = machine.ours("br-int") + machine.ours("br-phy")
    # then the bridges refuse the first one, quickly or at length, and say whose they are
    for change in (earlier.advance(entries_of([])), earlier.apply([]), earlier.apply([])):
        with pytest.raises(OvsFenced, match="has a writer of term 4"):
            await change
    with pytest.raises(OvsFenced):
        await connect(machine, term=3)
    assert machine.ours("br-int") + machine.ours("br-phy") == there
    # and the second one goes on, as does one that comes after it
    await later.advance(entries_of([RED_RECEIVE]))
    await later.advance(entries_of([RED_RECEIVE, RED_SEND]))
    latest = await connect(machine, term=5)
    assert await latest.apply([]) > 0
    for ovs in (earlier, later, latest):
        await ovs.close()


@pytest.mark.parametrize("term", range(1, 9))
async def test_given_a_wall_then_the_writer_just_before_is_behind_it(machine, term):
    # given a writer of any term, and one of the term before who has not noticed
    earlier, later = await connect(machine, term), await connect(machine, term + 1)
    # when that one changes something, then neither bridge takes it
    with pytest.raises(OvsFenced, match=f"has a writer of term {term + 1}"):
        await earlier.apply([RED_RECEIVE, RED_SEND])
    for bridge in earlier._bridges.values():
        with pytest.raises(OvsFenced):
            await bridge.bundle([])
    for ovs in (earlier, later):
        await ovs.close()


async def test_given_a_fence_that_somebody_removed_then_it_is_put_up_again_and_cleaning_up_takes_it_away(machine):
    ovs = await connect(machine, term=6)
    machine.ofctl("del-flows", "br-int", "table=253")
    await ovs.refresh()
    assert machine.fence("br-int")
    await ovs.close()
    assert await clean_up([host_of(machine)]) == []
    assert not [flow for b in ("br-int", "br-phy") for flow in (*machine.fence(b), *machine.ours(b))]
