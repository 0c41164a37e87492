"""Malformed events, from a seed: valid ones damaged in every way that the network, a bug or a stranger may damage them.

Shared by the tests of the pure decoders and by the one that publishes them to running services.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import msgpack
import numpy as np
from ezpath.accounts import Account, Course, Fill, Need, Standing, Traffic
from ezpath.answers import Changed, Installed, SagaUnderWay, ServiceStatus, to_document
from ezpath.events import (
    DeadLetter,
    DryRunDecision,
    FlowLine,
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    JsonEvent,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TableUse,
    TargetState,
    encode,
    encode_sample,
)
from ezpath.items import EndpointLocal, EndpointRemote, ReceiveRule, SendRule, TenantTag
from ezpath.names import HostName, Mac, PairId, Port, SwitchName, Tenant, VlanId, Vni

PAIR, RED = PairId("red.red-a.red-b"), Tenant("red")
TOR1, H1 = SwitchName("tor1"), HostName("h1")
MAC1, MAC2 = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")
SWITCH_ITEMS = (
    TenantTag(Port(1), VlanId(100), Vni(5001)),
    EndpointLocal(Vni(5001), MAC1, Port(1), VlanId(100)),
    EndpointRemote(Vni(5001), MAC2, "10.255.0.1", "10.255.0.2"),
)
HOST_ITEMS = (ReceiveRule(Vni(5001), VlanId(100), MAC1), SendRule(Vni(5001), MAC1, MAC2, VlanId(100)))
STATE = TargetState("host:h1", "unreachable", 1.0, 2.0, "no route", 1.5, 3)

EVENTS: tuple[JsonEvent, ...] = (
    OffloadRequested(PAIR, RED, "busy", 1e9, 1.5),
    RevertRequested(PAIR, RED, "idle", 2.5),
    SwitchCommand("s", PAIR, 7, "switch-send", TOR1, SWITCH_ITEMS, SWITCH_ITEMS[:1]),
    HostCommand("s", PAIR, 7, "host-send", H1, HOST_ITEMS, HOST_ITEMS[:1]),
    StepReport("s", PAIR, 7, "switch-send", "switch:tor1", False, "full", 1.5),
    SagaStep("s", PAIR, RED, 7, "active", "host-send", 1.0, 2.0, ("switch:tor1", "host:h1")),
    SagaOutcome("s", PAIR, RED, "active", 1.0, 2.0),
    DeadLetter("decider", "ezpath.report.x", "not JSON", "x", 1, 1.0),
    FlowsSnapshot(1.0, (FlowLine(PAIR, RED, "red-a", "red-b", 1e6, 10.0, "overlay", None, ("tor1",)),)),
    SwitchTables(TOR1, 1.0, (TableUse("endpoint", 10, 1),)),
    STATE,
    DryRunDecision(PAIR, RED, "offload", "busy", 1e9, 1.5),
    Account(
        *(PAIR, RED, 1.5, "overlay", "waits", "no room"),
        traffic=Traffic(1.0, 2.0, 3.0, 4.0, 0.5, 6.0, 7, (1.0, 2.0), True),
        standing=Standing("topk", {"k": 3.0, "fair": True}, 1.0, 2, 3, 1, None, 1.0),
        needs=(Need("tor1", "endpoint", "red-a", 2),),
        fills=(Fill("tor1", "endpoint", 3, None),),
        course=Course("drain", 1.0, 7, ("host:h1",)),
    ),
)
ANSWERS = (
    ServiceStatus(
        "decider", "m-1", "0.1.0", 1.0, 2.0, True, (STATE,), 1, 1, (SagaUnderWay(PAIR, "drain", 1.0, ("host:h1",)),)
    ),
    Installed("host:h1", 1.0, 7, 2, ("a",), ("b",), (Changed("c", "d"),), 0, ""),
)
SAMPLE = FlowSample(
    TOR1, 3, 10**9, 10**18, 0.5, *(np.arange(4, dtype=np.uint64) for _ in range(5)), collector="c", drops={"1": 2}
)
DESIRED = {
    "switch": {"generation": 7, "items": [asdict(item) for item in SWITCH_ITEMS]},
    "host": {"generation": 7, "items": [asdict(item) for item in HOST_ITEMS]},
}

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    0.5,
    2**31,
    2**63,
    2**64,
    2**2000,
    1e308,
    "",
    "x" * 5000,
    "*.>",
    "a b",
    "\u0000",
    "\ud800",
    "02:00:00:00:00:0g",
    [],
    [[]],
    {},
    {"kind": "send"},
)


def nested(depth: int) -> bytes:
    """Arrays in arrays."""
    return b"[" * depth + b"]" * depth


def blob(rng: random.Random, size: int) -> bytes:
    return rng.randbytes(1024) * (size // 1024)


def damaged_json(rng: random.Random, valid: bytes) -> bytes:
    """``valid`` with one or more things wrong, or (rarely) still right: by the version, the fields, or the bytes."""
    return rng.choice(_JSON_WAYS)(rng, valid)


def damaged_msgpack(rng: random.Random, valid: bytes) -> bytes:
    """The same for a sample."""
    return rng.choice(_MSGPACK_WAYS)(rng, valid)


def _other_version(rng: random.Random, data: bytes) -> bytes:
    return _dumps({**json.loads(data), "v": rng.choice((0, 2, 10**30, "1", None, True, [1]))})


def _without_a_field(rng: random.Random, data: bytes) -> bytes:
    raw = json.loads(data)
    place = rng.choice(list(_objects(raw)))
    del place[rng.choice(list(place))]
    return _dumps(raw)


def _with_an_odd_value(rng: random.Random, data: bytes) -> bytes:
    raw = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(list(_objects(raw)))
        place[rng.choice(list(place))] = deepcopy(rng.choice(ODD))
    return _dumps(raw)


def _another_type(rng: random.Random, data: bytes) -> bytes:
    return _dumps({**json.loads(data), "type": rng.choice(("x", 7, None, "flows", "step-report", ""))})


def _cut_off(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _bytes_changed(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _no_number(rng: random.Random, data: bytes) -> bytes:
    return data[:-1] + b',"at":' + rng.choice((b"NaN", b"-Infinity", b"1e999", b"9" * 6000, b"0x1")) + b"}"


def _not_an_object(rng: random.Random, data: bytes) -> bytes:
    return rng.choice(
        (b"", b"null", b"7", b'"x"', b"[]", b"\xff\xfe", b"\x00" * 64, b"[" + data + b"]", nested(100_000))
    )


def _deep_inside(rng: random.Random, data: bytes) -> bytes:
    raw = json.loads(data)
    key = rng.choice(list(raw))
    return _dumps({**raw, key: "@"}).replace(b'"@"', nested(rng.choice((50, 5_000, 100_000))))


_JSON_WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _other_version,
    _without_a_field,
    _with_an_odd_value,
    _with_an_odd_value,
    _another_type,
    _cut_off,
    _bytes_changed,
    _no_number,
    _not_an_object,
    _deep_inside,
)


def _odd_in_msgpack(rng: random.Random, data: bytes) -> bytes:
    body = msgpack.unpackb(data)
    odd = [value for value in ODD if not isinstance(value, int) or -(2**63) <= value < 2**64]
    for _ in range(rng.randint(1, 3)):
        body[rng.choice(list(body))] = rng.choice([*odd, b"1234567", b"\xff" * 4096, float("nan")])
    packed: bytes = msgpack.packb(body, unicode_errors="surrogatepass")
    return packed


def _absent_in_msgpack(rng: random.Random, data: bytes) -> bytes:
    body = msgpack.unpackb(data)
    del body[rng.choice(list(body))]
    packed: bytes = msgpack.packb(body)
    return packed


def _promises_too_much(rng: random.Random, _: bytes) -> bytes:
    """A few bytes that say that gigabytes follow, and arrays in arrays."""
    return rng.choice(
        (
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\xdb\x7f\xff\xff\xff",
            b"\x91" * 100_000,
        )
    )


_MSGPACK_WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _odd_in_msgpack,
    _odd_in_msgpack,
    _absent_in_msgpack,
    _promises_too_much,
    _cut_off,
    _bytes_changed,
    lambda rng, _: rng.choice((b"", b"\xc1", b"\xc0", b"\x07", b"{}", b"\xff" * 100)),
)


def _objects(raw: Any) -> Iterator[dict[str, Any]]:
    """All objects in ``raw`` that have something in them."""
    if isinstance(raw, dict):
        if raw:
            yield raw
        for value in raw.values():
            yield from _objects(value)
    elif isinstance(raw, list):
        for value in raw:
            yield from _objects(value)


def _dumps(raw: Any) -> bytes:
    return json.dumps(raw).encode()


def valid_events() -> dict[str, bytes]:
    """By type."""
    return {event.type: encode(event) for event in EVENTS}


def valid_answers() -> dict[str, bytes]:
    return {answer.type: _dumps(to_document(answer)) for answer in ANSWERS}


def valid_sample() -> bytes:
    return encode_sample(SAMPLE)
