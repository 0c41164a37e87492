"""Events to bytes and back, and what is not taken for one."""

from __future__ import annotations

import json
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from ezpath.bus.deadletter import KEPT_BYTES, dead_letter
from ezpath.events import (
    Account,
    DeadLetter,
    DryRunDecision,
    FlowLine,
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    JsonEvent,
    MalformedEvent,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TableUse,
    decode,
    decode_sample,
    encode,
    encode_sample,
    subject_of,
)
from ezpath.items import EndpointLocal, EndpointRemote, ReceiveRule, SendRule, TenantTag
from ezpath.names import HostName, Mac, PairId, Port, SwitchName, Tenant, VlanId, Vni
from ezpath.samples import Assembler, split
from hypothesis import given
from hypothesis import strategies as st

PAIR, RED, TOR1 = PairId("red.red-1.red-3"), Tenant("red"), SwitchName("tor1")
MAC1, MAC3 = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:03")
TAG = TenantTag(Port(1), VlanId(100), Vni(5001))
LOCAL = EndpointLocal(Vni(5001), MAC1, Port(1), VlanId(100))
REMOTE = EndpointRemote(Vni(5001), MAC3, "10.255.0.1", "10.255.0.2")
RULES = (ReceiveRule(Vni(5001), VlanId(100), MAC1), SendRule(Vni(5001), MAC1, MAC3, VlanId(100)))

EVENTS: dict[str, JsonEvent] = {
    "ezpath.decision.offload.red.red-1.red-3": OffloadRequested(PAIR, RED, "busy", 1e9, 1.5),
    "ezpath.decision.revert.red.red-1.red-3": RevertRequested(PAIR, RED, "idle", 1.5),
    "ezpath.dryrun.offload.red.red-1.red-3": DryRunDecision(PAIR, RED, "offload", "busy", 1e9, 1.5),
    "ezpath.why.red.red-1.red-3": Account(PAIR, RED, 1.5, "overlay", "stays", "idle"),
    "ezpath.command.switch.tor1": SwitchCommand(
        "s", PAIR, 3, "switch-send", SwitchName("tor1"), (TAG, REMOTE), (LOCAL,)
    ),
    "ezpath.command.host.h11": HostCommand("s", PAIR, 3, "host-send", HostName("h11"), RULES),
    "ezpath.report.switch.tor1": StepReport("s", PAIR, 3, "switch-send", "switch:tor1", False, "full", 2.5),
    "ezpath.saga.step.red.red-1.red-3": SagaStep("s", PAIR, RED, 3, "active", "host-send", 2.0, 3.0, ("host:h11",)),
    "ezpath.saga.outcome.red.red-1.red-3": SagaOutcome("s", PAIR, RED, "rolled-back", 2.0, 3.0, "full"),
    "ezpath.deadletter.decider": DeadLetter("decider", "ezpath.report.x", "not JSON", "\x00", 1, 2.0),
    "ezpath.flows": FlowsSnapshot(1.0, (FlowLine(PAIR, RED, "red-1", "red-3", 1e6, 9.0, "overlay", None, ("tor1",)),)),
    "ezpath.tables.tor1": SwitchTables(TOR1, 1.0, (TableUse("endpoint", 65536, 12),)),
}


@pytest.mark.parametrize("subject", EVENTS)
def test_every_event_survives_the_wire_and_has_its_subject(subject):
    event = EVENTS[subject]
    assert decode(encode(event)) == event
    assert subject_of(event) == subject


def test_an_event_is_one_legible_json_object_with_its_version_first():
    data = encode(EVENTS["ezpath.report.switch.tor1"])
    assert data.startswith(b'{"v":1,')
    assert json.loads(data)["reason"] == "full"


def test_fields_of_a_later_version_are_ignored():
    raw = {**json.loads(encode(EVENTS["ezpath.flows"])), "colour": "blue"}
    assert decode(json.dumps(raw).encode()) == EVENTS["ezpath.flows"]


def changed(subject: str, **fields: object) -> bytes:
    return json.dumps({**json.loads(encode(EVENTS[subject])), **fields}).encode()


