"""The switch-writer, commands in and reports out, over a real NATS, to a real P4Runtime server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace

import structlog
from contract.switch_writer_rig import (
    ITEM_TABLES,
    LOCAL,
    PAIR,
    REMOTE,
    TAG,
    TOR1,
    command,
    desire,
    entries,
    inventory_with,
    local,
    until_holds,
    until_said,
    writing,
)
from ezpath.bus import Bus, Saying
from ezpath.events import SwitchTables, TableUse
from ezpath.inventory import parse
from ezpath.items import EndpointLocal
from ezpath.names import Mac, Port, SwitchName, VlanId, Vni
from ezpath_switch_writer.base import base_entries
from ezpath_switch_writer.entries import entry_of
from ezpath_switch_writer.program import load_program
from ezpath_switch_writer.writer import SwitchWriter
from network import NETWORK
from tor_server import Tor

from p4rt import Client, Update

pytest_plugins = ["contract.switch_writer_fixture"]


async def test_an_empty_switch_gets_program_base_and_what_ought_to_be_there(bus, tor):
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor):
        held = await tor.entries()
    assert held == {*base_entries(inventory_with(tor), TOR1), *entries(TAG, LOCAL)}


async def test_a_command_is_carried_out_read_back_and_reported(bus, tor, reports):
    async with writing(bus, tor):
        (report,) = await reports.ask(command(put=(TAG, LOCAL, REMOTE)))
        assert report.ok and report.reason == ""
        assert (report.target, report.phase, report.pair) == ("switch:tor1", "switch-send", PAIR)
        assert report.took_ms > 0
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL, REMOTE)
        (report,) = await reports.ask(command(remove=(TAG, REMOTE)))
        assert report.ok
        assert await tor.entries(*ITEM_TABLES) == entries(LOCAL)


async def test_everything_is_idempotent(bus, tor, reports):
    async with writing(bus, tor):
        once, again = await reports.ask(command(put=(TAG, LOCAL)), command(put=(TAG, LOCAL)))
        moved = replace(LOCAL, vid=VlanId(101))
        (modified,) = await reports.ask(command(put=(moved,)))
        (other_is_there,) = await reports.ask(command(remove=(LOCAL, REMOTE)))
        assert once.ok and again.ok and modified.ok and other_is_there.ok
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, moved)


async def test_many_commands_at_once_are_all_answered(bus, tor, reports):
    async with writing(bus, tor):
        commands = [command(put=(local(n), TAG)) for n in range(100)]
        answers = await reports.ask(*commands)
        assert all(report.ok for report in answers)
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, *(local(n) for n in range(100)))


async def test_a_full_table_fails_the_command_in_the_switchs_words_and_leaves_nothing_of_it(bus, make_tor, reports):
    tor = make_tor(endpoint=3)
    await tor.start()
    async with writing(bus, tor):
        (first,) = await reports.ask(command(put=(local(1), local(2))))
        # When a command needs two places and only one is left, and a tag that has room
        (second,) = await reports.ask(command(put=(TAG, local(3), local(4))))
        assert first.ok and not second.ok
        assert tor.says_full in second.reason and "endpoint" in second.reason
        # Then nothing of it stays, and the place that was left is still there
        assert await tor.entries(*ITEM_TABLES) == entries(local(1), local(2))
        (third,) = await reports.ask(command(put=(local(5),)))
        assert third.ok


async def test_the_log_says_of_a_failure_which_saga_and_switch_what_was_asked_and_what_it_answered(
    bus, make_tor, reports
):
    tor = make_tor(endpoint=1)
    await tor.start()
    with structlog.testing.capture_logs() as logs:
        async with writing(bus, tor):
            good, bad = command(put=(local(1), TAG)), command(put=(local(2),), remove=(TAG,))
            assert [report.ok for report in await reports.ask(good, bad)] == [True, False]
            said = await until_said(logs, "command failed")
            carried_out = await until_said(logs, "commands carried out")
    assert (said["switch"], said["saga"], said["phase"], said["log_level"]) == ("tor1", bad.saga, bad.phase, "warning")
    assert said["put"] == ["endpoint-local vni=5001 mac=02:00:00:00:01:02 port=1 vid=100"]
    assert said["remove"] == ["tenant-tag port=1 vid=100 vni=5001"]
    assert tor.says_full in str(said["reason"])
    # and every line about commands names the sagas that they are of
    assert {good.saga, bad.saga} == {
        saga for line in logs if line["event"] == "commands carried out" for saga in line["sagas"]
    }
    assert carried_out["switch"] == "tor1"


async def test_one_of_a_batch_fails_and_the_others_do_not_suffer(bus, make_tor, reports):
    tor = make_tor(endpoint=2)
    await tor.start()
    commands = [
        command(put=(local(1), TAG)),
        command(put=(replace(TAG, vid=VlanId(200)), TAG, local(2))),
        command(put=(TAG, local(3), replace(TAG, vid=VlanId(300)))),  # no room
    ]
    for each in commands:
        await bus.publish(each)
    async with writing(bus, tor):
        good, also_good, bad = await reports.of(*commands)
        assert good.ok and also_good.ok and not bad.ok
        # What the failed one shares with the others stays, what was its own is gone
        assert await tor.entries(*ITEM_TABLES) == entries(local(1), TAG, local(2), replace(TAG, vid=VlanId(200)))


async def test_a_command_that_does_not_fit_the_program_fails_alone(bus, tor, reports):
    bad = EndpointLocal(Vni(5001), Mac("02:00:00:00:00:09"), Port(999), VlanId(100))  # ports have 9 bits
    commands = [command(put=(LOCAL,)), command(put=(bad,)), command(put=(TAG,))]
    for each in commands:
        await bus.publish(each)
    async with writing(bus, tor):
        first, second, third = await reports.of(*commands)
        assert first.ok and third.ok and not second.ok
        assert "9 bits" in second.reason
        assert await tor.entries(*ITEM_TABLES) == entries(LOCAL, TAG)


async def test_a_late_command_changes_nothing_and_says_stale(bus, tor, reports):
    async with writing(bus, tor):
        await reports.ask(command(put=(TAG,), generation=1000))
        await reports.ask(command(remove=(TAG,), generation=1002))
        (late,) = await reports.ask(command(put=(TAG,), generation=1001))
        assert not late.ok and late.reason.startswith("stale")
        assert await tor.entries(*ITEM_TABLES) == set()


async def test_of_commands_that_share_a_message_the_late_ones_alone_are_stale(bus, tor, reports):
    # Given a command that was carried out
    async with writing(bus, tor):
        await reports.ask(command(put=(TAG,), generation=4000))
        # When one message has one that is older than it, one that is new, and the same again
        late = command(remove=(TAG,), generation=3999)
        new, again = command(put=(LOCAL,), generation=4001), command(put=(TAG,), generation=4000)
        before = await bus.last_sequence()
        await bus.publish_all(map(Saying, (late, new, again)))
        assert await bus.last_sequence() == before + 1
        # Then each is answered for itself
        (answer_late,), (answer_new,) = await reports.of(late), await reports.of(new)
        assert answer_late.reason.startswith("stale") and answer_new.ok
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL)


async def test_a_malformed_command_is_a_dead_letter_and_the_next_one_is_carried_out(bus, nats_server, tor, reports):
    import nats

    async with writing(bus, tor):
        client = await nats.connect(nats_server.url)
        for payload in (b"\x00", b"{}", b'{"v":1,"type":"switch-command"}'):
            await client.publish("ezpath.command.switch.tor1", payload)
        await client.flush()
        await client.close()
        wrong = replace(command(put=(LOCAL,)), switch=SwitchName("tor2"))
        data = json.dumps({"v": 1, **asdict(wrong)}).encode()
        client = await nats.connect(nats_server.url)
        await client.publish("ezpath.command.switch.tor1", data)
        await client.flush()
        await client.close()
        (report,) = await reports.ask(command(put=(TAG,)))
        assert report.ok
        assert await tor.entries(*ITEM_TABLES) == entries(TAG)
        letters = [delivery.event async for delivery in bus.history(["ezpath.deadletter.>"])]
        assert len(letters) == 4
        assert "tor2" in letters[-1].reason


async def test_a_restarted_switch_gets_everything_back_and_pending_commands_are_carried_out(bus, tor, reports):
    await desire(bus, 1, TAG)
    async with writing(bus, tor) as writer:
        (report,) = await reports.ask(command(put=(TAG,), generation=2000))
        assert report.ok
        # When the switch dies, a command comes, and the switch returns empty
        await tor.stop()
        pending = command(put=(LOCAL,), generation=2001)
        await bus.publish(pending)
        await asyncio.sleep(1)
        assert pending.generation not in [report.generation for report in reports.all]
        await tor.start()
        # Then what ought to be there is put back, and the command is answered
        (report,) = await reports.of(pending)
        assert report.ok
        await asyncio.wait_for(writer.in_sync.wait(), 30)
        assert await tor.entries() == {*base_entries(inventory_with(tor), TOR1), *entries(TAG, LOCAL)}


async def test_a_restarted_writer_takes_over_removes_surplus_and_keeps_what_is_right(bus, tor, reports):
    await desire(bus, 1, TAG)
    async with writing(bus, tor):
        await reports.ask(command(put=(TAG, LOCAL), generation=3000))
    # Given that it was told while away that only the tag and the tunnel are wanted
    await desire(bus, 3001, TAG, REMOTE)
    loads = await _cookie(tor)
    async with writing(bus, tor):
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, REMOTE)
        # The program was not loaded again: entries were kept, packets went on
        assert await _cookie(tor) == loads
        # And an old command cannot undo it
        (late,) = await reports.ask(command(remove=(REMOTE,), generation=2999))
        assert late.reason.startswith("stale")


async def _cookie(tor: Tor) -> int:
    async with Client(tor.address, tor.device_id) as client:
        pipeline = await client.get_pipeline()
        assert pipeline is not None
        return pipeline.cookie


async def test_where_nothing_is_known_entries_are_left_alone(bus, tor, reports):
    async with writing(bus, tor):
        await reports.ask(command(put=(TAG,)))
    async with writing(bus, tor):
        assert await tor.entries(*ITEM_TABLES) == entries(TAG)
        # When it becomes known, the switch is brought there
        await desire(bus, 0, LOCAL)
        await until_holds(tor, LOCAL)


async def test_what_differs_from_what_ought_to_be_there_is_put_right_without_a_command(bus, make_tor, reports):
    tor = make_tor(endpoint=1)
    await tor.start()
    await desire(bus, 1, local(1), local(2))
    async with writing(bus, tor, audit_s=0.3):
        # Given that only one of two wanted entries had room
        assert len(await tor.entries(*ITEM_TABLES)) == 1
        # When the other is not wanted any more, and something else is
        await desire(bus, 2, local(2), TAG)
        # Then the switch gets there, and stays
        await until_holds(tor, local(2), TAG)
        await asyncio.sleep(1)
        assert await tor.entries(*ITEM_TABLES) == entries(local(2), TAG)
        (report,) = await reports.ask(command(put=(TAG,), generation=3))
        assert report.ok


async def test_several_shards_of_deciders_are_served_and_none_knows_of_the_other(bus, tor, reports):
    await desire(bus, 900, TAG)
    await desire(bus, 3, LOCAL, shard=2)
    async with writing(bus, tor):
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL)
        # A command of one shard is not stale because another one counts higher; a later document of it is noticed
        (report,) = await reports.ask(replace(command(put=(REMOTE,), generation=4), shard=2))
        assert report.ok and await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL, REMOTE)
        await desire(bus, 9, REMOTE, shard=2)
        await asyncio.sleep(0.5)
        (late,) = await reports.ask(replace(command(put=(LOCAL,), generation=8), shard=2))
        assert late.reason.startswith("stale")


async def test_a_world_that_began_anew_is_followed(bus, tor, reports):
    await desire(bus, 5000, TAG)
    async with writing(bus, tor):
        (old,) = await reports.ask(command(put=(LOCAL,), generation=5001))
        await desire(bus, 0)
        await until_holds(tor)
        (new,) = await reports.ask(command(put=(TAG,), generation=1))
        assert old.ok and new.ok


async def test_whoever_takes_the_switch_away_is_named_and_gives_it_back(bus, tor, reports):
    with structlog.testing.capture_logs() as logs:
        async with writing(bus, tor) as writer:
            # When another controller with a higher election id comes
            async with Client(tor.address, tor.device_id) as other:
                await other.become_primary(2**62)
                said = await until_said(logs, "another controller is primary")
                assert str(2**62) in str(said["reason"]) and not writer.in_sync.is_set()
                pending = command(put=(TAG,))
                await bus.publish(pending)
                await asyncio.sleep(1.5)
                assert not [report for report in reports.all if report.generation == pending.generation]
            # And goes, then the writer takes the switch back and does what it was told meanwhile
            (report,) = await reports.of(pending)
            assert report.ok


async def test_entries_changed_behind_the_writers_back_do_not_fool_it(bus, tor, reports):
    async with writing(bus, tor):
        await reports.ask(command(put=(TAG, LOCAL)))
        async with Client(tor.address, tor.device_id) as meddler:
            await meddler.become_primary(2**62)
            assert await meddler.write([Update.delete(entry_of(TAG)), Update.insert(entry_of(REMOTE))]) == []
        (put, put_other, removed) = await reports.ask(
            command(put=(TAG,)), command(put=(REMOTE,)), command(remove=(LOCAL,))
        )
        assert put.ok and put_other.ok and removed.ok
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, REMOTE)


async def test_a_base_configuration_that_does_not_fit_is_named_and_tried_again(bus, make_tor):
    tor = make_tor(arp_responder=2)
    await tor.start()
    with structlog.testing.capture_logs() as logs:
        async with writing(bus, tor, in_sync=False) as writer:
            said = await until_said(logs, "switch not in sync")
            assert not writer.in_sync.is_set()
    assert "arp_responder" in str(said["reason"]) and said["switch"] == "tor1"


async def test_one_dead_switch_does_not_hold_up_another(bus, make_tor, reports):
    dead, alive = make_tor(), make_tor()
    await alive.start()
    inventory = parse(
        NETWORK.replace("unix:/run/tor1.sock", dead.address).replace("unix:/run/tor2.sock", alive.address)
    )
    program = load_program(alive.p4_dir, alive.program)
    writers = [SwitchWriter(switch, inventory, program, bus) for switch in inventory.switches.values()]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    waiting = command(put=(TAG,))
    await bus.publish(waiting)
    other = replace(command(put=(TAG,)), switch=SwitchName("tor2"))
    (report,) = await reports.ask(other)
    assert report.ok and report.target == "switch:tor2"
    assert not writers[0].in_sync.is_set()
    await dead.start()
    (report,) = await reports.of(waiting)
    assert report.ok
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_tells_how_full_the_tables_are(bus: Bus, tor: Tor) -> None:
    told: asyncio.Queue[SwitchTables] = asyncio.Queue()
    await bus.subscribe_tables(told.put)
    async with writing(bus, tor, audit_s=0.2):
        first = await asyncio.wait_for(told.get(), 30)
        assert first.switch == TOR1
        tables = load_program(tor.p4_dir, tor.program).p4info.tables
        endpoint, tag = (tables[name].size for name in ("endpoint", "tenant_tag"))
        assert set(first.tables) == {TableUse("endpoint", endpoint, 0), TableUse("tenant_tag", tag, 0)}
        await bus.publish(command((TAG, LOCAL, REMOTE)))
        async with asyncio.timeout(15):
            while set((await told.get()).tables) != {TableUse("endpoint", endpoint, 2), TableUse("tenant_tag", tag, 1)}:
                pass
