"""Who may change the switch: each way of not being the one, its code, and that nothing changes."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from p4rt.arbitration import uint128
from p4rt.entries import to_proto

from p4rt import TableEntry, Update, messages

SET = messages.SetForwardingPipelineConfigRequest
HELD = TableEntry("endpoint", {"vni": 5001, "mac": 1}, "to_port", {"port": 1, "vid": 7})
NEW = TableEntry("endpoint", {"vni": 5001, "mac": 2}, "to_port", {"port": 1, "vid": 7})
PRIMARY = 20

_CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "an older election id": ({"election_id": uint128(PRIMARY - 1)}, "PERMISSION_DENIED", "election id 19 is not"),
    "a newer one that never stood": ({"election_id": uint128(PRIMARY + 1)}, "PERMISSION_DENIED", "21 is not"),
    "the lower half of the right one": ({"election_id": messages.Uint128(high=1, low=20)}, "PERMISSION_DENIED", "not"),
    "election id 0": ({"election_id": uint128(0)}, "PERMISSION_DENIED", "election id 0 is not the primary's"),
    "no election id": ({"election_id": None}, "PERMISSION_DENIED", "no election id is given"),
    "another device": ({"device_id": 2}, "NOT_FOUND", "no device 2 here: this is device 1"),
    "no device": ({"device_id": 0}, "NOT_FOUND", "no device 0 here"),
    "another role": ({"role": "sdn"}, "NOT_FOUND", "no role sdn here"),
    "another role, by number": ({"role_id": 7}, "NOT_FOUND", "no role 7 here"),
    "another device and no election id": ({"device_id": 2, "election_id": None}, "NOT_FOUND", "no device 2"),
}
"""What differs from the primary's own request. The specification names device and role first, then primacy."""


async def refused(rig: Any, request: Any) -> tuple[str, str]:
    """Code and words of the refusal of a Write or a SetForwardingPipelineConfig."""
    stub = rig.stub()
    method = stub.write if isinstance(request, messages.WriteRequest) else stub.set_pipeline
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(request)
    return caught.value.code().name, caught.value.details() or ""


def write(rig: Any, **fields: Any) -> messages.WriteRequest:
    update = messages.Update(type=messages.Update.INSERT)
    update.entity.table_entry.CopyFrom(to_proto(NEW, rig.info))
    return messages.WriteRequest(**({"device_id": 1, "election_id": uint128(PRIMARY), "updates": [update]} | fields))


def load(rig: Any, **fields: Any) -> messages.SetForwardingPipelineConfigRequest:
    config = messages.ForwardingPipelineConfig(p4info=rig.info.proto, p4_device_config=rig.config)
    own = {"device_id": 1, "election_id": uint128(PRIMARY), "action": SET.VERIFY_AND_COMMIT, "config": config}
    return SET(**(own | fields))


@pytest.mark.parametrize("make", [write, load])
@pytest.mark.parametrize("case", _CASES)
async def test_who_is_not_the_primary_of_this_device_changes_nothing(rig: Any, case: str, make: Any) -> None:
    client = await rig.primary(election_id=PRIMARY)
    await client.write([Update.insert(HELD)])
    fields, code, words = _CASES[case]
    found, said = await refused(rig, make(rig, **fields))
    assert (found, words in said) == (code, True), said
    assert await client.read_table() == [HELD]
    assert rig.plane.loads == 1
    # The very same request is taken from the primary.
    if make is write:
        await rig.stub().write(make(rig))
        assert set(await client.read_table()) == {HELD, NEW}
    else:
        await rig.stub().set_pipeline(make(rig))
        assert rig.plane.loads == 2


@pytest.mark.parametrize("make", [write, load])
async def test_without_any_primary_nobody_may(rig: Any, make: Any) -> None:
    # Nobody ever stood
    assert (await refused(rig, make(rig)))[0] == "PERMISSION_DENIED"
    # Somebody is there who cannot be one
    call = rig.stub().stream()
    await call.write(messages.StreamMessageRequest(arbitration=messages.MasterArbitrationUpdate(device_id=1)))
    await call.read()
    assert (await refused(rig, make(rig)))[0] == "PERMISSION_DENIED"
    # There was one, and it is gone
    client = await rig.primary(election_id=PRIMARY)
    await client.close()
    await asyncio.sleep(0.1)
    assert (await refused(rig, make(rig)))[0] == "PERMISSION_DENIED"
    assert rig.plane.loads == 1
    call.cancel()


@pytest.mark.parametrize("make", [write, load])
async def test_a_primary_that_steps_down_may_no_longer(rig: Any, make: Any) -> None:
    await rig.primary(election_id=1)
    call = rig.stub().stream()
    for election_id in (PRIMARY, PRIMARY - 5):
        arbitration = messages.MasterArbitrationUpdate(device_id=1, election_id=uint128(election_id))
        await call.write(messages.StreamMessageRequest(arbitration=arbitration))
        await call.read()
    for election_id in (PRIMARY, PRIMARY - 5, 1):
        code, _ = await refused(rig, make(rig, election_id=uint128(election_id)))
        assert code == "PERMISSION_DENIED"
    call.cancel()


async def test_who_may_write_is_asked_before_whether_there_is_a_pipeline(rig: Any) -> None:
    assert (await refused(rig, write(rig)))[0] == "PERMISSION_DENIED"
    client = await rig.client()
    await client.become_primary(PRIMARY)
    code, said = await refused(rig, write(rig))
    assert (code, "no forwarding pipeline config is set" in said) == ("FAILED_PRECONDITION", True)


@pytest.mark.parametrize("config", [None, messages.ForwardingPipelineConfig()])
async def test_there_is_nothing_to_keep_where_nothing_runs(rig: Any, config: Any) -> None:
    client = await rig.client()
    await client.become_primary(PRIMARY)
    code, _ = await refused(rig, load(rig, action=SET.RECONCILE_AND_COMMIT, config=config))
    assert code == "INVALID_ARGUMENT"
    assert await client.get_pipeline() is None
