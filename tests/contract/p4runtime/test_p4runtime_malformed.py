"""Hundreds of seeded malformed requests: each is answered, none changes anything, the server lives."""

from __future__ import annotations

import random
from typing import Any

import grpc.aio
import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from p4rt.arbitration import uint128
from p4rt.entries import to_proto
from p4rt.service import NAME

from p4rt import TableEntry, Update, messages

METHODS = ("Write", "Read", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig", "Capabilities")
ENTRY = TableEntry("endpoint", {"vni": 5001, "mac": 1}, "to_port", {"port": 1, "vid": 7})


async def call_raw(channel: grpc.aio.Channel, method: str, data: bytes) -> str:
    """The status of a call whose request is these bytes."""
    call: Any
    try:
        if method == "Read":
            call = channel.unary_stream(f"/{NAME}/{method}")  # type: ignore[call-arg]
            async for _ in call(data, timeout=10):
                pass
        else:
            call = channel.unary_unary(f"/{NAME}/{method}")  # type: ignore[call-arg]
            await call(data, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def garbage(source: random.Random, good: bytes) -> bytes:
    """Random bytes, or a good request with bytes changed, cut off or repeated."""
    if source.random() < 0.3:
        return source.randbytes(source.randint(1, 200))
    data = bytearray(good)
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(data))
        change = source.randrange(3)
        if change == 0:
            data[at] = source.randrange(256)
        elif change == 1:
            del data[at : at + source.randint(1, 20)]
            data = data or bytearray(b"\xff")
        else:
            data[at:at] = data[max(0, at - 9) : at] or b"\x00"
    return bytes(data)


def scramble(source: random.Random, message: Message) -> None:
    """Set random fields of a message, at random depth, to random or extreme values."""
    descriptor: Any = message.DESCRIPTOR
    fields = [field for field in descriptor.fields if not _is_map(field)]
    for field in source.sample(fields, source.randint(min(1, len(fields)), min(4, len(fields)))):
        if field.name in ("election_id", "device_id") and source.random() < 0.9:
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            scramble(source, inner.add() if field.is_repeated else inner)
        elif not field.is_repeated:
            _scramble_scalar(source, message, field)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _scramble_scalar(source: random.Random, message: Message, field: Any) -> None:
    if field.type == FieldDescriptor.TYPE_BYTES:
        setattr(message, field.name, source.randbytes(source.choice((0, 1, 3, 7, 40))))
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, source.choice(("", "x", "\u20ac" * 50)))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(message, field.name, True)
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        setattr(message, field.name, float("nan"))
    else:
        for value in (source.choice((-1, 2**63 - 1, 2**31 - 1, 2**32 - 1)), source.randint(0, 12), 1):
            try:
                setattr(message, field.name, value)
            except ValueError:
                continue
            return


async def state(client: Any, rig: Any) -> tuple[Any, ...]:
    pipeline = await client.get_pipeline()
    return (
        pipeline.cookie,
        await client.read_table(),
        (await client.read_counter("drops")).tolist(),
        int((await client.read_register("stage1")).astype(np.int64).sum()),
        dict(rig.plane.tables["EzIngress.tunnel.endpoint"]),
        dict(rig.plane.defaults),
        rig.plane.loads,
    )


@pytest.mark.parametrize("seed", range(5))
async def test_bytes_that_are_no_request_are_answered_and_change_nothing(rig: Any, seed: int) -> None:
    # Given a switch with a program and an entry, and whoever sends garbage is not its primary
    client = await rig.primary(election_id=2**127)
    await client.write([Update.insert(ENTRY)])
    before = await state(client, rig)
    update = messages.Update(type=messages.Update.INSERT)
    update.entity.table_entry.CopyFrom(to_proto(ENTRY, rig.info))
    good = messages.WriteRequest(device_id=1, election_id=uint128(1), updates=[update]).SerializeToString()
    channel, source = rig.channel(), random.Random(seed)
    # When it sends a hundred pieces of garbage to every method
    for _ in range(100):
        method = source.choice(METHODS)
        status = await call_raw(channel, method, garbage(source, good))
        # Then each is answered, and never by an accident inside the server
        assert status in {
            "OK",
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "PERMISSION_DENIED",
            "UNKNOWN",
            "UNIMPLEMENTED",
        }, (method, status)
        assert method in ("Read", "GetForwardingPipelineConfig", "Capabilities") or status != "OK"
    # And nothing has changed
    assert await state(client, rig) == before
    assert client.primary


