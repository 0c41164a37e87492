"""Registers and counters over P4Runtime."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from p4rt import P4RuntimeError, messages

STAGE1 = "EzIngress.monitor.stage1"


async def write(rig: Any, kind: str, **entity: Any) -> list[tuple[str, str]]:
    """Write one entity as the primary; code and message of what was wrong."""
    update = messages.Update(type=messages.Update.Type.Value(kind), entity=messages.Entity(**entity))
    _, errors = await rig.write(update)
    return list(errors)


async def read(rig: Any, **entity: Any) -> list[messages.Entity]:
    request = messages.ReadRequest(device_id=1, entities=[messages.Entity(**entity)])
    found = []
    async for data in rig.stub().read(request):
        found += list(messages.ReadResponse.FromString(data).entities)
    return found


def register(rig: Any, index: int | None = None, value: bytes | None = None) -> messages.RegisterEntry:
    entry = messages.RegisterEntry(register_id=rig.info.registers["stage1"].id)
    if index is not None:
        entry.index.index = index
        entry.index.SetInParent()
    if value is not None:
        entry.data.bitstring = value
    return entry


def counter(rig: Any, index: int | None = None, **data: int) -> messages.CounterEntry:
    entry = messages.CounterEntry(counter_id=rig.info.counters["drops"].id)
    if index is not None:
        entry.index.index = index
        entry.index.SetInParent()
    if data:
        entry.data.CopyFrom(messages.CounterData(**data))
    return entry


async def test_all_cells_of_a_register_arrive_as_they_are(rig: Any) -> None:
    client = await rig.primary()
    random = np.random.default_rng(1)
    cells = rig.plane.registers[STAGE1]
    used = random.random(len(cells)) < 0.3
    cells[used] = random.integers(0, 256, (used.sum(), 32))
    assert np.array_equal(await client.read_register("stage1"), cells)
    assert not (await client.read_register("stage2")).any()


async def test_a_register_of_16384_cells_is_read_fast_enough_to_poll_every_second(rig: Any) -> None:
    client = await rig.primary()
    rig.plane.registers[STAGE1][:] = np.random.default_rng(1).integers(0, 256, (16384, 32))
    began = time.monotonic()
    for _ in range(5):
        await client.read_register("stage1")
    assert (time.monotonic() - began) / 5 < 0.5


async def test_one_cell_can_be_written_and_read(rig: Any) -> None:
    await rig.primary()
    assert await write(rig, "MODIFY", register_entry=register(rig, 7, b"\x00\x00\xab\xcd")) == []
    (found,) = await read(rig, register_entry=register(rig, 7))
    assert found.register_entry == register(rig, 7, b"\xab\xcd")
    (found,) = await read(rig, register_entry=register(rig, 8))
    assert found.register_entry == register(rig, 8, b"\x00")


async def test_all_cells_can_be_written_at_once(rig: Any) -> None:
    client = await rig.primary()
    assert await write(rig, "MODIFY", register_entry=register(rig, None, b"\x05")) == []
    cells = await client.read_register("stage1")
    assert (cells[:, -1] == 5).all()
    assert not cells[:, :-1].any()


async def test_register_id_0_means_all_registers(rig: Any) -> None:
    await rig.primary()
    found = await read(rig, register_entry=messages.RegisterEntry())
    assert len(found) == 4 * 16384


async def test_counters_are_read_and_written(rig: Any) -> None:
    client = await rig.primary()
    rig.plane.counters["EzIngress.drops"][3] = 10, 2**40
    counts = await client.read_counter("drops")
    assert counts.shape == (16, 2)
    assert counts[3].tolist() == [10, 2**40]
    assert await write(rig, "MODIFY", counter_entry=counter(rig, 3, packet_count=0, byte_count=0)) == []
    assert not (await client.read_counter("drops")).any()
    assert await write(rig, "MODIFY", counter_entry=counter(rig, None, packet_count=1, byte_count=2)) == []
    assert (await client.read_counter("drops")).tolist() == [[1, 2]] * 16
    assert await write(rig, "MODIFY", counter_entry=counter(rig, 3)) == []  # no data: nothing changes
    (found,) = await read(rig, counter_entry=counter(rig, 3))
    assert found.counter_entry == counter(rig, 3, packet_count=1, byte_count=2)
    assert len(await read(rig, counter_entry=messages.CounterEntry())) == 17


INVALID, RANGE, MISSING = "INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND"


@pytest.mark.parametrize(
    ("kind", "make", "code", "message"),
    [
        ("INSERT", lambda rig: {"register_entry": register(rig, 1, b"\x01")}, INVALID, "are modified, not inserted"),
        ("MODIFY", lambda rig: {"register_entry": register(rig, -1, b"\x01")}, INVALID, "has no cell -1"),
        ("MODIFY", lambda rig: {"register_entry": register(rig, 16384, b"\x01")}, RANGE, "has 16384 cells"),
        ("MODIFY", lambda rig: {"register_entry": register(rig, 1)}, INVALID, "holds bitstrings, not nothing"),
        ("MODIFY", lambda rig: {"register_entry": register(rig, 1, b"")}, RANGE, "an empty byte string"),
        ("MODIFY", lambda rig: {"register_entry": register(rig, 1, b"\x01" + bytes(32))}, RANGE, "256 bits"),
        ("MODIFY", lambda _: {"register_entry": messages.RegisterEntry(register_id=9)}, MISSING, "id 9"),
        ("DELETE", lambda rig: {"counter_entry": counter(rig, 1)}, INVALID, "are modified, not inserted or deleted"),
        ("MODIFY", lambda rig: {"counter_entry": counter(rig, -1)}, INVALID, "has no cell -1"),
        ("MODIFY", lambda rig: {"counter_entry": counter(rig, 16)}, RANGE, "has 16 cells"),
        ("MODIFY", lambda rig: {"counter_entry": counter(rig, 1, byte_count=-1)}, INVALID, "not negative"),
        ("MODIFY", lambda _: {"counter_entry": messages.CounterEntry(counter_id=9)}, MISSING, "id 9"),
    ],
)
async def test_writes_that_mean_no_cell_are_refused(rig: Any, kind: str, make: Any, code: str, message: str) -> None:
    client = await rig.primary()
    ((found, said),) = await write(rig, kind, **make(rig))
    assert (found, message in said) == (code, True), said
    assert not (await client.read_register("stage1")).any()
    assert not (await client.read_counter("drops")).any()


@pytest.mark.parametrize(("name", "kind"), [("stage9", "register"), ("drop", "counter")])
async def test_a_name_the_program_does_not_have_is_said(rig: Any, name: str, kind: str) -> None:
    client = await rig.primary()
    with pytest.raises(P4RuntimeError, match=f"no {kind} '{name}'; it has"):
        await getattr(client, f"read_{kind}")(name)
