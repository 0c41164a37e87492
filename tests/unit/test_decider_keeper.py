"""The keeper takes what comes while it carries a batch out, and begins the next one when that is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from ezpath.bus import Saying
from ezpath.events import DESIRED_BUCKET, SAGA_BUCKET, OffloadRequested, RevertRequested, SagaOutcome
from ezpath.inventory import Inventory, parse
from ezpath.names import PairId, Tenant
from ezpath.saga import Phase, Settings
from ezpath_decider.keeper import Keeper
from ezpath_decider.ledger import Emptied
from network import NETWORK
from saga_support import commands, report

INVENTORY: Inventory = parse(NETWORK, "network.yaml")
FIRST, SECOND = PairId("red.red-1.red-3"), PairId("red.red-2.red-3")


def offload(pair: PairId) -> OffloadRequested:
    return OffloadRequested(pair, Tenant("red"), "busy", 1e7, 1.0)


class Nats:
    """A ledger and a bus that note what they are asked, and let it pass while ``open`` is set."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.emptied = False

    async def put(self, bucket: str, values: Mapping[str, bytes]) -> None:
        await self.open.wait()
        if self.emptied and bucket == SAGA_BUCKET:
            self.emptied = False
            raise Emptied("it is gone")
        if values:
            self.noted.append((bucket, dict(values)))

    async def publish_all(self, sayings: Iterable[Saying]) -> None:
        await self.open.wait()
        self.noted.append(("said", [saying.event for saying in sayings]))

    async def insist(self, attempt: Callable[[], Any]) -> Any:
        return await attempt()

    async def open_again(self) -> None:
        self.noted.append(("fence", None))

    def records(self) -> Iterator[dict[str, Any]]:
        for bucket, values in self.noted:
            if bucket == SAGA_BUCKET:
                yield {pair: json.loads(value) for pair, value in values.items()}

    def said(self) -> list[Any]:
        return [event for what, events in self.noted if what == "said" for event in events]


class Ledger:
    """The ledger's side of it."""

    def __init__(self, nats: Nats) -> None:
        self.put, self.insist, self.open = nats.put, nats.insist, nats.open_again


@pytest.fixture
async def at_work() -> Any:
    nats = Nats()
    keeper = Keeper(nats, Ledger(nats), INVENTORY, Settings(), lambda: 10.0)  # type: ignore[arg-type]
    running = asyncio.create_task(keeper.run())
    yield keeper, nats
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - it is the keeper's doing
            await asyncio.sleep(0)


async def test_given_a_batch_under_way_then_what_comes_is_taken_and_nothing_of_it_written_before_that_is_said(
    at_work: tuple[Keeper, Nats],
) -> None:
    keeper, nats = at_work
    nats.open.clear()
    # Given a batch that NATS has not confirmed
    first = asyncio.create_task(keeper.give([offload(FIRST)]))
    await until(lambda: FIRST in keeper.world.sagas)
    await asyncio.sleep(0)
    # When another request comes, then its saga begins
    second = asyncio.create_task(keeper.give([offload(SECOND)]))
    await until(lambda: SECOND in keeper.world.sagas)
    assert not nats.noted and not first.done()
    # When NATS goes on, then each batch is carried out whole, in order, and whoever gave it hears of it then
    nats.open.set()
    await first
    assert [what for what, _ in nats.noted][:3] == [SAGA_BUCKET, DESIRED_BUCKET, "said"]
    assert {event.pair for event in nats.noted[2][1]} == {FIRST}
    await second
    assert [set(record) for record in nats.records()] == [{FIRST}, {SECOND}]
    assert [what for what, _ in nats.noted][3:] == [SAGA_BUCKET, DESIRED_BUCKET, "said"]


async def test_given_a_store_that_is_lost_then_no_record_says_that_an_outcome_was_told_which_was_not(
    at_work: tuple[Keeper, Nats],
) -> None:
    keeper, nats = at_work
    # Given a saga of which the last answer, and then a request that ends at once, come while NATS is silent
    await keeper.give([offload(FIRST)])
    while keeper.world.sagas[FIRST].phase is not Phase.HOST_SEND:
        await keeper.give([report(c) for c in commands(nats.said()) if c.phase == keeper.world.sagas[FIRST].phase])
    before = len(nats.noted)
    nats.open.clear()
    last = asyncio.create_task(
        keeper.give([report(c) for c in commands(nats.said()) if c.phase == Phase.HOST_SEND.value])
    )
    await until(lambda: keeper.world.sagas[FIRST].told)
    await asyncio.sleep(0)
    back = asyncio.create_task(keeper.give([RevertRequested(FIRST, Tenant("red"), "idle", 2.0)]))
    other = PairId("red.red-1.nobody")
    refused = asyncio.create_task(keeper.give([OffloadRequested(other, Tenant("red"), "busy", 1e7, 1.0)]))
    await until(lambda: other in keeper.world.sagas)
    # When it comes back with nothing in it
    nats.emptied = True
    nats.open.set()
    for giving in (last, back, refused):
        await giving
    # Then all is written anew, as of now, and what is still to be said is not said to be told
    after = nats.noted[before:]
    assert after[0][0] == "fence"
    anew = {pair: json.loads(value) for pair, value in after[1][1].items()}
    assert anew[FIRST]["phase"] == "host-send-off" and not anew[other]["told"]
    outcomes = [event for event in nats.said() if isinstance(event, SagaOutcome)]
    assert [(each.pair, each.outcome) for each in outcomes] == [(FIRST, "active"), (other, "rolled-back")]
