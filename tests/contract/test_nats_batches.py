"""Several events in one message: how they go out, and what becomes of each of them, against a real nats-server."""

from __future__ import annotations

import asyncio
import json

import nats
import pytest
from ezpath.bus import Saying
from ezpath.bus.batch import EVENTS, MOST_EVENTS, pack, unpack
from ezpath.events import (
    DeadLetter,
    MalformedEvent,
    SagaStep,
    StepReport,
    SwitchCommand,
    decode,
    encode,
)
from ezpath.names import PairId, SwitchName, Tenant


def report(number: int, target: str = "switch:tor1") -> StepReport:
    return StepReport(f"red.a{number}.b.1", PairId(f"red.a{number}.b"), number, "switch-send", target, True)


def step(number: int) -> SagaStep:
    return SagaStep(
        f"red.a{number}.b.1", PairId(f"red.a{number}.b"), Tenant("red"), number, "active", "drain", 1.0, 2.0
    )


async def until(condition, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


# ---- what goes out


def test_events_of_one_subject_share_a_message_in_their_order_and_others_keep_theirs():
    # Given reports of two targets, interleaved, and one command
    command = SwitchCommand("red.a.b.1", PairId("red.a.b"), 1, "switch-send", SwitchName("tor1"))
    said = [report(1), report(2, "switch:tor2"), command, report(3), report(4)]
    # When they are packed
    messages = pack(map(Saying, said))
    # Then each subject has one message, an event a line, and the single ones are as they would be alone
    assert [m.subject for m in messages] == [
        "ezpath.report.switch.tor1",
        "ezpath.report.switch.tor2",
        "ezpath.command.switch.tor1",
    ]
    assert [decode(line) for line in messages[0].data.split(b"\n")] == [report(1), report(3), report(4)]
    assert messages[0].headers[EVENTS] == "3"
    assert messages[1].data == encode(report(2, "switch:tor2")) and EVENTS not in messages[1].headers
    assert messages[2].headers["Ezpath-Correlation-Id"] == "red.a.b.1"


def test_steps_of_several_sagas_share_a_subject_and_one_alone_has_its_pairs():
    assert [m.subject for m in pack([Saying(step(1))])] == ["ezpath.saga.step.red.a1.b"]
    assert [m.subject for m in pack([Saying(step(1)), Saying(step(2))])] == ["ezpath.saga.steps"]


def test_a_batch_has_the_correlation_that_all_of_it_has_or_none():
    of_one_saga, of_two = pack([Saying(report(1))] * 2)[0], pack([Saying(report(1)), Saying(report(2))])[0]
    assert of_one_saga.headers["Ezpath-Correlation-Id"] == "red.a1.b.1" and "traceparent" in of_one_saga.headers
    assert "Ezpath-Correlation-Id" not in of_two.headers and "traceparent" not in of_two.headers


def test_the_same_batch_again_has_the_same_message_id_and_another_one_has_not():
    def message_id(*ids: str | None) -> str:
        return pack([Saying(report(1), given) for given in ids])[0].headers["Nats-Msg-Id"]

    assert message_id("x") == "x"
    assert message_id("x", "y") == message_id("x", "y") != message_id("y", "x")
    assert message_id("x", None) != message_id("x", None)


def test_a_message_does_not_grow_without_bounds():
    messages = pack(Saying(report(number)) for number in range(2 * MOST_EVENTS + 1))
    assert [len(unpack(m.data, m.headers)) for m in messages] == [MOST_EVENTS, MOST_EVENTS, 1]
    long = StepReport("s", PairId("red.a.b"), 1, "switch-send", "switch:tor1", False, "x" * 60_000)
    assert len(pack([Saying(long)] * 4)) == 2


@pytest.mark.parametrize("count", ["0", "-1", "many", "9" * 400, "1025", "2", "4"])
def test_a_message_that_has_not_as_many_lines_as_it_says_is_malformed_as_a_whole(count):
    with pytest.raises(MalformedEvent):
        unpack(b"1\n2\n3", {EVENTS: count})


def test_a_message_that_does_not_speak_of_lines_is_one_event_however_it_is_spelled():
    spelled = json.dumps(json.loads(encode(report(1))), indent=2).encode()
    assert [decode(line) for line in unpack(spelled, None)] == [report(1)]


# ---- what becomes of it


class Reports:
    """A consumer's handler that remembers what it got, and batch by batch."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    async def __call__(self, batch) -> None:
        self.batches.append([(delivery.event.generation, delivery.attempt) for delivery in batch])

    @property
    def all(self) -> list[tuple[int, int]]:
        return [each for batch in self.batches for each in batch]


async def test_a_thousand_events_arrive_once_and_in_order_in_a_few_messages(bus):
    got = Reports()
    task = asyncio.create_task(bus.consume("t", "ezpath.report.>", StepReport, got, batch=200))
    await bus.publish_all(Saying(report(number)) for number in range(1000))
    await until(lambda: len(got.all) == 1000)
    task.cancel()
    assert got.all == [(number, 1) for number in range(1000)]
    assert await bus.last_sequence() == 4
    assert max(map(len, got.batches)) < 200 + MOST_EVENTS


async def test_whoever_looks_on_sees_each_event_of_a_batch(bus):
    await bus.publish_all([Saying(step(1)), Saying(step(2)), Saying(report(3))])
    past = [delivery async for delivery in bus.history(["ezpath.saga.>", "ezpath.report.>"])]
    assert [(d.sequence, d.event) for d in past] == [(1, step(1)), (1, step(2)), (2, report(3))]
    assert [d.correlation for d in past] == ["red.a1.b.1", "red.a2.b.1", "red.a3.b.1"]


async def test_a_malformed_line_in_the_middle_is_buried_alone(bus, nats_server):
    # Given a batch whose second line is no event
    got = Reports()
    client = await nats.connect(nats_server.url)
    lines = [encode(report(1)), b'{"v":1,"type":"step-report","saga":7}', encode(report(3))]
    await client.jetstream().publish("ezpath.report.switch.tor1", b"\n".join(lines), headers={EVENTS: "3"})
    await client.close()
    # When it is consumed
    task = asyncio.create_task(bus.consume("t", "ezpath.report.>", StepReport, got))
    await until(lambda: len(got.all) == 2)
    await asyncio.sleep(0.3)
    task.cancel()
    # Then the others are dealt with, once, and the dead letter has this line and no other
    assert got.all == [(1, 1), (3, 1)]
    (letter,) = [d.event async for d in bus.history(["ezpath.deadletter.>"])]
    assert isinstance(letter, DeadLetter)
    assert letter.payload == lines[1].decode() and letter.payload_bytes == len(lines[1])


async def test_a_batch_comes_again_as_a_whole_and_its_malformed_line_is_buried_once(bus, nats_server):
    # Given a batch with a malformed line, and a handler that wants one of the others again
    attempts: list[tuple[int, int]] = []

    async def handler(batch) -> None:
        for delivery in batch:
            attempts.append((delivery.event.generation, delivery.attempt))
            if delivery.event.generation == 3 and delivery.attempt == 1:
                delivery.retry(0.1)

    client = await nats.connect(nats_server.url)
    data = b"\n".join([encode(report(1)), b"{}", encode(report(3))])
    await client.jetstream().publish("ezpath.report.switch.tor1", data, headers={EVENTS: "3"})
    await client.close()
    # When it is consumed
    task = asyncio.create_task(bus.consume("t", "ezpath.report.>", StepReport, handler))
    await until(lambda: len(attempts) == 4)
    await asyncio.sleep(0.3)
    task.cancel()
    # Then all of it came twice, and there is one dead letter
    assert attempts == [(1, 1), (3, 1), (1, 2), (3, 2)]
    assert len([d async for d in bus.history(["ezpath.deadletter.>"])]) == 1


async def test_one_event_that_is_rejected_does_not_take_its_message_with_it(bus):
    seen: list[int] = []

    async def handler(batch) -> None:
        for delivery in batch:
            seen.append(delivery.event.generation)
            if delivery.event.generation == 2:
                delivery.reject("makes no sense here")

    await bus.publish_all(Saying(report(number)) for number in (1, 2, 3))
    task = asyncio.create_task(bus.consume("t", "ezpath.report.>", StepReport, handler))
    await until(lambda: len(seen) == 3)
    await asyncio.sleep(0.3)
    task.cancel()
    assert seen == [1, 2, 3]
    (letter,) = [d.event async for d in bus.history(["ezpath.deadletter.>"])]
    assert decode(letter.payload.encode()) == report(2)


async def test_a_batch_that_nats_had_already_is_stored_once(bus):
    for _ in range(2):
        await bus.publish_all(Saying(report(number), f"report-{number}") for number in (1, 2))
    assert await bus.last_sequence() == 1


async def test_what_is_published_while_nats_is_away_is_stored_when_it_is_back(bus, nats_server):
    nats_server.stop()
    publishing = asyncio.create_task(bus.publish_all(Saying(report(number)) for number in range(600)))
    await asyncio.sleep(0.5)
    nats_server.start()
    await asyncio.wait_for(publishing, 20)
    past = [d.event.generation async for d in bus.history(["ezpath.report.>"])]
    assert sorted(past) == list(range(600))
