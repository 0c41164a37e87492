"""Who may write: two and more controllers on a real socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from p4rt.arbitration import uint128

from p4rt import Client, NotPrimary, P4RuntimeError, TableEntry, Update, messages

ENTRY = TableEntry("endpoint", {"vni": 5001, "mac": 1}, "to_port", {"port": 1, "vid": 7})


def stand(device_id: int = 1, **fields: Any) -> messages.StreamMessageRequest:
    return messages.StreamMessageRequest(arbitration=messages.MasterArbitrationUpdate(device_id=device_id, **fields))


async def converse(rig: Any, *requests: messages.StreamMessageRequest) -> tuple[list[Any], grpc.StatusCode, str]:
    """Open a stream, say all this, hang up; what was heard, and how the stream ended."""
    call = rig.stub().stream()
    heard = []
    try:
        for request in requests:
            await call.write(request)
            await asyncio.sleep(0.05)
        await call.done_writing()
        async for message in call:
            heard.append(message)
    except grpc.aio.AioRpcError as error:
        return heard, error.code(), error.details() or ""
    return heard, await call.code(), await call.details()


async def test_the_first_controller_becomes_primary_and_writes(rig: Any) -> None:
    client = await rig.primary(election_id=2**100)
    assert client.primary
    assert await client.write([Update.insert(ENTRY)]) == []


async def test_a_lower_election_id_is_told_who_is_primary(rig: Any) -> None:
    await rig.primary(election_id=2**70)
    other = await rig.client()
    with pytest.raises(NotPrimary) as caught:
        await other.become_primary(5)
    assert caught.value.primary_election_id == 2**70
    assert not other.primary


async def test_a_higher_election_id_takes_over_and_the_old_primary_hears_of_it(rig: Any) -> None:
    # Given a primary
    old = await rig.primary(election_id=1)
    # When another stands with a higher id
    new = await rig.client()
    await new.become_primary(2)
    # Then the old one is told, and may not write any more, and the new one may
    assert "election id 2" in await asyncio.wait_for(old.wait_demoted(), 5)
    assert not old.primary
    with pytest.raises(P4RuntimeError, match="PERMISSION_DENIED: not primary"):
        await old.write([Update.insert(ENTRY)])
    with pytest.raises(P4RuntimeError, match="PERMISSION_DENIED"):
        await old.set_pipeline(rig.info, rig.config, cookie=9)
    assert rig.plane.loads == 1
    assert await new.write([Update.insert(ENTRY)]) == []


async def test_a_controller_that_never_stood_cannot_write(rig: Any) -> None:
    await rig.primary()
    reader = await rig.client()
    with pytest.raises(P4RuntimeError, match="PERMISSION_DENIED: not primary"):
        await reader.write([Update.insert(ENTRY)])
    assert await reader.read_table() == []  # reading needs no primacy


async def test_after_the_primary_is_gone_a_new_one_needs_an_id_as_high(rig: Any) -> None:
    first = await rig.primary(election_id=7)
    await first.close()
    second = await rig.client()
    with pytest.raises(NotPrimary) as caught:
        await second.become_primary(6)
    assert caught.value.primary_election_id == 7
    await second.become_primary(7)  # the same id: the one that had it is gone
    assert second.primary


async def test_the_same_controller_comes_back_at_once_with_its_old_id(rig: Any) -> None:
    client = await rig.primary(election_id=3)
    for _ in range(20):
        await client.become_primary(3)
    assert await client.write([Update.insert(ENTRY)]) == []


async def test_an_election_id_in_use_is_refused_by_name(rig: Any) -> None:
    await rig.primary(election_id=3)
    other = await rig.client()
    with pytest.raises(P4RuntimeError, match=r"Election id already exists.*take another") as caught:
        await other.become_primary(3)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("requests", "code", "message"),
    [
        ([stand(device_id=2, election_id=uint128(1))], "NOT_FOUND", "no device 2 here: this is device 1"),
        ([stand(role=messages.Role(name="sdn"))], "NOT_FOUND", "no role sdn here"),
        ([stand(), stand(device_id=2)], "FAILED_PRECONDITION", "device id of a stream cannot change"),
        ([stand(), stand(role=messages.Role(name="sdn"))], "FAILED_PRECONDITION", "role of a stream cannot change"),
    ],
)
async def test_arbitration_that_breaks_the_rules_ends_the_stream(
    rig: Any, requests: list[messages.StreamMessageRequest], code: str, message: str
) -> None:
    _, found, details = await converse(rig, *requests)
    assert (found.name, message in details) == (code, True), details


async def test_a_backup_without_election_id_hears_of_every_change(rig: Any) -> None:
    # Given a controller that only listens
    call = rig.stub().stream()
    await call.write(stand())
    heard = (await call.read()).arbitration
    assert (heard.status.code, heard.HasField("election_id")) == (grpc.StatusCode.NOT_FOUND.value[0], False)
    # When a primary comes, then it hears so
    client = await rig.primary(election_id=4)
    heard = (await call.read()).arbitration
    assert (heard.status.code, heard.election_id) == (grpc.StatusCode.ALREADY_EXISTS.value[0], uint128(4))
    # And when it goes
    await client.close()
    heard = (await call.read()).arbitration
    assert (heard.status.code, heard.election_id) == (grpc.StatusCode.NOT_FOUND.value[0], uint128(4))
    call.cancel()


@pytest.mark.parametrize(
    ("request_", "detail", "code"),
    [
        (messages.StreamMessageRequest(packet=messages.PacketOut(payload=b"x")), "packet_out", "PERMISSION_DENIED"),
        (messages.StreamMessageRequest(digest_ack={}), "digest_list_ack", "UNIMPLEMENTED"),  # type: ignore[arg-type]
        (messages.StreamMessageRequest(), "other", "INVALID_ARGUMENT"),
    ],
)
async def test_what_the_stream_cannot_carry_is_answered_and_ends_nothing(
    rig: Any, request_: messages.StreamMessageRequest, detail: str, code: str
) -> None:
    heard, status, _ = await converse(rig, request_, stand(election_id=uint128(1)))
    assert status is grpc.StatusCode.OK
    assert heard[0].error.WhichOneof("details") == detail
    assert heard[0].error.canonical_code == grpc.StatusCode[code].value[0]
    assert heard[1].arbitration.status.code == 0


async def test_the_seventeenth_stream_is_refused(rig: Any) -> None:
    stub = rig.stub()
    calls = []
    for _ in range(16):
        calls.append(stub.stream())
        await calls[-1].write(stand())
        await calls[-1].read()
    _, code, _ = await converse(rig, stand())
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    calls[0].cancel()
    await asyncio.sleep(0.1)
    _, code, _ = await converse(rig, stand())
    assert code is grpc.StatusCode.OK


async def test_a_long_load_keeps_nobody_from_standing(rig: Any) -> None:
    # Given a load that takes its time
    old = await rig.client()
    await old.become_primary(1)
    rig.plane.load_s = 1.0
    load = asyncio.create_task(old.set_pipeline(rig.info, rig.config, cookie=1))
    await asyncio.sleep(0.2)
    # When another controller stands meanwhile, then it is told at once
    new = await rig.client()
    began = time.monotonic()
    await new.become_primary(2)
    assert time.monotonic() - began < 0.5
    assert not load.done()
    await load


async def test_a_new_primary_is_told_only_when_the_old_one_s_last_write_is_done(rig: Any) -> None:
    # Given a write that takes its time, and one that waits behind it
    old = await rig.primary(election_id=1)
    rig.plane.insert_s = 0.1
    entries = [TableEntry("endpoint", {"vni": 1, "mac": mac}, "to_port", {"port": 1, "vid": 7}) for mac in range(7)]
    running = asyncio.create_task(old.write([Update.insert(entry) for entry in entries[:6]]))
    await asyncio.sleep(0.15)
    waiting = asyncio.create_task(old.write([Update.insert(entries[6])]))
    await asyncio.sleep(0.05)
    # When another controller takes over
    new = await rig.client()
    await new.become_primary(2)
    # Then all of the running write is in, and the waiting one never gets in
    assert await new.read_table() == entries[:6]
    assert await running == []
    with pytest.raises(P4RuntimeError, match="PERMISSION_DENIED"):
        await waiting
    assert await new.read_table() == entries[:6]


async def test_a_primary_whose_switch_dies_knows_it_and_comes_back(serve: Callable[..., Any], address: str) -> None:
    async with serve() as rig:
        client = Client(address, 1)
        await client.connect()
        await client.become_primary(5)
    # The switch is gone
    await asyncio.wait_for(client.wait_demoted(), 5)
    assert not client.primary
    with pytest.raises(P4RuntimeError, match=r"UNAVAILABLE.*check that the switch runs"):
        await client.become_primary(5)
    # And back, empty and without memory of elections
    async with serve() as rig:
        async with asyncio.timeout(10):
            while not client.primary:
                try:
                    await client.become_primary(1)
                except P4RuntimeError:
                    await asyncio.sleep(0.1)
        assert await client.get_pipeline() is None
        await client.set_pipeline(rig.info, rig.config, cookie=2)
        assert await client.write([Update.insert(ENTRY)]) == []
        await client.close()


async def test_standing_that_is_cancelled_leaves_no_stream_behind(rig: Any) -> None:
    client = await rig.client()
    for delay in (0, 0.0005, 0.001, 0.002, 0.005):
        task = asyncio.create_task(client.become_primary(9))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await client.close()
    other = await rig.client()
    await other.become_primary(9)  # would be refused while a stream with that id lives
    assert other.primary