COMMAND, REPORT, STEP = "ezpath.command.switch.tor1", "ezpath.report.switch.tor1", "ezpath.saga.step.red.red-1.red-3"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "not a JSON object but NoneType"),
        (b"[]", "not a JSON object but list"),
        (b"{}", "version None"),
        (b'{"v":2,"type":"step-report"}', "version 2"),
        (b'{"v":true,"type":"step-report"}', "version True"),
        (b'{"v":1}', "type"),
        (b'{"v":1,"type":"flow-sample"}', "flow-sample"),
        (b'{"v":1,"type":"revert-requested"}', "pair"),
        (changed(REPORT, ok="true"), "ok"),
        (changed(REPORT, ok=1), "ok"),
        (changed(REPORT, generation="3"), "generation"),
        (changed(REPORT, generation=3.5), "generation"),
        (changed(REPORT, phase="somewhere"), "phase"),
        (changed(REPORT, target="tor1"), "target"),
        (changed(REPORT, target="switch:*"), "target"),
        (changed(REPORT, took_ms=None), "took_ms"),
        (encode(EVENTS[REPORT]).replace(b"2.5", b"NaN"), "NaN"),
        (changed(STEP, pair="red.*.red-3"), "pair"),
        (changed(STEP, pair="red.red 1.red-3"), "pair"),
        (changed(STEP, pair="red.red-1"), "pair"),
        (changed(STEP, pair="red.red-1.red-3.x"), "pair"),
        (changed(COMMAND, switch="tor1.x"), "switch"),
        (changed(COMMAND, switch=""), "switch"),
        (changed(COMMAND, put=[{"kind": "endpoint-local"}]), "put.0"),
        (changed(COMMAND, put=[{"kind": "receive", "vni": 1, "vid": 1, "mac": MAC1}]), "put.0"),
        (changed(COMMAND, put=[{"kind": "endpoint-local", "vni": 1, "mac": "zz", "port": 1, "vid": 1}]), "mac"),
        (changed(COMMAND, remove=[{**json.loads(changed(COMMAND))["put"][1], "vtep": "10.0.0.300"}]), "vtep"),
        (changed(COMMAND, put="all"), "put"),
    ],
)
def test_what_is_malformed_is_refused_in_one_line_that_says_why(data, reason):
    with pytest.raises(MalformedEvent) as refused:
        decode(data)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_be_malformed(data):
    for parse in (decode, decode_sample):
        with pytest.raises(MalformedEvent):
            parse(data)


def sample(flows: int = 3) -> FlowSample:
    column = np.arange(flows, dtype=np.uint64) + np.uint64(2**47)
    return FlowSample(SwitchName("tor1"), 7, 1, 2, 0.5, column, column, column + 1, column, column, "c", {"3": 9})


def test_a_sample_survives_the_wire():
    before = sample()
    after = decode_sample(encode_sample(before))
    for name in ("switch", "sequence", "monotonic_ns", "wall_ns", "interval_s", "collector", "drops"):
        assert getattr(after, name) == getattr(before, name)
    for name in ("vni", "src", "dst", "packets", "bytes"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == np.uint64


def test_an_empty_sample_is_a_sample():
    assert len(decode_sample(encode_sample(sample(0))).vni) == 0


def test_a_sample_in_parts_is_put_together_in_any_order():
    whole, assembler = sample(10), Assembler()
    parts = [decode_sample(encode_sample(part)) for part in split(whole, 4)]
    assert [len(part.vni) for part in parts] == [4, 4, 2]
    assert assembler.add(parts[2]) is None and assembler.add(parts[0]) is None
    again = assembler.add(parts[1])
    assert again is not None and np.array_equal(again.src, whole.src) and again.drops == whole.drops


def test_a_poll_with_a_lost_part_is_dropped_and_the_next_one_is_whole():
    assembler = Assembler()
    first, later = list(split(sample(10), 4)), list(split(replace(sample(10), sequence=8), 4))
    assert assembler.add(first[0]) is None and assembler.add(first[1]) is None
    wholes = [assembler.add(part) for part in later]
    assert wholes[:2] == [None, None] and wholes[2] is not None and wholes[2].sequence == 8


def test_a_small_sample_is_left_in_one_piece():
    one = sample()
    assert list(split(one, 3)) == [one] and Assembler().add(one) is one


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"v": 2}, "version 2"),
        ({"type": "x"}, "not a flow sample"),
        ({"switch": 7}, "switch"),
        ({"switch": "tor.1"}, "switch"),
        ({"sequence": True}, "sequence"),
        ({"interval_s": "1"}, "interval_s"),
        ({"interval_s": float("nan")}, "interval_s"),
        ({"interval_s": -1.0}, "interval_s"),
        ({"part": 3, "parts": 3}, "part"),
        ({"vni": b"1234567"}, "vni"),
        ({"packets": [1, 2, 3]}, "packets"),
        ({"bytes": b""}, "different lengths"),
        ({"drops": [1]}, "drops"),
        ({"drops": {"1": "many"}}, "drops"),
    ],
)
def test_a_malformed_sample_is_refused(fields, reason):
    body = {**msgpack.unpackb(encode_sample(sample())), **fields}
    with pytest.raises(MalformedEvent, match=reason):
        decode_sample(msgpack.packb(body))


def test_a_dead_letter_keeps_the_payload_as_text_or_hexadecimal_and_not_more_than_it_may():
    assert dead_letter("s", "x", "r", b"caf\xc3\xa9", 1.0).payload == "café"
    assert dead_letter("s", "x", "r", b"\xff\x00", 1.0).payload == "hex:ff00"
    long = dead_letter("s", "x", "r", b"a" * 100_000, 1.0)
    assert (len(long.payload), long.payload_bytes) == (KEPT_BYTES, 100_000)
