"""What lies outside the subset is refused by name and P4 line, before anything runs.

Each program in ``programs/refused`` has one such construct. Its second line says in words what that is, and the words
``// refused`` stand behind the P4 line that the refusal has to name; where p4c notes no line, the refusal names the
program and the place in the JSON.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ezpath_tor.bmv2 import read_program
from ezpath_tor.codegen import generate
from ezpath_tor.plane import Malformed, PlaneError, Unsupported

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SHARED = PROGRAMS / "refused" / "skeleton.p4"
NOTHING = PROGRAMS / "refused" / "nothing.p4"
REFUSED = sorted(path for path in (PROGRAMS / "refused").glob("*.p4") if path not in (SHARED, NOTHING))
SUBSET = ROOT / "docs" / "P4-SUBSET.md"
PROGRAM = json.loads((ROOT / "p4" / "ezpath.json").read_text())
Json = dict[str, Any]


def load(config: bytes) -> str:
    """All that a load does before clang."""
    return generate(read_program(config))


def refusal_of(program: Path) -> Unsupported:
    with pytest.raises(Unsupported) as refusal:
        load(program.with_suffix(".json").read_bytes())
    return refusal.value


def title_of(program: Path) -> str:
    return program.read_text().splitlines()[1].removeprefix("// ")


def marked_lines(program: Path) -> list[int]:
    return [number for number, line in enumerate(program.read_text().splitlines(), 1) if line.endswith("// refused")]


@pytest.mark.parametrize("program", REFUSED, ids=lambda path: path.stem)
def test_a_program_outside_the_subset_is_refused_with_the_construct_and_its_p4_line(program: Path) -> None:
    refusal, marked = refusal_of(program), marked_lines(program)

    if marked:
        assert refusal.where == f"{program.name}:{marked[0]}"
    else:
        assert re.fullmatch(rf"{program.name}, .*\[\d+\] of the JSON", refusal.where)
    assert str(refusal) == f"{refusal.where}: {refusal.construct} is not supported"


def test_without_its_construct_nothing_is_refused() -> None:
    """What is refused is the one thing, and not what every one of these programs has."""
    assert load(NOTHING.with_suffix(".json").read_bytes())


def test_the_table_in_the_documentation_is_what_the_switch_says() -> None:
    rows = [f"| {title_of(program)} | `{refusal_of(program)}` |" for program in REFUSED]
    documented = [line for line in SUBSET.read_text().splitlines() if line.endswith("is not supported` |")]

    assert documented == rows, "the table has to be:\n" + "\n".join(rows)


def test_what_is_committed_was_compiled_from_the_sources_beside_it() -> None:
    command = [sys.executable, str(PROGRAMS / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- what p4c itself does not let through, or not in this version


def action(document: Json, name: str) -> Json:
    found: Json = next(action for action in document["actions"] if action["name"] == name)
    return found


def state(document: Json, name: str) -> Json:
    found: Json = next(state for state in document["parsers"][0]["parse_states"] if state["name"] == name)
    return found


def with_primitive(op: str, *parameters: Json) -> Callable[[Json], None]:
    """The first statement of some action becomes another one."""

    def edit(document: Json) -> None:
        primitive = document["actions"][0]["primitives"][0]
        primitive["op"], primitive["parameters"] = op, list(parameters)

    return edit


def first_line() -> str:
    info = PROGRAM["actions"][0]["primitives"][0]["source_info"]
    return f"{info['filename']}:{info['line']}"


def pipeline_loop(document: Json) -> None:
    """The last table before the end goes on at the first one."""
    pipeline = document["pipelines"][0]
    last = next(table for table in pipeline["tables"] if table["base_default_next"] is None)
    last["base_default_next"] = pipeline["init_table"]
    last["next_tables"] = dict.fromkeys(last["next_tables"], pipeline["init_table"])


def negative(document: Json) -> None:
    field = {"type": "field", "value": ["ipv4", "ttl"]}
    difference = {"type": "expression", "value": {"op": "-", "left": field, "right": field}}
    zero = {"type": "hexstr", "value": "0x00"}
    comparison = {"type": "expression", "value": {"op": "<", "left": difference, "right": zero}}
    document["pipelines"][0]["conditionals"][0]["expression"] = comparison


SESSION = ({"type": "hexstr", "value": "0x1"}, {"type": "hexstr", "value": "0x0"})

EDITS: dict[str, tuple[Callable[[Json], None], str, str]] = {
    "an unknown extern": (with_primitive("do_magic"), "do_magic", first_line()),
    "an instance of one": (
        lambda document: document.update(extern_instances=[{"name": "mine", "id": 0}]),
        *("extern instance mine", "ezpath.p4, extern_instances[0] of the JSON"),
    ),
    "an older way to clone": (with_primitive("clone_egress_pkt_to_egress", *SESSION), "clone", first_line()),
    "a jump inside an action": (
        with_primitive("_jump", SESSION[0]),
        *("conditional jump inside an action", first_line()),
    ),
    "a loop of tables": (pipeline_loop, "a loop through", "ezpath"),
    "a number that may be negative": (negative, "comparing an untruncated result with <", "ezpath"),
    "an unknown operator": (
        with_primitive(
            "assign",
            {"type": "field", "value": ["ipv4", "ttl"]},
            {"type": "expression", "value": {"op": "**", "left": SESSION[0], "right": SESSION[1]}},
        ),
        *("operator **", first_line()),
    ),
    "another kind of match": (
        lambda document: next(t for t in document["pipelines"][0]["tables"] if t["key"])["key"][0].update(
            match_type="fuzzy"
        ),
        *("fuzzy match on", "ezpath"),
    ),
    "an unknown parser operation": (
        lambda document: document["parsers"][0]["parse_states"][0]["parser_ops"][0].update(op="guess"),
        *("guess in the parser", "ezpath.p4, "),
    ),
}


@pytest.mark.parametrize("construct", EDITS)
def test_what_p4c_does_not_write_today_is_refused_by_name_too(construct: str) -> None:
    edit, name, where = EDITS[construct]
    document = copy.deepcopy(PROGRAM)
    edit(document)

    with pytest.raises(Unsupported) as refusal:
        load(json.dumps(document).encode())

    assert name in refusal.value.construct
    assert refusal.value.where.startswith(where)


def test_the_program_itself_is_not_refused() -> None:
    assert load(json.dumps(PROGRAM).encode())


@pytest.mark.parametrize(
    "config",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"parsers": 1}', b'"text"', json.dumps({**PROGRAM, "actions": 3}).encode()],
)
def test_anything_but_bmv2_json_is_refused_and_says_what_to_do(config: bytes) -> None:
    with pytest.raises(Malformed, match="compile the program with p4c-bm2-ss"):
        read_program(config)


def test_two_names_that_become_one_in_c_are_told() -> None:
    document = copy.deepcopy(PROGRAM)
    array = document["counter_arrays"][0]
    document["counter_arrays"].append({**array, "name": array["name"].replace(".", "_"), "id": 99})
    with pytest.raises(PlaneError, match="become the same C name"):
        load(json.dumps(document).encode())
