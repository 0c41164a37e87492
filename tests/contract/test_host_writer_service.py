"""The host-writer as a process: a real nats-server, real Open vSwitches, commands in and reports out."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from contract.host_writer_rig import (
    GHOST,
    RECEIVE,
    RECEIVE_2,
    RED,
    SEND,
    SEND_2,
    TAG,
    A,
    B,
    Commander,
    HostWriter,
    eventually,
    installed,
    until_ok,
)
from contract.ovs_machine import OvsMachine, Wire, frame
from ezpath.events import HostCommand, encode
from ezpath.items import SendRule
from ezpath.names import HostName, Mac, PairId

pytest_plugins = ["contract.ovs_fixture", "contract.host_writer_fixture"]
pytestmark = pytest.mark.root


async def test_commands_are_carried_out_and_reported(
    machine: OvsMachine, writer: HostWriter, commander: Commander, a: Wire
) -> None:
    await writer.start()
    before = machine.flows("br-int"), machine.flows("br-phy")
    # when an offload's two steps come
    for put in (RECEIVE, SEND):
        report = await commander.ask("h1", put=(put,))
        assert report.ok, report.reason
        assert 0 < report.took_ms < 5000
    # then frames go the new way
    await asyncio.to_thread(a.send, frame(B, A))
    assert await asyncio.to_thread(machine.uplink.receive) == [frame(B, A, vid=TAG)]
    # and when they are taken back, all is as it was
    for remove in (SEND, RECEIVE):
        assert (await commander.ask("h1", remove=(remove,))).ok
    assert (machine.flows("br-int"), machine.flows("br-phy")) == before


async def test_a_repeated_command_is_confirmed_again_and_changes_nothing(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(SEND,), generation=5)).ok
    before = machine.flows("br-int")
    assert (await commander.ask("h1", put=(SEND,), generation=5)).ok
    assert machine.flows("br-int") == before


async def test_a_late_command_of_an_older_generation_changes_nothing(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(SEND,), generation=10)).ok
    assert (await commander.ask("h1", remove=(SEND,), generation=11)).ok
    before = machine.flows("br-int")
    report = await commander.ask("h1", put=(SEND,), generation=9)
    assert not report.ok
    assert report.reason.startswith("stale: generation 9, where 11 has spoken about send")
    assert machine.flows("br-int") == before


async def test_many_commands_at_once_are_a_batch(machine: OvsMachine, writer: HostWriter, commander: Commander) -> None:
    # given commands that wait while no host-writer runs
    peers = [Mac(f"02:00:00:00:01:{number:02x}") for number in range(40)]
    generations = [await commander.send("h1", put=(SendRule(RED, A, peer, TAG),)) for peer in peers]
    generations.append(await commander.send("h1", put=(SendRule(RED, GHOST, B, TAG),)))
    # when it comes
    await writer.start()
    reports = [await commander.report("h1", generation) for generation in generations]
    # then each is answered, and the one that cannot be done takes no other with it
    assert [report.ok for report in reports] == [True] * 40 + [False]
    assert len(machine.ours("br-int")) == 41
    assert len(machine.ours("br-phy")) == 2, "all use one tag"


async def test_an_endpoint_without_interface_fails_by_name(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    machine.vsctl("del-port", "red-a")
    await eventually(lambda: "red-a" not in machine.vsctl("show"), "the port is gone")
    report = await commander.ask("h1", put=(RECEIVE, SEND))
    assert not report.ok
    assert "host h1: no interface of Open vSwitch is named red-a" in report.reason
    assert "bridge br-int" in report.reason
    assert len(machine.ours("br-int")) == 1, "the guard alone"


async def test_a_rule_of_somebody_else_in_our_place_fails_one_command_only(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    machine.add_flow("br-phy", f"cookie=0x77,priority=58082,in_port=1,dl_vlan={TAG},dl_dst={A},actions=LOCAL")
    others = machine.flows("br-phy")
    await writer.start()
    report = await commander.ask("h1", put=(RECEIVE,))
    assert not report.ok
    assert "not EZPath's" in report.reason
    assert "cookie=0x77" in report.reason
    assert (await commander.ask("h1", put=(SEND,))).ok
    assert machine.others("br-phy") == others
    assert not [flow for flow in machine.ours("br-int") if "pop_vlan" in flow], "nothing of it is left"


async def test_a_refusal_is_reported_in_open_vswitchs_words_and_leaves_nothing(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    before = machine.flows("br-phy")
    machine.vsctl("add", "bridge", "br-int", "flow_tables", "0=@t", "--", "--id=@t", "create", "Flow_Table",
                  "flow_limit=2", "overflow_policy=refuse")  # fmt: skip
    report = await commander.ask("h1", put=(RECEIVE, SEND))
    assert not report.ok
    assert "bridge br-int" in report.reason
    assert "OFPFMFC_TABLE_FULL" in report.reason
    # and the log says of which saga, what was asked of whom, and what it answered
    [said] = writer.said("command failed", host="h1", saga=report.saga, reason=report.reason, log_level="warning")
    assert said["put"] == [
        f"receive vni=5001 vid=100 mac={RECEIVE.mac}",
        f"send vni=5001 src={SEND.src} dst={SEND.dst} vid=100",
    ]
    assert machine.flows("br-phy") == before, "the other bridge is put back"
    assert len(machine.ours("br-int")) == 1


async def test_an_unreachable_host_is_named_and_holds_up_nobody(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    lost = await commander.ask("h2", put=(RECEIVE_2,))
    assert not lost.ok
    assert "host h2: Open vSwitch is not reachable" in lost.reason
    assert "No such file" in lost.reason
    assert "hosts.h2.ovsdb" in lost.reason
    assert (await commander.ask("h1", put=(RECEIVE,))).ok
    assert writer.said("ready", hosts=["h1"], not_ready=["h2"])


async def test_a_frozen_host_holds_up_nobody(
    machine: OvsMachine, make_machine: Callable[[], OvsMachine], writer: HostWriter, commander: Commander
) -> None:
    second = make_machine()
    second.plug("br-int", "red-b")
    writer.write_inventory(machine.remote, second.remote)
    await writer.start()
    second.freeze("ovs-vswitchd")
    try:
        stuck = await commander.send("h2", put=(RECEIVE_2,))
        began = time.monotonic()
        assert (await commander.ask("h1", put=(RECEIVE,))).ok
        assert time.monotonic() - began < 3
        assert not (await commander.report("h2", stuck, 20)).ok
    finally:
        second.thaw("ovs-vswitchd")
    again = await until_ok(commander, "h2", put=(RECEIVE_2,))
    assert again.ok


async def test_a_host_that_comes_later_is_taken_up(
    machine: OvsMachine,
    writer: HostWriter,
    commander: Commander,
    make_machine: Callable[[], OvsMachine],
    tmp_path: Path,
) -> None:
    # given desired rules of a host whose Open vSwitch is not there
    second = make_machine()
    second.plug("br-int", "red-b")
    second.kill("ovs-vswitchd")
    writer.write_inventory(machine.remote, second.remote)
    await commander.want("h2", (RECEIVE_2,), 3)
    await writer.start()
    assert "ovs-vswitchd.*.ctl" in (await commander.ask("h2", put=(SEND_2,), generation=4)).reason
    # when it comes
    await asyncio.to_thread(second.start_vswitchd)
    # then what is desired is installed, and what failed is not
    await eventually(lambda: len(installed(second)) == 2, "desired rules are installed")
    assert not [flow for flow in second.ours("br-int") if "push_vlan" in flow]


async def test_what_is_desired_is_installed_and_what_is_not_is_removed_at_start(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    # given rules that an earlier host-writer left
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE,))).ok
    await writer.stop()
    assert len(installed(machine)) == 2, "a stop leaves the rules where they are"
    # when meanwhile something else is desired
    await commander.want("h1", (SEND,), 7)
    await writer.start()
    # then that is installed, and the old one is not
    assert all("push_vlan" in flow or "output" in flow for flow in installed(machine))
    assert [flow for flow in machine.ours("br-int") if "push_vlan" in flow]
    assert not [flow for flow in machine.ours("br-int") if "pop_vlan" in flow]
    # and a command from before, that was still on its way, changes nothing
    report = await commander.ask("h1", put=(RECEIVE,), generation=6)
    assert report.reason.startswith("stale: generation 6, where 7 has spoken")
    # while one that the desired state includes is confirmed
    assert (await commander.ask("h1", put=(SEND,), generation=6)).ok


async def test_what_several_shards_of_deciders_desire_is_installed_together(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await commander.want("h1", (RECEIVE,), generation=900)
    await commander.want("h1", (SEND,), generation=3, shard=1)
    await writer.start()
    both = machine.flows("br-int"), machine.flows("br-phy")
    # when a shard that counts lower takes its own item away, then that one goes
    assert (await commander.ask("h1", remove=(SEND,), generation=4, shard=1)).ok
    assert len(installed(machine)) == 2 and not [flow for flow in machine.ours("br-int") if "push_vlan" in flow]
    assert (await commander.ask("h1", put=(SEND,), generation=5, shard=1)).ok
    assert (machine.flows("br-int"), machine.flows("br-phy")) == both


async def test_without_a_desired_state_what_is_installed_stays(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE, SEND))).ok
    before = machine.flows("br-int"), machine.flows("br-phy")
    await writer.stop()
    await writer.start()
    assert (machine.flows("br-int"), machine.flows("br-phy")) == before
    assert (await commander.ask("h1", remove=(SEND,))).ok
    assert len(installed(machine)) == 2


async def test_a_vswitchd_that_restarts_empty_gets_its_rules_back(
    machine: OvsMachine, writer: HostWriter, commander: Commander, a: Wire
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE, SEND))).ok
    before = machine.ours("br-int"), machine.ours("br-phy")
    await asyncio.to_thread(machine.restart_vswitchd)
    await eventually(lambda: (machine.ours("br-int"), machine.ours("br-phy")) == before, "the rules are back")
    await asyncio.to_thread(a.send, frame(B, A))
    assert await asyncio.to_thread(machine.uplink.receive) == [frame(B, A, vid=TAG)]
    # it says so, and takes commands again
    assert writer.said("host not ready", host="h1")
    assert (await until_ok(commander, "h1", remove=(SEND,))).ok


async def test_a_database_that_restarts_is_connected_again(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    machine.kill("ovsdb-server")
    await eventually(lambda: writer.said("host not ready", host="h1"), "it is noticed")
    await asyncio.to_thread(machine.start_ovsdb)
    assert (await until_ok(commander, "h1", put=(RECEIVE,))).ok


async def test_a_rule_that_somebody_removes_is_put_back(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE,))).ok
    before = machine.flows("br-phy")
    machine.ofctl("del-flows", "br-phy", "cookie=0xe25a000000000000/0xffff000000000000")
    await eventually(lambda: machine.flows("br-phy") == before, "the audit puts it back")
    await eventually(lambda: writer.said("rules put back", host="h1"), "and says so")


async def test_a_malformed_command_goes_to_the_dead_letters(
    machine: OvsMachine, writer: HostWriter, commander: Commander, nats_server: Any
) -> None:
    await writer.start()
    client = await nats.connect(nats_server.url)
    await client.jetstream().publish("ezpath.command.host.h1", b'{"v":1,"type":"host-command","saga":1}')
    letter = await commander.letter()
    assert (letter.service, letter.subject) == ("host-writer", "ezpath.command.host.h1")
    # a command for another host, on the wrong subject
    stray = HostCommand("s", PairId("red.red-a.red-b"), 1, "host-send", HostName("h2"), (SEND_2,))
    await client.jetstream().publish("ezpath.command.host.h1", encode(stray))
    await commander.eventually(lambda: len(commander.letters) == 2 or None, 10)
    assert "a command for host h2" in commander.letters[-1].reason
    await client.close()
    assert (await commander.ask("h1", put=(RECEIVE,))).ok


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_leaves_everything_and_cleanup_takes_it_away(
    machine: OvsMachine, writer: HostWriter, commander: Commander, number: signal.Signals
) -> None:
    clean = machine.flows("br-int"), machine.flows("br-phy"), machine.vsctl("show")
    await asyncio.to_thread(writer.start_process)
    assert (await commander.ask("h1", put=(RECEIVE, SEND))).ok
    installed = machine.flows("br-int"), machine.flows("br-phy")
    assert await asyncio.to_thread(writer.stop_process, number) == 0
    assert (machine.flows("br-int"), machine.flows("br-phy")) == installed
    # cleanup needs no NATS
    writer.url = "nats://127.0.0.1:1"
    done = await asyncio.to_thread(writer.once, "--cleanup", "--host", "h1")
    assert done.returncode == 0, done.stderr
    assert (machine.flows("br-int"), machine.flows("br-phy"), machine.vsctl("show")) == clean
    # and says by name what it could not reach
    done = await asyncio.to_thread(writer.once, "--cleanup")
    assert done.returncode == 1
    assert "host h2: Open vSwitch is not reachable" in done.stderr


async def test_an_unknown_host_is_refused(writer: HostWriter) -> None:
    done = await asyncio.to_thread(writer.once, "--host", "h9")
    assert done.returncode == 2
    assert "--host h9: not in the inventory. Known: h1, h2" in done.stderr
