"""The client against BMv2's P4Runtime server, which is not ours: what it says, and where it speaks differently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from bmv2 import Bmv2, need_bmv2

from p4rt import Client, NotPrimary, P4Info, P4RuntimeError, TableEntry, Update

P4 = Path(__file__).parents[3] / "p4"
INFO, CONFIG = P4Info.load(P4 / "ezpath.p4info.txtpb"), (P4 / "ezpath.json").read_bytes()


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[Bmv2]:
    need_bmv2()
    switch = Bmv2(tmp_path)
    await switch.start()
    yield switch
    await switch.stop()


@pytest.fixture
async def client(switch: Bmv2) -> AsyncIterator[Client]:
    """The primary, no program loaded yet."""
    async with Client(switch.address, switch.device_id) as client:
        await client.become_primary(1)
        yield client


@pytest.fixture
async def loaded(client: Client) -> Client:
    await client.set_pipeline(INFO, CONFIG, cookie=7)
    return client


def endpoint(mac: int, port: int = 1) -> TableEntry:
    return TableEntry("endpoint", {"vni": 5001, "mac": mac}, "to_port", {"port": port, "vid": 7})


def route(prefix: int, length: int) -> TableEntry:
    match = {"prefix": (prefix, length)} if length else {}
    return TableEntry("route", match, "next_hop", {"port": 1, "src": 0, "dst": 2})


# ---- primacy


async def test_one_is_primary_and_a_higher_election_id_takes_over(switch: Bmv2, client: Client) -> None:
    async with Client(switch.address, switch.device_id) as other:
        await other.become_primary(5)

        reason = await asyncio.wait_for(client.wait_demoted(), 5)

        assert "5" in reason
        assert other.primary and not client.primary
        with pytest.raises(NotPrimary) as refused:
            await client.become_primary(2)
        assert refused.value.primary_election_id == 5


async def test_an_election_id_can_be_had_again_right_after_its_stream_was_closed(switch: Bmv2) -> None:
    for _ in range(5):
        async with Client(switch.address, switch.device_id) as client:
            await client.become_primary(9)
            assert client.primary


async def test_who_is_not_primary_reads_and_does_not_write(switch: Bmv2, loaded: Client) -> None:
    await loaded.write([Update.insert(endpoint(1))])
    async with Client(switch.address, switch.device_id) as reader:
        assert await reader.read_table() == [endpoint(1)]
        with pytest.raises(P4RuntimeError, match="PERMISSION_DENIED"):
            await reader.write([Update.insert(endpoint(2))])
    assert await loaded.read_table() == [endpoint(1)]


async def test_a_restart_is_noticed_and_the_client_comes_back(switch: Bmv2, client: Client) -> None:
    await switch.stop()
    await asyncio.wait_for(client.wait_demoted(), 5)
    await switch.start()

    async with asyncio.timeout(10):
        while not client.primary:
            try:
                await client.become_primary(1)
            except P4RuntimeError:
                await asyncio.sleep(0.1)

    assert await client.get_pipeline() is None


# ---- the program


async def test_the_program_that_was_set_is_the_one_it_says_it_runs(client: Client) -> None:
    assert await client.capabilities() >= "1.3"
    assert await client.get_pipeline() is None

    await client.set_pipeline(INFO, CONFIG, cookie=7)

    pipeline = await client.get_pipeline()
    assert pipeline is not None
    assert pipeline.cookie == 7
    assert {table.name for table in pipeline.p4info.tables} == {table.name for table in INFO.tables}


async def test_a_program_that_is_none_is_refused(loaded: Client) -> None:
    # What it ran before is gone by then, and only a restart helps: nothing that the client could do better.
    with pytest.raises(P4RuntimeError, match="was asked to load a pipeline and answered"):
        await loaded.set_pipeline(INFO, b"no JSON", cookie=8)


async def test_setting_a_program_empties_the_tables(loaded: Client) -> None:
    await loaded.write([Update.insert(endpoint(1))])

    await loaded.set_pipeline(INFO, CONFIG, cookie=8)

    assert await loaded.read_table() == []


# ---- entries


async def test_what_is_written_is_read_back_as_it_was(loaded: Client) -> None:
    # Values of every length, zeros in front and 0 itself: byte strings are as short as can be, on both sides
    entries = [endpoint(mac) for mac in (0, 1, 255, 256, 1 << 47)] + [route(0x0A000000, 8), route(0, 0)]
    entries.append(TableEntry("endpoint", {"vni": 0, "mac": 7}, "to_tunnel", {"local_ip": 0, "vtep": 0xFFFFFFFF}))

    assert await loaded.write([Update.insert(entry) for entry in entries]) == []

    assert set(await loaded.read_table()) == set(entries)
    assert set(await loaded.read_table("route")) == {route(0x0A000000, 8), route(0, 0)}


async def test_each_update_of_a_batch_succeeds_or_fails_on_its_own(loaded: Client) -> None:
    await loaded.write([Update.insert(endpoint(1))])

    failures = await loaded.write(
        [
            Update.insert(endpoint(2)),
            Update.insert(endpoint(1)),
            Update.modify(endpoint(9)),
            Update.delete(endpoint(9)),
            Update.insert(endpoint(2**48)),
            Update.insert(endpoint(3)),
        ]
    )

    assert [(failure.index, failure.code.name) for failure in failures] == [
        (1, "ALREADY_EXISTS"),
        (2, "NOT_FOUND"),
        (3, "NOT_FOUND"),
        (4, "OUT_OF_RANGE"),
    ]
    assert set(await loaded.read_table()) == {endpoint(1), endpoint(2), endpoint(3)}


async def test_modify_and_delete(loaded: Client) -> None:
    await loaded.write([Update.insert(endpoint(1)), Update.insert(endpoint(2))])

    assert await loaded.write([Update.modify(endpoint(1, port=2)), Update.delete(endpoint(2))]) == []

    assert await loaded.read_table() == [endpoint(1, port=2)]


async def test_a_full_table_refuses_what_is_too_much_and_keeps_the_rest(loaded: Client) -> None:
    size = INFO.tables["router_mac"].size
    entries = [TableEntry("router_mac", {"mac": mac}, "for_router") for mac in range(size + 2)]

    failures = await loaded.write([Update.insert(entry) for entry in entries])

    # It does not say RESOURCE_EXHAUSTED, as the specification has it.
    assert [(failure.index, failure.code.name) for failure in failures] == [(size, "UNKNOWN"), (size + 1, "UNKNOWN")]
    assert len(await loaded.read_table("router_mac")) == size


async def test_a_default_action_is_set_and_put_back_and_is_no_entry(loaded: Client) -> None:
    way_out = TableEntry("route", {}, "next_hop", {"port": 1, "src": 0, "dst": 2}, default=True)

    assert await loaded.write([Update.modify(way_out)]) == []
    assert await loaded.read_table("route") == []
    assert await loaded.write([Update.modify(TableEntry("route", default=True))]) == []


# ---- cells


async def test_counters_are_read_all_at_once(loaded: Client) -> None:
    counts = await loaded.read_counter("drops")

    assert counts.shape == (INFO.counters["drops"].size, 2)
    assert not np.any(counts)


async def test_registers_are_not_served_and_the_error_says_so(loaded: Client) -> None:
    name = next(iter(INFO.registers)).name

    with pytest.raises(P4RuntimeError) as refused:
        await loaded.read_register(name)

    assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert name in str(refused.value)
