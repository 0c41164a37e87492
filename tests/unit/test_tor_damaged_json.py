"""Damaged compiler output: each is refused with what is wrong and where, or is a program still; never an accident."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ezpath_tor.bmv2 import read_program
from ezpath_tor.codegen import generate
from ezpath_tor.plane import Malformed, PlaneError

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "stacks": ROOT / "tests" / "packet" / "programs" / "stacks.json",
    "matches": ROOT / "tests" / "packet" / "programs" / "matches.json",
    "l3_router": ROOT / "tor" / "examples" / "l3_router.json",
    "acl_sketch": ROOT / "tor" / "examples" / "acl_sketch.json",
    "features": ROOT / "tests" / "packet" / "programs" / "features.json",
}
MUTATIONS = {"stacks": 900, "matches": 900, "l3_router": 150, "acl_sketch": 100, "features": 50}

Json = dict[str, Any]
Place = tuple[Any, Any]
"""A list or an object of the document, and one index or key of it."""


def load(document: Json) -> str:
    return generate(read_program(json.dumps(document).encode()))


def places(value: Any) -> list[Place]:
    """Everything that can be damaged; what is only there for people is not."""
    found: list[Place] = []
    if isinstance(value, dict):
        found = [(value, key) for key in value if key not in ("source_info", "column", "source_fragment")]
    elif isinstance(value, list):
        found = [(value, index) for index in range(len(value))]
    return found + [place for container, key in found for place in places(container[key])]


SCALARS = (None, True, False, 0, 1, -1, 7, 2**31, 2**40, 1.5, "", "x", "0x", "0xzz", "-0x1", "*", "0x" + "f" * 5000)
OTHERS = ([], {}, [[]], ["scalars"], {"type": "field"}, {"type": "expression", "value": {}}, "a\nb\\", "\u20ac; }")


def damage(source: random.Random, found: list[Place]) -> Callable[[], None]:
    """Changes one place; returns what undoes it."""
    container, key = source.choice(found)
    before = container[key]
    kind = source.randrange(6)
    if kind == 0 and isinstance(container, dict):
        del container[key]
    elif kind == 1 and isinstance(container, list):
        container.insert(key, before)
        return lambda: container.pop(key)
    elif kind == 2 and isinstance(container, list):
        container.pop(key)
        return lambda: container.insert(key, before)
    elif kind == 3 and isinstance(before, int) and not isinstance(before, bool):
        container[key] = before + source.choice((-1, 1, 100, 10**6))
    elif kind == 4:
        other, elsewhere = source.choice(found)
        container[key] = copy.deepcopy(other[elsewhere])
    else:
        container[key] = source.choice(SCALARS + OTHERS)

    def undo() -> None:
        container[key] = before

    return undo


@pytest.mark.parametrize("name", PROGRAMS)
def test_random_damage_is_refused_with_a_reason_or_does_no_harm(name: str) -> None:
    document = json.loads(PROGRAMS[name].read_text())
    source, found = random.Random(name), places(document)
    untouched = json.dumps(document, sort_keys=True)
    refused, named = 0, 0
    for _ in range(MUTATIONS[name]):
        undo = damage(source, found)
        try:
            assert load(document)
        except PlaneError as error:  # and nothing else
            refused += 1
            named += bool(
                re.search(r"writes it: [a-z_]+[\w.\[\]$]*: .+; compile the program with", str(error), re.DOTALL)
            )
        undo()
    assert refused > MUTATIONS[name] // 4, "else the damage does not reach what is read"
    assert named > refused // 2, "most of it is told with its place in the document"
    assert json.dumps(document, sort_keys=True) == untouched


WRONG: dict[str, tuple[Callable[[Json], object], str]] = {
    "a member that is missing": (
        lambda json: constant(json)["key"][0].pop("target"),
        ".key[0]: 'target' is missing",
    ),
    "a string where a number belongs": (
        lambda json: json["actions"][2].update(id="2"),
        'actions[2].id: "2" is not a number',
    ),
    "a negative size": (
        lambda json: json["pipelines"][0]["tables"][1].update(max_size=-5),
        "pipelines[0].tables[1].max_size: -5 is not in 0..4294967295",
    ),
    "a table that nobody has": (
        lambda json: json["pipelines"][0].update(init_table="nowhere"),
        'pipelines[0].init_table: the program has no table or condition "nowhere"',
    ),
    "an action that nobody has": (
        lambda json: json["pipelines"][0]["tables"][1].update(action_ids=[99]),
        "pipelines[0].tables[1].action_ids[0]: the program has no action with id 99",
    ),
    "a state that nobody has": (
        lambda json: json["parsers"][0].update(init_state="x"),
        'parsers[0].init_state: the program has no parser state "x"',
    ),
    "a field that its header has not": (
        lambda json: constant(json)["key"][0].update(target=["q", "zz"]),
        ".key[0].target: header q has no field zz",
    ),
    "two of one name": (
        lambda json: json["headers"].append(json["headers"][0]),
        'headers[4].name: "scalars" is there twice',
    ),
    "an entry with too few fields": (
        lambda json: constant(json)["entries"][0]["match_key"].pop(),
        ".entries[0].match_key: has 1 elements and not 2",
    ),
    "a constant that does not fit": (
        lambda json: constant(json)["entries"][0]["match_key"][0].update(mask="0x10000"),
        ".entries[0].match_key[0].mask: 0x10000 does not fit 16 bits",
    ),
    "a number that is none": (
        lambda json: constant(json)["entries"][0]["match_key"][0].update(mask="0xg"),
        '.entries[0].match_key[0].mask: "0xg" is no hexadecimal number',
    ),
    "no ingress": (
        lambda json: json["pipelines"][0].update(name="in"),
        "pipelines: there is no pipeline ingress",
    ),
}


def constant(document: Json) -> Json:
    found: Json = next(table for table in document["pipelines"][0]["tables"] if table["name"] == "Ask.constant")
    return found


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place(case: str) -> None:
    document = json.loads(PROGRAMS["matches"].read_text())
    damaged, message = WRONG[case]
    damaged(document)
    with pytest.raises(Malformed) as caught:
        load(document)
    assert message in str(caught.value)


def test_what_is_nested_too_deep_is_refused_by_name() -> None:
    document = json.loads(PROGRAMS["matches"].read_text())
    expression: Any = {"type": "hexstr", "value": "0x1"}
    for _ in range(200):
        expression = {"type": "expression", "value": {"op": "~", "left": None, "right": expression}}
    document["pipelines"][0]["conditionals"][0]["expression"] = expression
    with pytest.raises(PlaneError, match="nested more than 100 deep"):
        load(document)
