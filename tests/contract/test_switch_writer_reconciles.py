"""The switch-writer repairs what differs from what ought to be there, both ways, and touches nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from contract.switch_writer_rig import (
    ITEM_TABLES,
    LOCAL,
    REMOTE,
    TAG,
    TOR1,
    command,
    desire,
    entries,
    inventory_with,
    until_holds,
    writing,
)
from ezpath.events import DESIRED_BUCKET
from ezpath.items import words
from ezpath.names import VlanId
from ezpath_switch_writer.base import base_entries
from ezpath_switch_writer.entries import entry_of
from tor_server import Tor

from p4rt import Client, TableEntry, Update

pytest_plugins = ["contract.switch_writer_fixture"]

MOVED = replace(LOCAL, vid=VlanId(101))
SOMEBODYS = TableEntry("route", {"prefix": (0xC0A80000, 16)}, "next_hop", {"port": 2, "src": 1, "dst": 2})
"""A route of an operator: in no table of items, and not in the base configuration."""


@asynccontextmanager
async def meddling(tor: Tor) -> AsyncIterator[Client]:
    """Somebody takes the switch, does what the body does, and gives it back."""
    async with Client(tor.address, tor.device_id) as meddler:
        await meddler.become_primary(2**62)
        yield meddler


async def until_whole(tor: Tor, *others: TableEntry) -> None:
    """Base configuration, the items TAG and LOCAL, ``others``, and nothing else."""
    wanted = {*base_entries(inventory_with(tor), TOR1), *entries(TAG, LOCAL), *others}
    async with asyncio.timeout(20):
        while await tor.entries() != wanted:  # noqa: ASYNC110 - a switch tells nobody
            await asyncio.sleep(0.1)


async def test_missing_surplus_and_changed_are_repaired_on_reconnect_and_what_is_not_ours_stays(bus, tor):
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor):
        # When somebody takes an item out, puts one in, changes one, damages the base, and adds a route of his own
        async with meddling(tor) as meddler:
            hurt = next(entry for entry in base_entries(inventory_with(tor), TOR1) if entry.table == "arp_responder")
            wrong = replace(hurt, params={"mac": 7})
            gone = next(entry for entry in base_entries(inventory_with(tor), TOR1) if entry.table == "tunnel_source")
            updates = [Update.delete(entry_of(TAG)), Update.modify(entry_of(MOVED)), Update.insert(entry_of(REMOTE))]
            updates += [Update.modify(wrong), Update.delete(gone), Update.insert(SOMEBODYS)]
            assert await meddler.write(updates) == []
        # Then, when the writer has the switch again, all is as it ought to be, and the route is still there
        await until_whole(tor, SOMEBODYS)


async def test_an_audit_repairs_without_a_reconnect(bus, tor):
    # Given a switch that loses and changes entries while its writer stays its primary
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor, audit_s=0.3) as writer:
        assert writer._session is not None
        damage = [Update.delete(entry_of(TAG)), Update.modify(entry_of(MOVED)), Update.insert(entry_of(REMOTE))]
        assert await writer._session.tor.write(damage) == []
        await until_whole(tor)
        assert writer.in_sync.is_set()
        assert writer.condition.told().state == "in-sync"


async def test_where_nothing_is_desired_any_more_everything_in_our_tables_is_surplus(bus, tor):
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor):
        async with meddling(tor) as meddler:
            assert await meddler.write([Update.insert(entry_of(REMOTE))]) == []
            await desire(bus, 6)
        await until_holds(tor)


async def test_a_document_that_nobody_understands_removes_nothing(bus, tor):
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor, audit_s=0.3) as writer:
        kept = await bus.kv_get(DESIRED_BUCKET, "switch.tor1")
        await bus.kv_put_cas(DESIRED_BUCKET, "switch.tor1", b'{"generation":9,"items":"all"}', kept[1])
        before = writer.condition.told().compared_at
        while writer.condition.told().compared_at == before:  # noqa: ASYNC110 - an audit tells nobody
            await asyncio.sleep(0.05)
        assert await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL)


async def test_what_differs_is_told_in_the_items_own_words(bus, tor):
    await desire(bus, 5, TAG, LOCAL)
    async with writing(bus, tor) as writer:
        same = await writer.installed()
        assert (same.same, same.items, same.generation) == (True, 2, 5)
        # When it differs in each way, behind the writer's back and before its next audit
        assert writer._session is not None
        damage = [Update.delete(entry_of(TAG)), Update.modify(entry_of(MOVED)), Update.insert(entry_of(REMOTE))]
        assert await writer._session.tor.write([*damage, Update.insert(SOMEBODYS)]) == []
        found = await writer.installed()
    assert not found.same
    assert (found.missing, found.surplus) == ((words(TAG),), (words(REMOTE),))
    assert [(changed.wanted, changed.found) for changed in found.changed] == [(words(LOCAL), words(MOVED))]
    assert words(REMOTE).startswith("endpoint-remote vni=5001 mac=02:00:00:00:00:03 ")


async def test_a_switch_that_is_away_is_unreachable_and_says_so(bus, tor):
    await desire(bus, 5, TAG)
    async with writing(bus, tor) as writer:
        await tor.stop()
        async with asyncio.timeout(20):
            while writer.condition.told().state != "unreachable":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        found = await writer.installed()
        assert not found.same and found.problem.startswith("unreachable: ")
        await tor.start()
        await asyncio.wait_for(writer.in_sync.wait(), 30)
        assert (await writer.installed()).same


async def test_given_an_audit_under_way_when_a_command_comes_then_it_does_not_wait_and_its_work_stays(
    bus, tor, reports, monkeypatch
):
    """What the audit read is older than the command, and so is what it knows of the desired state."""
    await desire(bus, 5, TAG)
    read, has_read, go_on = Client.read_table, asyncio.Event(), asyncio.Event()
    rounds = 0

    async def held_back(self: Client, table: str | None = None) -> list[TableEntry]:
        nonlocal rounds
        found = await read(self, table)
        rounds += 1
        if has_read.is_set():
            await go_on.wait()
        return found

    monkeypatch.setattr(Client, "read_table", held_back)
    async with writing(bus, tor, audit_s=0.2):
        with structlog.testing.capture_logs() as logs:
            has_read.set()
            began = rounds
            async with asyncio.timeout(20):
                while rounds == began:  # noqa: ASYNC110 - the audit tells nobody that it began
                    await asyncio.sleep(0.02)
            # When the decider commands what it wants since, as always behind its document
            await desire(bus, 6, TAG, LOCAL)
            (report,) = await reports.ask(command(put=(LOCAL,), generation=6))
            assert report.ok and rounds == began + 1, "answered with the audit still at its reading"
            go_on.set()
            async with asyncio.timeout(20):
                while rounds < began + 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await tor.entries(*ITEM_TABLES) == entries(TAG, LOCAL)
        assert not [entry for entry in logs if entry["event"] == "reconciled"], "nothing was there to be put right"
