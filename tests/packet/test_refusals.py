"""What lies outside the subset is refused by name and P4 line, before anything runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ezpath_tor.bmv2 import read_program
from ezpath_tor.codegen import generate
from ezpath_tor.plane import PlaneError, Unsupported

PROGRAM = json.loads((Path(__file__).parents[2] / "p4" / "ezpath.json").read_text())
Json = dict[str, Any]
AGE = "EzIngress.underlay.age"
"""The action whose first statement is replaced."""


def action(document: Json, name: str) -> Json:
    found: Json = next(action for action in document["actions"] if action["name"] == name)
    return found


def table(document: Json, name: str) -> Json:
    found: Json = next(table for table in document["pipelines"][0]["tables"] if table["name"] == name)
    return found


def state(document: Json, name: str) -> Json:
    found: Json = next(state for state in document["parsers"][0]["parse_states"] if state["name"] == name)
    return found


def first_primitive(document: Json, name: str, op: str, *parameters: Json) -> None:
    primitive = action(document, name)["primitives"][0]
    primitive["op"], primitive["parameters"] = op, list(parameters)


def add_loop(document: Json) -> None:
    default = state(document, "parse_inner_ports")["transitions"][0]
    default["next_state"] = "parse_inner_ethernet"


def pipeline_loop(document: Json) -> None:
    pipeline = document["pipelines"][0]
    last = next(table for table in pipeline["tables"] if table["name"].startswith("tbl_ezpath"))
    last["next_tables"][last["actions"][0]] = pipeline["init_table"]


def assign(document: Json, value: Json) -> None:
    first_primitive(document, AGE, "assign", {"type": "field", "value": ["scalars", "tmp_7"]}, value)


def wide_sum(document: Json) -> None:
    cell = {"type": "field", "value": ["scalars", "monitor_cell"]}
    total = {"type": "expression", "value": {"op": "+", "left": cell, "right": cell}}
    shifted = {"op": ">>", "left": total, "right": {"type": "hexstr", "value": "0x80"}}
    assign(document, {"type": "expression", "value": shifted})


def negative(document: Json) -> None:
    field = {"type": "field", "value": ["ipv4", "ttl"]}
    difference = {"type": "expression", "value": {"op": "-", "left": field, "right": field}}
    conditional = document["pipelines"][0]["conditionals"][0]
    zero = {"type": "hexstr", "value": "0x00"}
    conditional["expression"] = {"type": "expression", "value": {"op": "<", "left": difference, "right": zero}}


def edited(path: str, value: object) -> Callable[[Json], None]:
    """Sets ``section.index.key…`` of the JSON."""

    def edit(document: Json) -> None:
        *way, last = path.split(".")
        target: Any = document
        for step in way:
            target = target[int(step)] if isinstance(target, list) else target[step]
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value

    return edit


def with_table(name: str, **changes: object) -> Callable[[Json], None]:
    return lambda document: table(document, name).update(changes)


def with_primitive(op: str, *parameters: Json) -> Callable[[Json], None]:
    return lambda document: first_primitive(document, AGE, op, *parameters)


def match_type(kind: str) -> Callable[[Json], None]:
    def edit(document: Json) -> None:
        table(document, "EzIngress.underlay.route")["key"][0]["match_type"] = kind

    return edit


def at(thing: Json) -> str:
    """The P4 line that the compiler noted for it."""
    return f"{thing['source_info']['filename']}({thing['source_info']['line']})"


SESSION = ({"type": "hexstr", "value": "0x1"}, {"type": "hexstr", "value": "0x0"})
AT_AGE = at(action(PROGRAM, AGE)["primitives"][0])
ROUTE_LINE = at(table(PROGRAM, "EzIngress.underlay.route"))
HASH_LINE = at(
    next(
        primitive
        for each in PROGRAM["actions"]
        for primitive in each["primitives"]
        if {"type": "calculation", "value": PROGRAM["calculations"][1]["name"]} in primitive["parameters"]
    )
)
PROGRAM_FILE = "ezpath.p4"

REFUSALS: dict[str, tuple[Callable[[Json], None], str, str]] = {
    "clone": (with_primitive("clone_ingress_pkt_to_egress", *SESSION), "clone", AT_AGE),
    "resubmit": (with_primitive("resubmit", SESSION[0]), "resubmit", AT_AGE),
    "recirculate": (with_primitive("recirculate", SESSION[0]), "recirculate", AT_AGE),
    "digest": (with_primitive("generate_digest", *SESSION), "digest", AT_AGE),
    "random": (with_primitive("modify_field_rng_uniform", *SESSION), "random", AT_AGE),
    "truncate": (with_primitive("truncate", SESSION[0]), "truncate", AT_AGE),
    "meter call": (with_primitive("execute_meter", *SESSION), "meter", AT_AGE),
    "log_msg": (with_primitive("log_msg", *SESSION), "log_msg", AT_AGE),
    "unknown extern": (with_primitive("do_magic"), "do_magic", AT_AGE),
    "meter": (
        edited("meter_arrays", [{"name": "m", "source_info": {"filename": "x.p4", "line": 3}}]),
        "meter m",
        "x.p4(3)",
    ),
    "header stack": (edited("header_stacks", [{"name": "vlans"}]), "header stack vlans", PROGRAM_FILE),
    "header union": (edited("header_unions", [{"name": "u"}]), "header union u", PROGRAM_FILE),
    "value set": (edited("parse_vsets", [{"name": "pvs"}]), "parser value set pvs", PROGRAM_FILE),
    "digest list": (edited("learn_lists", [{"name": "d"}]), "digest d", PROGRAM_FILE),
    "varbit": (
        edited("header_types.5.fields.0", ["options", "*"]),
        "variable-length field ipv4_h.options",
        PROGRAM_FILE,
    ),
    "signed": (edited("header_types.6.fields.0", ["sport", 16, True]), "signed field udp_t.sport", PROGRAM_FILE),
    "multicast": (
        with_primitive("assign", {"type": "field", "value": ["standard_metadata", "mcast_grp"]}, SESSION[0]),
        *("standard_metadata.mcast_grp", AT_AGE),
    ),
    "queue depth": (
        lambda document: assign(document, {"type": "field", "value": ["standard_metadata", "enq_qdepth"]}),
        *("standard_metadata.enq_qdepth", AT_AGE),
    ),
    "ternary": (match_type("ternary"), "ternary match on prefix", ROUTE_LINE),
    "range": (match_type("range"), "range match on prefix", ROUTE_LINE),
    "optional": (match_type("optional"), "optional match on prefix", ROUTE_LINE),
    "action profile": (
        with_table("EzIngress.underlay.route", type="indirect"),
        "action profile or selector",
        ROUTE_LINE,
    ),
    "selector": (
        edited("pipelines.0.action_profiles", [{"name": "ap", "source_info": {"filename": "x.p4", "line": 9}}]),
        *("action profile ap", "x.p4(9)"),
    ),
    "direct counter": (
        with_table("EzIngress.underlay.route", with_counters=True),
        "direct counter of table",
        ROUTE_LINE,
    ),
    "direct counter array": (
        edited("counter_arrays.0.is_direct", True),
        "direct counter EzIngress.drops",
        at(PROGRAM["counter_arrays"][0]),
    ),
    "direct meter": (with_table("EzIngress.underlay.route", direct_meters="m"), "direct meter of table", ROUTE_LINE),
    "idle timeout": (with_table("EzIngress.underlay.route", support_timeout=True), "idle timeout of table", ROUTE_LINE),
    "parser loop": (add_loop, "parser loop through state parse_inner_", "parser state parse_inner_"),
    "pipeline loop": (pipeline_loop, "loop through", "ezpath"),
    "hash algorithm": (edited("calculations.1.algo", "xxh64"), "hash algorithm xxh64", HASH_LINE),
    "wide arithmetic": (wide_sum, "operator + on values wider than 64 bits", AT_AGE),
    "negative number": (
        negative,
        "comparing an untruncated result with <",
        at(PROGRAM["pipelines"][0]["conditionals"][0]),
    ),
    "operator": (
        lambda document: assign(
            document,
            {"type": "expression", "value": {"op": "two_comp_mod", "left": SESSION[0], "right": SESSION[1]}},
        ),
        *("operator two_comp_mod", AT_AGE),
    ),
    "extract with length": (
        lambda document: state(document, "parse_arp")["parser_ops"][0].update(op="extract_VL"),
        *("extract_VL in the parser", "parser state parse_arp"),
    ),
}


@pytest.mark.parametrize("construct", REFUSALS)
def test_a_construct_outside_the_subset_is_refused_by_name_and_line(construct: str) -> None:
    edit, name, where = REFUSALS[construct]
    document = copy.deepcopy(PROGRAM)
    edit(document)

    with pytest.raises(Unsupported) as refusal:
        generate(read_program(json.dumps(document).encode()))

    assert name in refusal.value.construct
    assert refusal.value.where.startswith(where)
    assert str(refusal.value).endswith("is not supported")


def test_the_program_itself_is_not_refused() -> None:
    assert generate(read_program(json.dumps(PROGRAM).encode()))


@pytest.mark.parametrize(
    "config",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"parsers": 1}', b'"text"', json.dumps({**PROGRAM, "actions": 3}).encode()],
)
def test_anything_but_bmv2_json_is_refused_and_says_what_to_do(config: bytes) -> None:
    with pytest.raises(PlaneError, match="p4c-bm2-ss"):
        read_program(config)
