"""The bus against a real nats-server: what it promises when all is well, and when it is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import nats
import numpy as np
import pytest
import structlog
from ezpath.bus import Bus, BusError, Conflict, Delivery, Unavailable
from ezpath.events import (
    SAGA_BUCKET,
    DeadLetter,
    FlowSample,
    OffloadRequested,
    RevertRequested,
    StepReport,
)
from ezpath.names import PairId, SwitchName, Tenant

Wait = Callable[[Callable[[], bool]], Awaitable[None]]


def offload(n: int = 0) -> OffloadRequested:
    return OffloadRequested(PairId(f"red.a{n}.b{n}"), Tenant("red"), "busy", 1e9, 100.0 + n)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is anything
            await asyncio.sleep(0.02)


class Collector:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery[OffloadRequested]] = []

    async def __call__(self, batch: list[Delivery[OffloadRequested]]) -> None:
        self.deliveries.extend(batch)

    @property
    def pairs(self) -> list[str]:
        return [delivery.event.pair for delivery in self.deliveries]


def consume(bus: Bus, handler: object, durable: str = "t", subject: str = "ezpath.decision.>") -> asyncio.Task[None]:
    return asyncio.create_task(bus.consume(durable, subject, OffloadRequested, handler))  # type: ignore[arg-type]


async def test_events_come_in_order_and_with_their_headers(bus):
    # Given a consumer
    got = Collector()
    task = consume(bus, got)
    # When events are published, before and after it is there
    for n in range(20):
        await bus.publish(offload(n), correlation="saga-1")
    await until(lambda: len(got.deliveries) == 20)
    task.cancel()
    # Then they come in order, once, with the saga's correlation id
    assert got.pairs == [f"red.a{n}.b{n}" for n in range(20)]
    assert {delivery.correlation for delivery in got.deliveries} == {"saga-1"}
    assert got.deliveries[0].subject == "ezpath.decision.offload.red.a0.b0"


async def test_messages_on_the_wire_are_legible_and_traced(bus, nats_server):
    # Given somebody who looks on with nothing but a NATS client
    client = await nats.connect(nats_server.url)
    subscription = await client.subscribe("ezpath.>")
    await client.flush()
    # When a report is published
    await bus.publish(StepReport("s-7", PairId("red.a.b"), 3, "switch-send", "switch:tor1", True))
    message = await subscription.next_msg(timeout=5)
    await client.close()
    # Then it is JSON, on the subject of its target, with the headers that tie the saga together
    assert message.subject == "ezpath.report.switch.tor1"
    assert json.loads(message.data)["type"] == "step-report"
    assert message.headers["Ezpath-Correlation-Id"] == "s-7"
    version, trace, span, flags = message.headers["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


async def test_the_same_message_id_is_stored_once(bus):
    for _ in range(3):
        await bus.publish(offload(), msg_id="decision-1")
    assert await bus.last_sequence() == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\x00{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"v":9,"type":"offload-requested"}', "version 9"),
        (b'{"v":1,"type":"no-such"}', "type"),
        (b'{"v":1,"type":"offload-requested","pair":7}', "pair"),
        (b'{"v":1,"type":"revert-requested","pair":"a.b.c","tenant":"a","reason":"r","at":1}', "revert-requested"),
    ],
)
async def test_malformed_messages_become_dead_letters_and_the_consumer_goes_on(bus, nats_server, payload, reason):
    # Given a consumer of offload requests, and one of dead letters
    got, letters = Collector(), []
    task = consume(bus, got)

    async def keep(batch):
        letters.extend(delivery.event for delivery in batch)

    graves = asyncio.create_task(bus.consume("graves", "ezpath.deadletter.>", DeadLetter, keep))
    # When something comes that is none, and then one that is
    client = await nats.connect(nats_server.url)
    await client.publish("ezpath.decision.offload.x.y.z", payload)
    await client.flush()
    await client.close()
    await bus.publish(offload(1))
    await until(lambda: got.deliveries != [] and letters != [])
    await asyncio.sleep(0.2)
    task.cancel(), graves.cancel()
    # Then the one is dealt with, and the other is kept with the reason, once
    assert got.pairs == ["red.a1.b1"]
    (letter,) = letters
    assert reason in letter.reason
    assert (letter.service, letter.subject) == ("test", "ezpath.decision.offload.x.y.z")
    assert letter.payload_bytes == len(payload)


async def test_a_malformed_sample_becomes_a_dead_letter_and_the_next_one_arrives(bus, nats_server):
    samples: list[FlowSample] = []

    async def keep(sample: FlowSample) -> None:
        samples.append(sample)

    await bus.subscribe_samples(keep)
    client = await nats.connect(nats_server.url)
    await client.publish("ezpath.samples.tor1", b"\xc1 no msgpack")
    await client.flush()
    await client.close()
    column = np.array([1, 2], dtype=np.uint64)
    await bus.publish_sample(
        FlowSample(SwitchName("tor1"), 1, 2, 3, 1.0, column, column, column, column, column, drops={"1": 5})
    )
    await until(lambda: len(samples) == 1)
    await asyncio.sleep(0.1)
    dead = [delivery.event async for delivery in bus.history(["ezpath.deadletter.>"])]
    assert samples[0].drops == {"1": 5} and samples[0].packets.tolist() == [1, 2]
    assert [letter.subject for letter in dead] == ["ezpath.samples.tor1"]


async def test_a_service_waits_for_nats_says_so_and_goes_on(late_nats):
    # Given no NATS
    with structlog.testing.capture_logs() as logs:
        connecting = asyncio.create_task(Bus.connect(late_nats.url, "early"))
        await asyncio.sleep(0.7)
        assert not connecting.done()
        # Then the log names it and says what to do
        (line,) = [entry for entry in logs if entry["event"] == "waiting for nats"]
        assert late_nats.url in line["reason"] and "Start nats-server" in line["reason"]
        # When it starts, the service goes on
        late_nats.start()
        bus = await asyncio.wait_for(connecting, 10)
    await bus.publish(offload())
    assert await bus.last_sequence() == 1
    await bus.close()


async def test_whoever_will_not_wait_is_told_what_to_do(late_nats):
    with pytest.raises(Unavailable, match=r"not reachable within 0.5 s.*Start nats-server"):
        await Bus.connect(late_nats.url, "impatient", wait_s=0.5)


async def test_a_consumer_goes_on_after_nats_was_restarted(bus, nats_server):
    got = Collector()
    task = consume(bus, got)
    await bus.publish(offload(1))
    await until(lambda: len(got.deliveries) == 1)
    # When NATS dies, an event is published in the meantime, and NATS comes back
    nats_server.stop()
    publishing = asyncio.create_task(bus.publish(offload(2)))
    await asyncio.sleep(0.5)
    nats_server.start()
    await publishing
    # Then nothing is lost and nothing comes twice
    await until(lambda: len(got.deliveries) == 2)
    task.cancel()
    assert got.pairs == ["red.a1.b1", "red.a2.b2"]


async def test_a_consumer_and_its_state_survive_a_nats_that_comes_back_empty(bus, nats_server):
    got = Collector()
    task = consume(bus, got)
    await bus.publish(offload(1))
    await bus.kv_put_cas(SAGA_BUCKET, "x", b"1", None)
    await until(lambda: len(got.deliveries) == 1)
    nats_server.stop()
    nats_server.wipe()
    nats_server.start()
    await bus.publish(offload(2))
    await until(lambda: len(got.deliveries) == 2)
    task.cancel()
    assert got.pairs == ["red.a1.b1", "red.a2.b2"]
    assert await bus.kv_get(SAGA_BUCKET, "x") is None
    assert await bus.kv_put_cas(SAGA_BUCKET, "x", b"2", None) == 1


async def test_a_consumer_deleted_by_hand_is_made_again(bus, nats_server):
    got = Collector()
    task = consume(bus, got)
    await bus.publish(offload(1))
    await until(lambda: len(got.deliveries) == 1)
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_consumer("EZPATH", "t")
    await client.close()
    await bus.publish(offload(2))
    # It starts at the stream's beginning: the first event comes again
    await until(lambda: got.pairs[-1] == "red.a2.b2")
    task.cancel()


async def test_a_frozen_nats_is_noticed_and_left(bus, nats_server):
    with structlog.testing.capture_logs() as logs:
        nats_server.freeze()
        await until(lambda: any(entry["event"] == "nats connection lost" for entry in logs))
        nats_server.thaw()
        await bus.publish(offload())
    assert await bus.last_sequence() == 1


async def test_publishing_into_nothing_ends_with_a_reason(nats_server):
    bus = await Bus.connect(nats_server.url, "t", wait_s=10, patience_s=1.0)
    nats_server.stop()
    with pytest.raises(Unavailable, match=str(nats_server.port)):
        await bus.publish(offload())
    await bus.close()


async def test_a_handler_that_raises_gets_it_again_and_does_not_hold_up_the_others(bus):
    seen: list[tuple[str, int]] = []

    async def handler(batch):
        for delivery in batch:
            if delivery.event.pair == "red.a1.b1" and delivery.attempt == 1:
                raise RuntimeError("not today")
        seen.extend((delivery.event.pair, delivery.attempt) for delivery in batch)

    for n in range(3):
        await bus.publish(offload(n))
    task = consume(bus, handler)
    await until(lambda: ("red.a1.b1", 2) in seen)
    task.cancel()
    assert {pair for pair, attempt in seen if attempt == 1} == {"red.a0.b0", "red.a2.b2"}


async def test_a_handler_may_ask_for_it_again_or_reject_it(bus):
    attempts: list[int] = []

    async def handler(batch):
        for delivery in batch:
            attempts.append(delivery.attempt)
            if delivery.attempt == 1:
                delivery.retry(0.1)
            else:
                delivery.reject("makes no sense here")

    await bus.publish(offload())
    task = consume(bus, handler)
    await until(lambda: attempts == [1, 2])
    await asyncio.sleep(0.3)
    task.cancel()
    (letter,) = [delivery.event async for delivery in bus.history(["ezpath.deadletter.>"])]
    assert letter.reason == "makes no sense here"
    assert attempts == [1, 2]


async def test_a_slow_handler_keeps_its_messages(bus):
    """Ten seconds are longer than the server would wait for an acknowledgement."""
    attempts: list[int] = []

    async def handler(batch):
        attempts.extend(delivery.attempt for delivery in batch)
        await asyncio.sleep(8)

    await bus.publish(offload())
    task = consume(bus, handler)
    await asyncio.sleep(10)
    task.cancel()
    assert attempts == [1]


async def test_what_was_being_worked_on_goes_to_the_successor_at_once(bus):
    started = asyncio.Event()

    async def stuck(batch):
        started.set()
        await asyncio.sleep(60)

    first = consume(bus, stuck)
    await bus.publish(offload())
    await started.wait()
    first.cancel()
    got = Collector()
    second = consume(bus, got)
    await until(lambda: len(got.deliveries) == 1, within_s=3)
    second.cancel()


async def test_compare_and_set(bus):
    # Given a key written once
    revision = await bus.kv_put_cas(SAGA_BUCKET, "red.a.b", b"1", None)
    # When it is written from that revision, it changes
    newer = await bus.kv_put_cas(SAGA_BUCKET, "red.a.b", b"2", revision)
    assert await bus.kv_get(SAGA_BUCKET, "red.a.b") == (b"2", newer)
    # When it is written from an old one, or as if absent, it does not
    with pytest.raises(Conflict, match=r"red\.a\.b"):
        await bus.kv_put_cas(SAGA_BUCKET, "red.a.b", b"3", revision)
    with pytest.raises(Conflict):
        await bus.kv_put_cas(SAGA_BUCKET, "red.a.b", b"3", None)
    assert await bus.kv_items(SAGA_BUCKET) == {"red.a.b": (b"2", newer)}
    # When it is deleted, it can be made again
    await bus.kv_delete(SAGA_BUCKET, "red.a.b")
    assert await bus.kv_items(SAGA_BUCKET) == {}
    assert await bus.kv_get(SAGA_BUCKET, "red.a.b") is None
    await bus.kv_put_cas(SAGA_BUCKET, "red.a.b", b"4", None)


async def test_given_a_pace_then_no_batch_begins_sooner_after_the_one_before(bus):
    batches: list[list[str]] = []
    loop = asyncio.get_running_loop()
    began: list[float] = []

    async def keep(deliveries: list[Delivery[OffloadRequested]]) -> None:
        began.append(loop.time())
        batches.append([delivery.event.pair for delivery in deliveries])

    task = asyncio.create_task(bus.consume("paced", "ezpath.decision.>", OffloadRequested, keep, pace_s=2.0))
    await bus.publish(offload(0))
    await until(lambda: len(batches) == 1)
    for n in (1, 2, 3):
        await bus.publish(offload(n))
    await until(lambda: sum(map(len, batches)) == 4)
    task.cancel()

    assert batches[0] == [offload(0).pair]
    assert [pair for batch in batches[1:] for pair in batch] == [offload(n).pair for n in (1, 2, 3)]
    assert all(later - earlier >= 1.9 for earlier, later in pairwise(began))


async def test_given_leave_to_go_ahead_then_so_many_batches_more_are_begun_in_order_and_all_are_acknowledged(bus):
    begun: list[str] = []
    dealt_with = asyncio.Event()

    async def slow(deliveries: list[Delivery[OffloadRequested]]) -> None:
        begun.extend(delivery.event.pair for delivery in deliveries)
        await dealt_with.wait()

    task = asyncio.create_task(bus.consume("ahead", "ezpath.decision.>", OffloadRequested, slow, ahead=1))
    # When a batch is in hand, then the next one is begun, and a third waits
    for n in (0, 1):
        await bus.publish(offload(n))
        await until(lambda n=n: len(begun) == n + 1)
    await bus.publish(offload(2))
    await asyncio.sleep(0.3)
    assert begun == [offload(n).pair for n in (0, 1)] and await bus.place("ahead") == 1
    # When they are dealt with, then it comes too, and nothing comes again
    dealt_with.set()
    await until(lambda: len(begun) == 3)
    async with asyncio.timeout(5):
        while await bus.place("ahead") != 4:  # noqa: ASYNC110 - NATS has it when it has it
            await asyncio.sleep(0.01)
    task.cancel()
    assert begun == [offload(n).pair for n in range(3)]


async def test_of_many_who_write_at_once_one_wins(bus):
    results = await asyncio.gather(
        *(bus.kv_put_cas(SAGA_BUCKET, "k", str(n).encode(), None) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 9


async def test_watching_a_bucket_through_a_restart(bus, nats_server):
    changes = []

    async def watch():
        async for change in bus.kv_watch(SAGA_BUCKET):
            changes.append((change.key, change.value))

    revision = await bus.kv_put_cas(SAGA_BUCKET, "k", b"1", None)
    task = asyncio.create_task(watch())
    await until(lambda: len(changes) == 1)
    nats_server.stop()
    nats_server.start()
    await bus.kv_put_cas(SAGA_BUCKET, "k", b"2", revision)
    await until(lambda: len(changes) == 2)
    await bus.kv_delete(SAGA_BUCKET, "k")
    await until(lambda: len(changes) == 3)
    task.cancel()
    assert changes == [("k", b"1"), ("k", b"2"), ("k", None)]


async def test_watching_outlasts_any_outage(nats_server):
    bus = await Bus.connect(nats_server.url, "t", wait_s=10, patience_s=0.5)
    changes = []

    async def watch():
        async for change in bus.kv_watch(SAGA_BUCKET):
            changes.append(change.value)

    await bus.kv_put_cas(SAGA_BUCKET, "k", b"1", None)
    task = asyncio.create_task(watch())
    await until(lambda: changes == [b"1"])
    nats_server.stop()
    await asyncio.sleep(3)
    nats_server.wipe()
    nats_server.start()
    # A bucket that counts from the start again is not mistaken for an old one
    other = await Bus.connect(nats_server.url, "other", wait_s=10)
    await other.kv_put_cas(SAGA_BUCKET, "k", b"2", None)
    await until(lambda: changes == [b"1", b"2"])
    assert not task.done()
    task.cancel()
    await bus.close()
    await other.close()


async def test_following_survives_a_nats_that_comes_back_empty(bus, nats_server):
    for n in range(5):
        await bus.publish(offload(n))
    following = bus.follow(["ezpath.decision.>"], after=await bus.last_sequence())
    waiting = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0.3)
    nats_server.stop()
    nats_server.wipe()
    nats_server.start()
    await bus.publish(offload(9))
    delivery = await asyncio.wait_for(waiting, 20)
    assert delivery.event.pair == "red.a9.b9"
    await following.aclose()


async def test_many_services_may_start_at_once(nats_server):
    buses = await asyncio.gather(*(Bus.connect(nats_server.url, f"s{n}", wait_s=20) for n in range(8)))
    await buses[0].publish(offload())
    assert await buses[7].last_sequence() == 1
    await asyncio.gather(*(bus.close() for bus in buses))


async def test_history_ends_and_follow_goes_on_from_there(bus):
    for n in range(3):
        await bus.publish(offload(n))
    await bus.publish(RevertRequested(PairId("red.a.b"), Tenant("red"), "idle", 5.0))
    past = [delivery async for delivery in bus.history(["ezpath.decision.offload.>"])]
    assert [delivery.event.pair for delivery in past] == ["red.a0.b0", "red.a1.b1", "red.a2.b2"]
    assert [delivery async for delivery in bus.history(["ezpath.saga.>"])] == []
    following = bus.follow(["ezpath.decision.>"], after=past[-1].sequence)
    assert (await anext(following)).event.type == "revert-requested"
    await bus.publish(offload(9))
    assert (await anext(following)).event.pair == "red.a9.b9"
    await following.aclose()


async def test_a_sample_larger_than_a_message_arrives_whole(bus):
    samples: list[FlowSample] = []

    async def keep(sample: FlowSample) -> None:
        samples.append(sample)

    await bus.subscribe_samples(keep)
    column = np.arange(65_536, dtype=np.uint64)
    await bus.publish_sample(FlowSample(SwitchName("tor1"), 1, 2, 3, 1.0, column, column, column, column, column))
    await until(lambda: len(samples) == 1)
    assert samples[0].parts == 1
    assert np.array_equal(samples[0].packets, column)


async def test_an_event_larger_than_nats_takes_is_refused_at_once(bus):
    with pytest.raises(BusError, match="more than NATS takes"):
        await bus.publish(OffloadRequested(PairId("red.a.b"), Tenant("red"), "x" * 2**20, 1.0, 1.0))


async def test_a_name_that_is_no_name_is_refused_at_once(bus):
    with pytest.raises(BusError, match="space or a wildcard"):
        await bus.publish(OffloadRequested(PairId("red.a b.c"), Tenant("red"), "", 1.0, 1.0))


async def test_given_answerers_when_asked_then_the_first_or_all_of_them_are_heard(bus: Bus) -> None:
    async def knows(question: dict[str, Any]) -> dict[str, Any]:
        return {"twice": question["number"] * 2}

    async def knows_not(question: dict[str, Any]) -> None:
        return None

    await bus.answer("sum", knows_not)
    await bus.answer("sum", knows)
    await bus.answer("sum", knows)
    assert await bus.ask("sum", {"number": 21}, 5) == {"twice": 42}
    assert await bus.ask_all("sum", {"number": 1}, 0.3) == [{"twice": 2}, {"twice": 2}]


async def test_given_nobody_who_answers_when_asked_then_that_is_said_at_once(bus: Bus) -> None:
    began = time.monotonic()
    assert await bus.ask("nothing", {}, 20) is None
    assert await bus.ask_all("nothing", {}, 20) == []
    assert time.monotonic() - began < 10


async def test_given_a_question_that_is_none_then_it_is_a_dead_letter_and_the_next_is_answered(bus: Bus) -> None:
    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        return {}

    await bus.answer("sum", answer)
    client = await bus._link.client(5)
    await client.publish("ezpath.ask.sum", b"[]")
    assert await bus.ask("sum", {}, 5) == {}
    async for delivery in bus.follow(["ezpath.deadletter.>"], 0):
        assert "not a JSON object but list" in str(delivery.event)
        break


@pytest.mark.parametrize("within_ms", [0, 1, 2, 4, 8, 16, 32])
async def test_given_one_cancellation_at_any_moment_then_a_consumer_and_a_watch_end(bus: Bus, within_ms: int) -> None:
    async def keep(batch: list[Delivery[StepReport]]) -> None:
        return

    async def watch() -> None:
        async for _ in bus.kv_watch(SAGA_BUCKET):
            pass

    tasks = [
        asyncio.create_task(bus.consume("test", "ezpath.report.>", StepReport, keep)),
        asyncio.create_task(watch()),
        asyncio.create_task(bus.kv_items(SAGA_BUCKET)),
    ]
    await asyncio.sleep(within_ms / 1000)
    for task in tasks:
        task.cancel()
    _, pending = await asyncio.wait(tasks, timeout=10)
    assert not pending
