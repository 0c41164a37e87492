"""Every parser of what comes over the bus or out of KV takes anything: a value, or one error that says what is wrong.

Seeded mutations of valid events, and hypothesis. Memory is bounded: a refusal costs no multiple of what came in.
"""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable

import pytest
from ezpath.answers import ServiceStatus, from_document
from ezpath.bus.batch import EVENTS as EVENTS_HEADER
from ezpath.bus.batch import unpack
from ezpath.desired import generation_of, host_from_json, switch_from_json
from ezpath.events import (
    FlowSample,
    JsonEvent,
    MalformedEvent,
    decode,
    decode_sample,
    encode,
    encode_lines,
    subject_of,
)
from ezpath.inventory import Inventory
from ezpath.live.records import from_json as endpoints_from_json
from ezpath.live.records import to_json as endpoints_to_json
from ezpath.malformed import json_object
from ezpath.names import VlanId
from ezpath.saga import saga_from_json, saga_to_json
from ezpath.saga.model import Saga
from ezpath.saga.phases import Phase
from ezpath.saga.plan import sides_of
from fuzz_events import (
    DESIRED,
    EVENTS,
    PAIR,
    RED,
    blob,
    damaged_json,
    damaged_msgpack,
    nested,
    valid_answers,
    valid_events,
    valid_sample,
)
from hypothesis import given
from hypothesis import strategies as st

ROUNDS = 400
"""Of each kind of event."""
MIB = 2**20
BIG = 10 * MIB

Parse = Callable[[bytes], object]


def outcome(parse: Parse, data: bytes) -> object:
    """What comes of it; anything but a value or a :class:`ValueError` with a short reason is a failure."""
    try:
        return parse(data)
    except ValueError as error:
        reason = str(error)
        assert reason and len(reason) < 1000, reason[:2000]
        assert "\n" not in reason, reason
        return None


def event(data: bytes) -> object:
    found = decode(data)
    # What passes can be sent on, and has a subject with nothing in it that a subject must not have
    try:
        assert decode(encode(found)) == found
    except ValueError as error:
        raise AssertionError(f"taken, and not again: {error}") from error
    assert not set(subject_of(found)) & set(" *>\t\r\n")
    return found


def decode_answer(data: bytes) -> object:
    """As who asks reads what comes back."""
    return from_document(json_object(data))


def sample(data: bytes) -> object:
    found = decode_sample(data)
    assert isinstance(found, FlowSample)
    assert len({len(column) for column in (found.vni, found.src, found.dst, found.packets, found.bytes)}) == 1
    return found


@pytest.fixture
def record(inventory: Inventory) -> tuple[bytes, Parse]:
    """A saga's record, and what reads it."""
    known = inventory.pair_by_id("red.red-1.red-3")  # type: ignore[arg-type]
    assert known is not None
    sides = sides_of(known, (VlanId(100), VlanId(101)), inventory)
    saga = Saga(PAIR, RED, 1, Phase.ACTIVE, "active", 7, 1.0, 2.0, 3.0, frozenset({"host:h1"}), sides=sides)
    return saga_to_json(saga), lambda data: saga_from_json(data, inventory)


def test_every_kind_of_event_is_tried():
    assert {type(event) for event in EVENTS} == set(JsonEvent.__args__)


@pytest.mark.parametrize("kind", [event.type for event in EVENTS])
def test_a_damaged_event_is_an_event_or_malformed(kind):
    valid, rng = valid_events()[kind], random.Random(f"{kind} 1")
    assert event(valid)
    refused = sum(outcome(event, damaged_json(rng, valid)) is None for _ in range(ROUNDS))
    assert refused > ROUNDS * 0.6


@pytest.mark.parametrize("kind", ["service-status", "installed"])
def test_a_damaged_answer_is_an_answer_or_malformed(kind):
    valid, rng = valid_answers()[kind], random.Random(f"{kind} 1")
    refused = sum(outcome(decode_answer, damaged_json(rng, valid)) is None for _ in range(ROUNDS))
    assert refused > ROUNDS * 0.5


def test_a_damaged_sample_is_a_sample_or_malformed():
    valid, rng = valid_sample(), random.Random(1)
    assert sample(valid)
    refused = sum(outcome(sample, damaged_msgpack(rng, valid)) is None for _ in range(4 * ROUNDS))
    assert refused > ROUNDS


