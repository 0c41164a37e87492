"""The host-writer repairs what differs from what ought to be there, both ways, and touches nothing else."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import Any

import pytest
from contract.host_writer_rig import RECEIVE, SEND, TAG, A, B, Commander, HostWriter, eventually, installed
from contract.ovs_machine import OvsMachine, Wire, frame
from ezpath.answers import Installed, ask_installed, from_document
from ezpath.bus import Bus
from ezpath.items import words

pytest_plugins = ["contract.ovs_fixture", "contract.host_writer_fixture"]
pytestmark = pytest.mark.root

OURS = "0xe25a020000001389"
"""A cookie of ours: receive, VNI 5001."""
SOMEBODYS = ("cookie=0x77,table=0,priority=10,dl_vlan=7,actions=drop", "cookie=0x0,table=7,priority=9,actions=NORMAL")


def all_flows(machine: OvsMachine) -> dict[str, list[str]]:
    return {bridge: machine.flows(bridge) for bridge in machine.vsctl("list-br").split()}


async def test_surplus_under_our_cookie_goes_wherever_it_is_and_what_is_not_ours_stays(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    # Given a third bridge, rules of somebody on all of them, and a host that is as it ought to be
    machine.vsctl("add-br", "br-old", "--", "set", "bridge", "br-old", "datapath_type=netdev")
    for bridge in ("br-int", "br-phy", "br-old"):
        for flow in SOMEBODYS:
            machine.add_flow(bridge, flow)
    await commander.want("h1", (RECEIVE, SEND), 3)
    await writer.start()
    before = all_flows(machine)
    assert len(installed(machine)) == 4
    # When rules with our cookie appear: in our table, in another one, of a role that nobody knows, on another bridge
    machine.add_flow("br-int", f"cookie={OURS},table=0,priority=58082,in_port=9,dl_vlan=9,actions=drop")
    machine.add_flow("br-phy", f"cookie={OURS},table=5,priority=1,actions=drop")
    machine.add_flow("br-phy", "cookie=0xe25a770000000000,table=0,priority=3,in_port=77,actions=drop")
    machine.add_flow("br-old", f"cookie={OURS},table=2,priority=1,actions=drop")
    # Then they go, and nothing else has changed
    await eventually(lambda: all_flows(machine) == before, "surplus is gone, the rest is as it was")
    # And the same where they were there before the writer
    await writer.stop()
    machine.add_flow("br-old", f"cookie={OURS},priority=1,actions=drop")
    machine.add_flow("br-int", f"cookie={OURS},table=5,priority=1,actions=drop")
    await writer.start()
    await eventually(lambda: all_flows(machine) == before, "what an earlier one left is gone")


async def test_where_nothing_is_desired_all_of_ours_is_surplus(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    clean = all_flows(machine)
    assert (await commander.ask("h1", put=(RECEIVE, SEND), generation=4)).ok
    # When the decider wants nothing there any more, and the command that says so is lost
    await commander.want("h1", (), 5)
    # Then the next audit takes everything off
    await eventually(lambda: all_flows(machine) == clean, "nothing is left")


async def test_what_is_desired_and_was_never_commanded_is_installed(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await commander.want("h1", (), 3)
    await writer.start()
    assert installed(machine) == []
    await commander.want("h1", (RECEIVE,), 7)
    await eventually(lambda: len(installed(machine)) == 2, "both rules of it are there")
    # A document older than a command that was carried out changes nothing
    assert (await commander.ask("h1", put=(SEND,), generation=9)).ok
    await commander.want("h1", (), 8)
    await asyncio.sleep(1.5)
    assert len(installed(machine)) == 4


async def test_a_rule_of_ours_that_somebody_changed_is_put_right(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE, SEND))).ok
    before = all_flows(machine)
    machine.ofctl("mod-flows", "br-int", "cookie=0xe25a000000000000/0xffff000000000000,actions=drop")
    assert all_flows(machine) != before
    await eventually(lambda: all_flows(machine) == before, "the actions are ours again")


async def test_a_rule_of_somebody_that_took_the_place_of_ours_is_not_touched(
    machine: OvsMachine, writer: HostWriter, commander: Commander
) -> None:
    await writer.start()
    assert (await commander.ask("h1", put=(RECEIVE,))).ok
    taken = next(flow for flow in machine.ours("br-phy") if "dl_vlan" in flow)
    theirs = re.sub(r"cookie=\w+", "cookie=0x99", taken).replace(" actions=", ",actions=").replace(" ", "")
    theirs = re.sub(r"actions=.*", "actions=LOCAL", theirs)
    machine.add_flow("br-phy", theirs)
    others = machine.others("br-phy")
    await eventually(lambda: writer.said("not installed", host="h1"), "it says what stands in the way")
    await asyncio.sleep(1.5)
    assert machine.others("br-phy") == others
    assert not [flow for flow in machine.ours("br-phy") if "dl_dst" in flow]


async def test_while_kv_is_silent_what_is_known_is_put_back(
    machine: OvsMachine, writer: HostWriter, commander: Commander, nats_server: Any
) -> None:
    await commander.want("h1", (RECEIVE, SEND), 3)
    await writer.start()
    before = all_flows(machine)
    nats_server.freeze()
    try:
        machine.ofctl("del-flows", "br-int", "cookie=0xe25a000000000000/0xffff000000000000")
        await eventually(lambda: all_flows(machine) == before, "it is back without NATS")
        await asyncio.to_thread(machine.restart_vswitchd)
        await eventually(lambda: all_flows(machine) == before, "after a restart too")
    finally:
        nats_server.thaw()


async def test_what_differs_is_told_in_the_items_own_words(
    machine: OvsMachine, writer: HostWriter, commander: Commander, bus: Bus
) -> None:
    async def ask() -> Installed:
        document = await bus.ask(ask_installed("host:h1"), {}, 20)
        assert document is not None
        answer = from_document(document)
        assert isinstance(answer, Installed)
        return answer

    await commander.want("h1", (SEND, RECEIVE), 3)
    await writer.start(audit_s=600)
    same = await ask()
    assert (same.same, same.items, same.generation, same.problem) == (True, 2, 3, "")
    # When one of a send rule's two rules goes, one of a receive rule is changed, and one of nobody comes: again where
    # it was put right at once, since Open vSwitch's own news of its new ports set off an audit
    for _ in range(10):
        push, pop = (_match(machine, word) for word in ("push_vlan", "pop_vlan"))
        machine.ofctl("del-flows", "br-int", push, "--strict")
        machine.ofctl("mod-flows", "br-int", f"{pop},actions=drop", "--strict")
        machine.add_flow("br-phy", f"cookie={OURS},table=5,priority=1,actions=drop")
        found = await ask()
        if found.missing and found.changed and found.surplus:
            break
    # Then each is named
    assert [line.split(", ")[0] for line in found.missing] == [words(SEND)]
    assert "integration bridge" in found.missing[0] and "push_vlan" in found.missing[0]
    assert [changed.wanted.split(", ")[0] for changed in found.changed] == [words(RECEIVE)]
    assert "actions=drop" in found.changed[0].found
    assert len(found.surplus) == 1 and "table=5" in found.surplus[0]


def _match(machine: OvsMachine, word: str) -> str:
    """Priority and match of our one rule on the integration bridge with ``word`` in it."""
    (flow,) = [flow for flow in machine.ours("br-int") if word in flow]
    found = re.search(r"(priority=\S+) actions", flow)
    assert found is not None, flow
    return found[1]


class Traffic:
    """Numbered frames out of a container, all the time; what arrives on the overlay's side, and on the switch's."""

    def __init__(self, source: Wire, overlay: Wire, uplink: Wire) -> None:
        self.sent = 0
        self.by_overlay: list[int] = []
        self.by_switch: list[int] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(source,)),
            threading.Thread(target=self._receive, args=(overlay, self.by_overlay, None)),
            threading.Thread(target=self._receive, args=(uplink, self.by_switch, TAG)),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, source: Wire) -> None:
        while not self._stop.is_set():
            self.sent += 1
            source.send(frame(B, A, self.sent.to_bytes(4, "big")))
            time.sleep(0.004)
        time.sleep(0.5)

    def _receive(self, wire: Wire, into: list[int], tag: int | None) -> None:
        while not self._stop.is_set() or wire.silent(0):
            for data in wire.receive(50, 0.1):
                tagged = data[12:14] == b"\x81\x00"
                assert tagged is (tag is not None)
                payload = data[18:] if tagged else data[14:]
                into.append(int.from_bytes(payload[:4], "big"))
            if self._stop.is_set():
                return


async def test_an_open_vswitch_that_restarts_empty_falls_back_to_the_overlay_and_is_offloaded_again(
    machine: OvsMachine, writer: HostWriter, commander: Commander, a: Wire
) -> None:
    # Given a pair whose frames go tagged to the switch; `overlay` stands where a VXLAN port would
    overlay = machine.plug("br-int", "overlay")
    await commander.want("h1", (RECEIVE, SEND), 3)
    await writer.start()
    traffic = await asyncio.to_thread(Traffic, a, overlay, machine.uplink)
    try:
        await eventually(lambda: len(traffic.by_switch) > 20, "frames go by the switch")
        assert traffic.by_overlay == []
        # When ovs-vswitchd is killed and starts again, its tables empty, while nobody writes
        await writer.stop()
        await asyncio.to_thread(machine.kill, "ovs-vswitchd")
        await asyncio.to_thread(machine.start_vswitchd)
        assert installed(machine) == []
        # Then the overlay carries the frames at once, by itself, and nothing goes out tagged
        await eventually(lambda: len(traffic.by_overlay) > 20, "frames go by the overlay")
        switched = len(traffic.by_switch)
        await asyncio.sleep(0.3)
        assert len(traffic.by_switch) == switched
        # And when its writer is there, they go by the switch again
        await writer.start()
        await eventually(lambda: len(traffic.by_switch) > switched + 20, "offloaded again")
    finally:
        await asyncio.to_thread(traffic.stop)
    first = traffic.by_overlay[0]
    arrived = {*traffic.by_overlay, *traffic.by_switch}
    assert [number for number in range(first, max(arrived)) if number not in arrived] == [], (
        "none lost since it is back"
    )
    # Receiving before sending: the older rule has been there longer
    ages = {word: _age_ms(machine, word) for word in ("pop_vlan", "push_vlan")}
    assert ages["pop_vlan"] > ages["push_vlan"]


def _age_ms(machine: OvsMachine, word: str) -> float:
    """Of the one rule on the integration bridge with ``word`` in it."""
    (line,) = [line for line in machine.ofctl("dump-flows", "br-int").splitlines() if word in line]
    found = re.search(r"duration=([\d.]+)s", line)
    assert found is not None
    return float(found[1]) * 1000
