"""The Open vSwitch adapters against a real ovsdb-server and ovs-vswitchd."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from contract.ovs_machine import SCHEMA, OvsMachine, frame, run, wait_until
from ezpath.ovs import Change, Flow, OpenFlowBridge, Ovsdb, OvsMisfit, OvsRefused, OvsUnreachable, Vswitchd, patch
from ezpath.ovs.flows import touch_line

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = pytest.mark.root
OURS = Flow(0xE25A_0100_0000_0001, 58081, "in_port=7", "drop")


@pytest_asyncio.fixture
async def ovsdb(machine: OvsMachine) -> AsyncIterator[Ovsdb]:
    connection = await Ovsdb.connect(machine.remote, lambda _: None)
    yield connection
    await connection.close()


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition, "the database shows it", 5.0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class TestDatabase:
    async def test_ports_are_found_by_name_and_by_iface_id(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        machine.plug("br-int", "c1", iface_id="id-of-c1", ofport=11)
        await until(lambda: ovsdb.view.find("c1") and ovsdb.view.find("c1")[0].ofport)
        by_name, by_id = ovsdb.view.find("c1"), ovsdb.view.find("id-of-c1")
        assert by_name == by_id
        assert (by_name[0].bridge, by_name[0].ofport, by_name[0].iface_id) == ("br-int", 11, "id-of-c1")
        assert ovsdb.view.find("nobody") == []

    async def test_a_port_that_cannot_come_up_says_why(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        machine.vsctl("--no-wait", "add-port", "br-int", "nosuchdev")
        await until(lambda: ovsdb.view.interfaces.get("nosuchdev") and ovsdb.view.interfaces["nosuchdev"].error)
        interface = ovsdb.view.interfaces["nosuchdev"]
        assert interface.ofport is None
        assert "No such device" in interface.error

    async def test_changes_are_told(self, machine: OvsMachine) -> None:
        told: list[int | None] = []
        machine.plug("br-int", "c1", ofport=11)
        connection = await Ovsdb.connect(machine.remote, lambda view: told.append(view.interfaces["c1"].ofport))
        machine.vsctl("set", "interface", "c1", "ofport_request=12")
        await until(lambda: told and told[-1] == 12)
        await connection.close()

    async def test_the_end_of_the_server_is_noticed_and_named(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        machine.kill("ovsdb-server")
        async with asyncio.timeout(3):
            assert machine.remote in await ovsdb.until_lost()
        with pytest.raises(OvsUnreachable, match="Connection refused"):
            await Ovsdb.connect(machine.remote, lambda _: None)

    async def test_a_database_elsewhere_is_reached_over_tcp(self, tmp_path: Path, needs: Callable[..., None]) -> None:
        needs("ovsdb-server", "ovsdb-tool")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        database = str(tmp_path / "conf.db")
        await asyncio.to_thread(run, "ovsdb-tool", "create", database, str(SCHEMA))
        remote = f"--remote=ptcp:{port}:127.0.0.1"
        command = ("ovsdb-server", database, remote, f"--unixctl={tmp_path}/ctl", "-vconsole:off", "-vsyslog:off")
        server = await asyncio.create_subprocess_exec(*command, env={**os.environ, "OVS_RUNDIR": str(tmp_path)})
        try:
            await until(lambda: _listens(port))
            connection = await Ovsdb.connect(f"tcp:127.0.0.1:{port}", lambda _: None)
            assert connection.view.bridges == frozenset()
            await connection.close()
        finally:
            server.kill()
            await server.wait()
        with pytest.raises(OvsUnreachable, match=rf"tcp:127\.0\.0\.1:{port}: .*[Cc]onnect"):
            await Ovsdb.connect(f"tcp:127.0.0.1:{port}", lambda _: None)

    async def test_an_address_where_nothing_is_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(OvsUnreachable, match=r"unix:.*nothing\.sock: No such file"):
            await Ovsdb.connect(f"unix:{tmp_path}/nothing.sock", lambda _: None)


class TestPatchPair:
    async def test_it_is_made_once_and_removed_alone(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        pair = patch.plan(ovsdb.view, "br-int", "br-phy")
        await patch.ensure(ovsdb, pair)
        await until(lambda: patch.is_up(ovsdb.view, pair))
        made = machine.vsctl("list", "port", "ezp-int"), machine.vsctl("list", "interface", "ezp-phy")

        assert patch.plan(ovsdb.view, "br-int", "br-phy") == pair
        await patch.ensure(ovsdb, pair)
        assert (machine.vsctl("list", "port", "ezp-int"), machine.vsctl("list", "interface", "ezp-phy")) == made
        assert "4095" in made[0]
        assert "owner=ezpath" in made[0]

        await patch.remove(ovsdb)
        await patch.remove(ovsdb)
        assert machine.vsctl("list-ports", "br-int") == ""
        assert machine.vsctl("list-ports", "br-phy") == "eth0"

    async def test_a_number_that_is_taken_is_not_asked_for(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        machine.plug("br-int", "c1", ofport=patch.FIRST_NUMBER)
        await until(lambda: ovsdb.view.find("c1") and ovsdb.view.find("c1")[0].ofport)
        pair = patch.plan(ovsdb.view, "br-int", "br-phy")
        await patch.ensure(ovsdb, pair)
        await until(lambda: patch.is_up(ovsdb.view, pair))
        assert (pair.integration.number, pair.physical.number) == (patch.FIRST_NUMBER + 1, patch.FIRST_NUMBER)

    async def test_a_port_of_somebody_else_with_our_name_is_refused(self, machine: OvsMachine, ovsdb: Ovsdb) -> None:
        machine.plug("br-int", "ezp-int")
        await until(lambda: ovsdb.view.find("ezp-int"))
        with pytest.raises(OvsMisfit, match=r"ezp-int on bridge br-int is not ezpath's.*Rename or remove it"):
            patch.plan(ovsdb.view, "br-int", "br-phy")


class TestOpenFlow:
    async def test_a_bundle_is_all_or_nothing(self, machine: OvsMachine) -> None:
        bridge = OpenFlowBridge("br-int", machine.openflow("br-int"))
        before = machine.flows("br-int")
        refused = Flow(0xE25A_0100_0000_0002, 58081, "in_port=8", "write_actions(drop),group:99")
        with pytest.raises(OvsRefused, match="br-int"):
            await bridge.change(Change(adds=(OURS, refused)))
        assert machine.flows("br-int") == before
        await bridge.change(Change(adds=(OURS,)))
        assert len(machine.flows("br-int")) == len(before) + 1

    async def test_a_rule_reads_back_as_the_same(self, machine: OvsMachine) -> None:
        bridge = OpenFlowBridge("br-int", machine.openflow("br-int"))
        await bridge.change(Change(adds=(OURS,)))
        (back,) = await bridge.ours()
        assert back.same(OURS)

    async def test_only_the_rule_with_the_cookie_is_deleted(self, machine: OvsMachine) -> None:
        machine.add_flow("br-int", "cookie=0x77,priority=58081,in_port=7,actions=drop")
        machine.add_flow("br-int", "cookie=0x78,priority=5,in_port=7,actions=NORMAL")
        before = machine.flows("br-int")
        bridge = OpenFlowBridge("br-int", machine.openflow("br-int"))
        await bridge.change(Change(deletes=(OURS,)))
        assert machine.flows("br-int") == before

    async def test_a_port_is_kept_out_of_floods(self, machine: OvsMachine) -> None:
        machine.plug("br-int", "c1")
        bridge = OpenFlowBridge("br-int", machine.openflow("br-int"))
        await bridge.no_flood("c1")
        assert "NO_FLOOD" in run("ovs-ofctl", "show", f"unix:{machine.directory}/br-int.mgmt")
        machine.vsctl("set", "bridge", "br-int", "protocols=OpenFlow14")
        with pytest.raises(OvsRefused, match="br-int does not speak OpenFlow10"):
            await bridge.no_flood("c1")

    async def test_a_bridge_that_is_not_there_is_named(self, machine: OvsMachine) -> None:
        with pytest.raises(OvsUnreachable, match=r"bridge br-none: .*No such file"):
            await OpenFlowBridge("br-none", machine.openflow("br-none")).ours()

    async def test_a_bridge_that_does_not_speak_the_protocol_is_told_apart(self, machine: OvsMachine) -> None:
        machine.vsctl("set", "bridge", "br-int", "protocols=OpenFlow13")
        with pytest.raises(
            OvsRefused, match=r"br-int does not speak OpenFlow14.*ovs-vsctl add bridge br-int protocols"
        ):
            await OpenFlowBridge("br-int", machine.openflow("br-int")).ours()


class TestVswitchd:
    async def test_after_settling_no_frame_goes_the_old_way(self, machine: OvsMachine) -> None:
        # given a rule that sends c1's frames now to c2, now to c3
        c1, c2, c3 = (machine.plug("br-int", f"c{number}", ofport=number) for number in (1, 2, 3))
        bridge, vswitchd = (
            OpenFlowBridge("br-int", machine.openflow("br-int")),
            await Vswitchd.connect(machine.directory),
        )
        for turn in range(12):
            to, other, wire, idle = (2, 3, c2, c3) if turn % 2 else (3, 2, c3, c2)
            rule = Flow(0xE25A_0100_0000_0000, 58082, "in_port=1", f"output:{to}")
            # when it changes under traffic
            await bridge.change(Change(adds=(rule,)))
            await vswitchd.settle(lambda rule=rule: bridge.bundle([touch_line(rule)]))  # type: ignore[misc]
            # then the very next frame goes the new way
            data = frame("02:00:00:00:00:02", "02:00:00:00:00:01", b"turn %d" % turn)
            await asyncio.to_thread(c1.send, data)
            assert await asyncio.to_thread(wire.receive) == [data], (turn, other)
            assert await asyncio.to_thread(idle.silent, 0.02)
        await vswitchd.close()

    async def test_settling_does_not_wait_for_the_next_pass(self, machine: OvsMachine) -> None:
        bridge, vswitchd = (
            OpenFlowBridge("br-int", machine.openflow("br-int")),
            await Vswitchd.connect(machine.directory),
        )
        await bridge.change(Change(adds=(OURS,)))
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(5):
            began = loop.time()
            await vswitchd.settle(lambda: bridge.bundle([touch_line(OURS)]))
            took.append(loop.time() - began)
        await vswitchd.close()
        # Passes come by themselves every 0.5 s, and two are needed.
        assert sorted(took)[2] < 0.4, took

    async def test_its_end_is_noticed(self, machine: OvsMachine) -> None:
        vswitchd = await Vswitchd.connect(machine.directory)
        gone = asyncio.create_task(vswitchd.until_gone())
        await asyncio.sleep(0.05)
        assert not gone.done()
        machine.kill("ovs-vswitchd")
        async with asyncio.timeout(3):
            await gone
        await vswitchd.close()
        with pytest.raises(OvsUnreachable, match=r"ovs-vswitchd\.\*\.ctl: none of 1 answers"):
            await Vswitchd.connect(machine.directory)