@pytest.mark.parametrize(("kind", "parse"), [("switch", switch_from_json), ("host", host_from_json)])
def test_a_damaged_desired_document_is_one_or_refused(kind, parse):
    valid, rng = json.dumps(DESIRED[kind]).encode(), random.Random(f"{kind} 1")
    assert parse(valid).generation == generation_of(valid) == 7
    for _ in range(4 * ROUNDS):
        data = damaged_json(rng, valid)
        outcome(parse, data)
        assert isinstance(generation_of(data), int)


def test_a_damaged_inventory_document_is_one_or_refused(inventory):
    valid, rng = endpoints_to_json(inventory.endpoints.values()), random.Random(1)
    assert len(endpoints_from_json(valid)) == len(inventory.endpoints)
    refused = sum(outcome(endpoints_from_json, damaged_json(rng, valid)) is None for _ in range(ROUNDS))
    assert refused > ROUNDS * 0.5


def test_a_damaged_record_is_one_or_refused(record):
    valid, parse = record
    rng = random.Random(1)
    assert parse(valid)
    refused = sum(outcome(parse, damaged_json(rng, valid)) is None for _ in range(4 * ROUNDS))
    assert refused > ROUNDS


def test_a_message_of_several_events_is_taken_apart_or_refused():
    rng = random.Random(1)
    whole = encode_lines(EVENTS)
    for _ in range(4 * ROUNDS):
        data = rng.choice((whole, damaged_json(rng, valid_events()["step-report"]), whole.replace(b"\n", b"\r\n")))
        count = rng.choice((str(len(EVENTS)), "1", "2", "0", "-1", "", " 2", "1e3", "٣", "99999", "9" * 5000, "x"))
        for line in outcome(lambda data, count=count: unpack(data, {EVENTS_HEADER: count}), data) or ():  # type: ignore[attr-defined, misc]
            outcome(event, line)
    assert len(unpack(whole, {EVENTS_HEADER: str(len(EVENTS))})) == len(EVENTS)
    assert len(unpack(b"\n" * BIG, {})) == 1


@given(st.binary(max_size=400))
def test_whatever_bytes_come(data):
    for parse in (event, sample, decode_answer, switch_from_json, host_from_json):
        outcome(parse, data)
    assert isinstance(generation_of(data), int)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(EVENTS), st.data())
def test_whatever_stands_in_a_field(valid, data):
    raw = json.loads(encode(valid))
    raw[data.draw(st.sampled_from(sorted(raw)))] = data.draw(_JSON)
    outcome(event, json.dumps(raw).encode())


BLOBS = {
    "zeros": bytes(BIG),
    "noise": blob(random.Random(1), BIG),
    "one string": b'"' + b"x" * BIG + b'"',
    "one number": b"9" * BIG,
    "arrays in arrays": nested(BIG // 2),
    "a long reason": valid_events()["step-report"].replace(b"full", b"x" * BIG),
    "many odd keys": b"{" + b",".join(b'"%0100d":0' % n for n in range(95_000)) + b"}",
}
ALLOWED = 24
"""Times its own size: what the standard library's parser makes of many small values."""


@pytest.mark.parametrize(
    "parse",
    [decode, decode_sample, decode_answer, switch_from_json, host_from_json, generation_of, endpoints_from_json],
)
@pytest.mark.parametrize("name", BLOBS)
def test_ten_megabytes_of_anything_cost_bounded_time_and_memory_and_none_stays(name, parse):
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        began = time.process_time()
        outcome(parse, BLOBS[name])
        took = time.process_time() - began
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < ALLOWED * BIG
    assert after - before < 2 * MIB
    assert took < 20


def test_a_number_of_a_million_digits_is_refused_at_once():
    began = time.process_time()
    data = valid_events()["step-report"].replace(b'"generation":7', b'"generation":' + b"7" * 1_000_000)
    assert outcome(event, data) is None
    assert time.process_time() - began < 5


def test_status_of_a_stranger_is_no_status():
    (valid,) = [data for kind, data in valid_answers().items() if kind == "service-status"]
    assert isinstance(decode_answer(valid), ServiceStatus)
    with pytest.raises(MalformedEvent, match="target"):
        decode_answer(valid.replace(b"host:h1", b"rack:h1"))