@pytest.mark.parametrize("seed", range(5))
async def test_well_formed_nonsense_from_the_primary_itself_is_refused_update_by_update(rig: Any, seed: int) -> None:
    client = await rig.primary(election_id=1)
    await client.write([Update.insert(ENTRY)])
    before = await state(client, rig)
    stub, source = rig.stub(), random.Random(seed)
    for _ in range(100):
        request = messages.WriteRequest(device_id=1, election_id=uint128(1))
        for _ in range(source.randint(1, 4)):
            update = request.updates.add(type=messages.Update.Type.ValueType(source.randint(1, 3)))
            update.entity.table_entry.CopyFrom(to_proto(ENTRY, rig.info))
            scramble(source, update.entity.table_entry)
            # Always wrong, whatever else is: an update that happens to be right is no nonsense.
            update.entity.table_entry.table_id = source.choice((0, 1, 2**32 - 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.write(request)
        errors = rig.errors(caught.value)
        assert len(errors) == len(request.updates)
        expected = {"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "UNIMPLEMENTED"}  # INTERNAL is not among them
        assert {code for code, _ in errors} <= expected, errors
    assert await state(client, rig) == before


@pytest.mark.parametrize("seed", range(5))
async def test_scrambled_requests_never_end_in_an_accident(rig: Any, seed: int) -> None:
    client = await rig.primary(election_id=2**127)
    before = await state(client, rig)
    stub, source = rig.stub(), random.Random(seed)
    calls = {
        "write": messages.WriteRequest,
        "set_pipeline": messages.SetForwardingPipelineConfigRequest,
        "get_pipeline": messages.GetForwardingPipelineConfigRequest,
        "capabilities": messages.CapabilitiesRequest,
        "read": messages.ReadRequest,
    }
    for _ in range(100):
        name = source.choice(list(calls))
        request = calls[name](device_id=1)
        scramble(source, request)
        try:
            if name == "read":
                async for _ in stub.read(request):
                    pass
            else:
                await getattr(stub, name)(request)
        except grpc.aio.AioRpcError as error:
            assert error.code().name not in ("INTERNAL", "UNAVAILABLE"), (name, request, error.details())
            if error.code().name == "UNKNOWN":
                assert "Unexpected" not in (error.details() or ""), (name, request, error.details())
    assert await state(client, rig) == before


@pytest.mark.parametrize("seed", range(3))
async def test_nonsense_on_the_stream_ends_that_stream_only(rig: Any, seed: int) -> None:
    client = await rig.primary(election_id=2**100)
    channel, source = rig.channel(), random.Random(seed)
    for _ in range(40):
        call: Any = channel.stream_stream(f"/{NAME}/StreamChannel")()
        try:
            for _ in range(3):
                message = messages.StreamMessageRequest()
                scramble(source, message)
                if message.HasField("arbitration"):
                    message.arbitration.election_id.high = 0
                data = message.SerializeToString()
                await call.write(data if source.random() < 0.7 else garbage(source, data or b"\x0a"))
            await call.done_writing()
            async for _ in call:
                pass
        except (grpc.aio.AioRpcError, grpc.aio.UsageError):
            pass
        code, details = await call.code(), await call.details() or ""
        # "Internal error from Core" is this side's own: it wrote to a stream that had been ended.
        assert code is not grpc.StatusCode.INTERNAL or details == "Internal error from Core"
        assert "Unexpected" not in details
    assert client.primary
    assert await client.write([Update.insert(ENTRY)]) == []
