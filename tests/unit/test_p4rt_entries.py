"""Entries with names, to and from protobuf: every kind of match, and everything that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from p4rt.entries import BadEntry, Update, from_proto, shorten, to_proto
from p4rt.p4info import UnknownName

from p4rt import P4Info, TableEntry, messages

EZPATH = Path(__file__).parents[2] / "p4" / "ezpath.p4info.txtpb"

EVERY_KIND = """
tables {
  preamble { id: 1 name: "In.acl" alias: "acl" }
  match_fields { id: 1 name: "exact" bitwidth: 9 match_type: EXACT }
  match_fields { id: 2 name: "lpm" bitwidth: 32 match_type: LPM }
  match_fields { id: 3 name: "ternary" bitwidth: 16 match_type: TERNARY }
  match_fields { id: 4 name: "range" bitwidth: 16 match_type: RANGE }
  match_fields { id: 5 name: "optional" bitwidth: 8 match_type: OPTIONAL }
  action_refs { id: 10 }
  size: 8
}
actions {
  preamble { id: 10 name: "In.set" alias: "set" }
  params { id: 1 name: "port" bitwidth: 9 }
  params { id: 2 name: "mac" bitwidth: 48 }
}
actions { preamble { id: 11 name: "In.drop" alias: "drop" } }
"""


@pytest.fixture
def info() -> P4Info:
    return P4Info(text_format.Parse(EVERY_KIND, messages.P4Info()))


FULL = TableEntry(
    "acl",
    {"exact": 1, "lpm": (0x0A000000, 8), "ternary": (0x10, 0xF0), "range": (1, 9), "optional": 6},
    "set",
    {"port": 511, "mac": 2**48 - 1},
    priority=5,
)


def test_an_entry_with_every_kind_of_match_comes_back_as_it_was(info: P4Info) -> None:
    assert from_proto(to_proto(FULL, info), info) == FULL


def test_full_names_and_short_names_mean_the_same(info: P4Info) -> None:
    long = TableEntry("In.acl", FULL.match, "In.set", FULL.params, FULL.priority)
    assert to_proto(long, info) == to_proto(FULL, info)
    assert shorten(long, info) == FULL


def test_fields_that_do_not_care_are_left_out(info: P4Info) -> None:
    entry = TableEntry("acl", {"exact": 1}, "set", {"port": 1, "mac": 2}, priority=1)
    assert [match.field_id for match in to_proto(entry, info).match] == [1]
    assert from_proto(to_proto(entry, info), info) == entry


def test_values_travel_in_as_few_bytes_as_they_need(info: P4Info) -> None:
    proto = to_proto(FULL, info)
    assert proto.match[0].exact.value == b"\x01"
    assert proto.action.action.params[0].value == b"\x01\xff"


def test_zero_padded_values_are_read(info: P4Info) -> None:
    proto = to_proto(FULL, info)
    proto.match[0].exact.value = b"\x00\x00\x00\x01"
    assert from_proto(proto, info) == FULL


def test_equal_entries_hash_alike_whatever_the_order_they_were_written_in() -> None:
    one = TableEntry("t", {"a": 1, "b": 2}, "act", {"x": 1, "y": 2})
    other = TableEntry("t", {"b": 2, "a": 1}, "act", {"y": 2, "x": 1})
    assert {one} == {other}
    assert one != TableEntry("t", {"a": 1, "b": 3}, "act", {"x": 1, "y": 2})


def test_an_update_says_in_words_what_it_is() -> None:
    entry = TableEntry("endpoint", {"vni": 5001, "mac": 0x020000000001}, "to_port", {"port": 1, "vid": 7})
    assert str(Update.insert(entry)) == ("INSERT endpoint[vni=0x1389, mac=0x20000000001] -> to_port(port=0x1, vid=0x7)")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"table": "none"}, "INVALID_ARGUMENT", "the program has no table 'none'; it has acl"),
        ({"action": "none"}, "INVALID_ARGUMENT", "no action 'none'"),
        ({"match": {"exact": 1, "nope": 1}}, "INVALID_ARGUMENT", "table acl has no match field nope"),
        ({"match": {"exact": (1, 2)}}, "INVALID_ARGUMENT", "field exact of table acl is EXACT: it takes one number"),
        ({"match": {"exact": 1, "lpm": 1}}, "INVALID_ARGUMENT", "field lpm of table acl is LPM: it takes a pair"),
        ({"match": {"exact": 512}}, "OUT_OF_RANGE", "field exact of table acl: 512 does not fit in 9 bits"),
        ({"params": {"port": 1}}, "INVALID_ARGUMENT", r"action set takes \(mac, port\), not \(port\)"),
        ({"params": {"port": 512, "mac": 1}}, "OUT_OF_RANGE", "parameter port of action set: 512"),
    ],
)
def test_an_entry_that_does_not_fit_the_program_is_not_sent(
    info: P4Info, change: dict[str, Any], code: str, message: str
) -> None:
    fields = {"table": "acl", "match": FULL.match, "action": "set", "params": FULL.params, "priority": 1}
    with pytest.raises(BadEntry, match=message) as caught:
        to_proto(TableEntry(**{**fields, **change}), info)
    assert caught.value.code is grpc.StatusCode[code]


def _edit(proto: messages.TableEntry, what: str) -> None:
    """Break a good entry in the way ``what`` names."""
    match, params = proto.match, proto.action.action.params
    changes: dict[str, Any] = {
        "unknown table": lambda: setattr(proto, "table_id", 99),
        "unknown field": lambda: setattr(match[1], "field_id", 77),
        "exact missing": lambda: match.pop(0),
        "field twice": lambda: match.add().CopyFrom(match[0]),
        "wrong kind": lambda: setattr(match[0].ternary, "mask", b"\x01"),
        "no kind": lambda: match[0].ClearField("exact"),
        "empty value": lambda: setattr(match[0].exact, "value", b""),
        "too wide": lambda: setattr(match[0].exact, "value", b"\x02\x00"),
        "prefix 0": lambda: setattr(match[1].lpm, "prefix_len", 0),
        "prefix 33": lambda: setattr(match[1].lpm, "prefix_len", 33),
        "prefix negative": lambda: setattr(match[1].lpm, "prefix_len", -1),
        "bits behind prefix": lambda: setattr(match[1].lpm, "value", b"\x0a\x00\x00\x01"),
        "mask 0": lambda: setattr(match[2].ternary, "mask", b"\x00"),
        "bits outside mask": lambda: setattr(match[2].ternary, "value", b"\x11"),
        "empty range": lambda: setattr(match[3].range, "low", b"\x0a"),
        "whole range": lambda: match[3].range.MergeFrom(messages.FieldMatch.Range(low=b"\x00", high=b"\xff\xff")),
        "unknown action": lambda: setattr(proto.action.action, "action_id", 99),
        "other table's action": lambda: setattr(proto.action.action, "action_id", 11),
        "member": lambda: setattr(proto.action, "action_profile_member_id", 1),
        "parameter missing": lambda: params.pop(),
        "parameter twice": lambda: params.add().CopyFrom(params[0]),
        "parameter unknown": lambda: params.add(param_id=9, value=b"\x01"),
        "parameter empty": lambda: setattr(params[0], "value", b""),
        "parameter too wide": lambda: setattr(params[0], "value", b"\x02\x00"),
    }
    changes[what]()


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("unknown table", "NOT_FOUND", "no table with id 99"),
        ("unknown field", "INVALID_ARGUMENT", "no match field with id 77"),
        ("exact missing", "INVALID_ARGUMENT", "exact field exact is missing"),
        ("field twice", "INVALID_ARGUMENT", "match field id 1 is given twice"),
        ("wrong kind", "INVALID_ARGUMENT", "field exact of table acl is EXACT, but the entry gives ternary"),
        ("no kind", "INVALID_ARGUMENT", "the entry gives no value"),
        ("empty value", "OUT_OF_RANGE", "an empty byte string is no value"),
        ("too wide", "OUT_OF_RANGE", "0x0200 does not fit in 9 bits"),
        ("prefix 0", "INVALID_ARGUMENT", "left out, not given with prefix length 0"),
        ("prefix 33", "INVALID_ARGUMENT", "prefix length 33 is not in 1..32"),
        ("prefix negative", "INVALID_ARGUMENT", "prefix length -1 is not in 1..32"),
        ("bits behind prefix", "INVALID_ARGUMENT", "has bits set behind its prefix"),
        ("mask 0", "INVALID_ARGUMENT", "left out, not given with mask 0"),
        ("bits outside mask", "INVALID_ARGUMENT", "has bits outside its mask"),
        ("empty range", "INVALID_ARGUMENT", "is empty"),
        ("whole range", "INVALID_ARGUMENT", "left out, not given as the whole range"),
        ("unknown action", "INVALID_ARGUMENT", "table acl has no action with id 99"),
        ("other table's action", "INVALID_ARGUMENT", "table acl has no action drop"),
        ("member", "INVALID_ARGUMENT", "table acl is direct"),
        ("parameter missing", "INVALID_ARGUMENT", "parameter mac of action set is missing"),
        ("parameter twice", "INVALID_ARGUMENT", "parameter id 1 is given twice"),
        ("parameter unknown", "INVALID_ARGUMENT", "action set has no parameter with id 9"),
        ("parameter empty", "OUT_OF_RANGE", "parameter port of action set: an empty byte string"),
        ("parameter too wide", "OUT_OF_RANGE", "parameter port of action set"),
    ],
)
def test_a_written_entry_that_is_wrong_is_refused_with_its_code(
    info: P4Info, what: str, code: str, message: str
) -> None:
    proto = to_proto(FULL, info)
    _edit(proto, what)
    with pytest.raises(BadEntry, match=message) as caught:
        from_proto(proto, info)
    assert caught.value.code is grpc.StatusCode[code]


def test_names_ids_widths_and_sizes_of_our_own_program_are_found() -> None:
    info = P4Info.load(EZPATH)
    endpoint = info.tables["endpoint"]
    assert info.tables["EzIngress.tunnel.endpoint"] is endpoint
    assert [(field.name, field.width) for field in endpoint.fields] == [("vni", 24), ("mac", 48)]
    assert [param.name for param in info.actions["to_tunnel"].params] == ["local_ip", "vtep"]
    assert (info.registers["stage1"].size, info.registers["stage1"].width_bytes) == (16384, 32)
    assert info.counters["drops"].size == 16


def test_an_unknown_name_says_which_names_there_are() -> None:
    with pytest.raises(UnknownName, match="no counter 'drop'; it has drops, unmonitored"):
        P4Info.load(EZPATH).counters["drop"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables { preamble { id: 1 } action_refs { id: 9 } }", "action id 9"),
        ('actions { preamble { id: 1 name: "a" } } actions { preamble { id: 1 name: "b" } }', "the same id or name"),
        ("nonsense", "is no p4info"),
    ],
)
def test_a_p4info_file_that_contradicts_itself_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.p4info.txtpb"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        P4Info.load(path)
    assert str(path) in str(caught.value)
