"""A document of more than 20,000 items in a real NATS: written by parts, read whole while it changes."""

from __future__ import annotations

import asyncio
import random

import pytest
from ezpath.bus import Bus
from ezpath.desired import Filing, item_to_json, switch_from_json
from ezpath.events import DESIRED_BUCKET
from ezpath.items import EndpointLocal, SwitchItem
from ezpath.names import Port, VlanId, Vni, mac_from_int
from ezpath.wanted import Documents, NotWhole

TARGET = "switch:tor1"
FENCE = "_fence.0"
COUNT = 21_000


def item(number: int) -> SwitchItem:
    return EndpointLocal(Vni(5001), mac_from_int(number), Port(1), VlanId(100))


def texts(*numbers: int) -> list[str]:
    return [item_to_json(item(number)) for number in numbers]


async def test_given_more_than_20_000_items_that_change_then_every_reading_has_all_that_stay(bus: Bus) -> None:
    filing, chance = Filing(TARGET, 0), random.Random(1)
    revision = await bus.kv_put_cas(DESIRED_BUCKET, FENCE, b"{}", None)
    await bus.kv_put_fenced(DESIRED_BUCKET, filing.to(1, texts(*range(COUNT))), FENCE, revision)
    stay = {item(number) for number in range(1000, COUNT)}

    async def change() -> None:
        for generation in range(2, 10**6):
            gone = chance.sample(range(1000), 5)
            pieces = filing.change(generation, texts(*chance.sample(range(COUNT, 2 * COUNT), 20)), texts(*gone))
            await bus.kv_put_fenced(DESIRED_BUCKET, pieces, FENCE, revision)
            pieces = filing.change(generation, texts(*gone), ())
            await bus.kv_put_fenced(DESIRED_BUCKET, pieces, FENCE, revision)

    # Given a decider that goes on writing, and a writer that follows as well as asks
    documents = Documents[SwitchItem](bus, TARGET, switch_from_json)
    changing = asyncio.create_task(change())
    following = [asyncio.create_task(_follow(documents, keys)) for keys in documents.keys]
    try:
        newest = 0
        for _ in range(5):
            # When it asks
            document = (await documents.ask())[0]
            # Then what stays is all there, as of no older a generation than before
            assert stay <= document.items
            assert document.generation >= newest
            newest = document.generation
        assert newest > 1
    finally:
        for task in (changing, *following):
            task.cancel()
        await asyncio.gather(changing, *following, return_exceptions=True)
    # And in the end what was asked for is what was filed
    assert {item_to_json(each) for each in (await documents.ask())[0].items} == set(filing.texts)


async def _follow(documents: Documents[SwitchItem], keys: str) -> None:
    async for _ in documents.changes(keys):
        pass


async def test_given_a_part_that_is_gone_then_that_is_said_and_nothing_is_known_by_it(bus: Bus) -> None:
    for key, value in Filing(TARGET, 0).to(3, texts(*range(300))).items():
        await bus.kv_put_cas(DESIRED_BUCKET, key, value, None)
    documents = Documents[SwitchItem](bus, TARGET, switch_from_json)
    assert len((await documents.ask())[0].items) == 300
    await bus.kv_delete(DESIRED_BUCKET, "switch.tor1.0.1")
    with pytest.raises(NotWhole, match="shard 0: part 1"):
        await documents.ask()
