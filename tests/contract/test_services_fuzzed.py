"""Hundreds of malformed messages on every subject, at the services as they run: a dead letter each, and work goes on.

Their memory stays bounded, through messages of 10 MB too.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from contract.ovs_machine import OvsMachine
from contract.services_rig import OPTIONS, PAIR, running
from ezpath.bus import Bus
from ezpath.bus.batch import EVENTS as EVENTS_HEADER
from ezpath.events import DeadLetter, FlowSample, MalformedEvent, decode, decode_sample
from ezpath.malformed import json_object
from fuzz_events import blob, damaged_json, damaged_msgpack, nested, valid_events, valid_sample

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]

SEED = 5
EACH = 200
"""Messages on each subject, besides those of 10 MB."""
BIG = 10 << 20
BLOBS = (b'"' + b"x" * BIG + b'"', blob(random.Random(SEED), BIG), nested(BIG // 2))
PEAK_MIB, MORE_MIB, AGAIN = 768, 16, 5
"""More than before at the worst moment; and more after the same once more, where a leak would show."""

JSON_SUBJECTS = {
    f"ezpath.decision.offload.{PAIR}": "offload-requested",
    f"ezpath.decision.revert.{PAIR}": "revert-requested",
    "ezpath.report.switch.tor1": "step-report",
    "ezpath.report.host.h1": "step-report",
    "ezpath.command.switch.tor1": "switch-command",
    "ezpath.command.host.h1": "host-command",
    "ezpath.tables.tor1": "switch-tables",
    "ezpath.state.host.h1": "target-state",
}
SAMPLES = "ezpath.samples.tor1"
QUESTIONS = tuple(
    f"ezpath.ask.{what}" for what in ("status", "installed.switch.tor1", "installed.host.h1", "why", "pause")
)


def refused(parse: Callable[[bytes], object], data: bytes) -> bool:
    try:
        parse(data)
    except MalformedEvent:
        return True
    return False


def until_enough(make: Callable[[], bytes], parse: Callable[[bytes], object]) -> Iterator[bytes]:
    """What is malformed of what ``make`` makes: a valid event of a stranger would be carried out, as it should."""
    count = 0
    while count < EACH:
        data = make()
        if refused(parse, data):
            count += 1
            yield data
    yield from BLOBS


def messages(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    valid = valid_events()
    for subject, kind in JSON_SUBJECTS.items():
        for data in until_enough(lambda kind=kind: damaged_json(rng, valid[kind]), decode):  # type: ignore[misc]
            yield subject, data
        yield subject, valid["saga-step"]  # an event, and none for this subject
    for data in until_enough(lambda: damaged_msgpack(rng, valid_sample()), decode_sample):
        yield SAMPLES, data
    for subject in QUESTIONS:
        for data in until_enough(lambda: damaged_json(rng, valid["step-report"]), json_object):
            yield subject, data


async def send(url: str, seed: int, sent: Counter[str]) -> None:
    """All of it, and messages that say wrongly how many events they have."""
    client = await nats.connect(url)
    for subject, data in messages(random.Random(seed)):
        await client.publish(subject, data, reply="nobody.hears" if subject in QUESTIONS else "")
        await client.flush()
        sent[subject] += 1
    for count in ("0", "-3", "many", "9" * 400, "2000"):
        await client.publish("ezpath.command.host.h1", b"{}\n{}", headers={EVENTS_HEADER: count})
        sent["ezpath.command.host.h1"] += 1
    await client.flush()
    await client.close()


class Letters:
    """All dead letters, as they come."""

    def __init__(self, bus: Bus) -> None:
        self.all: list[DeadLetter] = []
        self._listening = asyncio.create_task(self._listen(bus))

    async def _listen(self, bus: Bus) -> None:
        async for delivery in bus.follow(["ezpath.deadletter.>"], 0):
            if isinstance(delivery.event, DeadLetter):
                self.all.append(delivery.event)

    async def until_one_for_each(self, wanted: Counter[str]) -> None:
        for _ in range(240):
            missing = wanted - Counter(letter.subject for letter in self.all)
            if not missing:
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"dead letters are missing: {missing}")

    def close(self) -> None:
        self._listening.cancel()


async def test_malformed_messages_of_every_kind(
    tmp_path: Path, late_nats: Any, make_machine: Callable[[], OvsMachine]
) -> None:
    late_nats.max_payload_mib = 16
    late_nats.start()
    async with (
        running(tmp_path, late_nats.url, make_machine, collector=("--interval", "0.5")) as services,
        await Bus.connect(late_nats.url, "test", wait_s=10) as bus,
    ):
        before = {name: services.memory_mib(name) for name in OPTIONS}
        got = Letters(bus)
        # When all of it comes at once
        sent: Counter[str] = Counter()
        await send(late_nats.url, SEED, sent)
        # Then there is a dead letter for each, with a reason that is short enough to read
        await got.until_one_for_each(sent)
        letters = list(got.all)
        assert {letter.service for letter in letters} == set(OPTIONS)
        assert all(0 < len(letter.reason) < 500 for letter in letters)
        big = [letter for letter in letters if letter.payload_bytes >= BIG]
        assert len(big) >= len(BLOBS) * len(sent)
        assert all(len(letter.payload) < 20_000 for letter in big)
        # No process has ended or begun anew, and the same once more takes no more memory: not always the second time,
        # for it depends on how much of it a process has in hand at once, but before long
        for _ in range(AGAIN):
            most = {name: services.memory_mib(name, "VmHWM") for name in OPTIONS}
            await send(late_nats.url, SEED, sent)
            await got.until_one_for_each(sent)
            for name, process in services.processes.items():
                assert process.poll() is None, services.log(name)[-3000:]
            grown = {name: services.memory_mib(name, "VmHWM") - most[name] for name in OPTIONS}
            if max(grown.values()) < MORE_MIB:
                break
        assert max(grown.values()) < MORE_MIB, (before, most, grown)
        assert all(most[name] + grown[name] < before[name] + PEAK_MIB for name in OPTIONS), (before, most, grown)
        # And each still does its work: a pair is offloaded, samples come, all answer
        code, out, err = await services.ezpath("offload", PAIR, "--timeout", "60")
        assert code == 0, out + err
        got.close()
        samples: asyncio.Queue[FlowSample] = asyncio.Queue()
        await bus.subscribe_samples(samples.put)
        assert (await asyncio.wait_for(samples.get(), 20)).switch == "tor1"
        code, out, err = await services.ezpath("status", "-o", "json", "--timeout", "20")
        assert (code, json.loads(out)["alarms"]) == (0, []), err
