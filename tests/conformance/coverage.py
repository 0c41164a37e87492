"""A program that counts which of its own parts run: the same JSON with a counter cell for each.

Parts are every action, apart from them the default action of every table, and both ways out of every condition. The
switch under test counts in its own data plane, so the numbers say what really ran.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from conformance.target import Program

from p4rt import P4Info

COUNTER = "coverage"
_COUNTER_ID = 0x12ABCDEF
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that runs or not. ``source``: the P4 file it is of, where it has a statement."""

    what: str
    source: str


@dataclass(frozen=True)
class Instrumented:
    """``parts[i]`` is counted in cell ``i`` of the counter."""

    program: Program
    parts: tuple[Part, ...]


def instrument(program: Program) -> Instrumented:
    """The program, counting."""
    work = _Instrumenting(json.loads(program.config))
    work.misses()
    work.conditions()
    work.count()
    info = copy.deepcopy(program.info.proto)
    counter = info.counters.add(size=len(work.parts), spec=info.counters[0].spec)
    counter.preamble.id, counter.preamble.name, counter.preamble.alias = _COUNTER_ID, COUNTER, COUNTER
    config = json.dumps(work.program).encode()
    return Instrumented(Program(f"{program.name}, counting", P4Info(info), config), tuple(work.parts))


class _Instrumenting:
    """Makes every part an action of its own; then the actions count."""

    def __init__(self, program: _Json) -> None:
        self.program = program
        self.parts: list[Part] = []
        self._actions: dict[int, _Json] = {action["id"]: action for action in program["actions"]}
        self._what: dict[int, Part] = {}

    def misses(self) -> None:
        """Each table's default action becomes one that does the same under another name."""
        for pipeline in self.program["pipelines"]:
            for table in pipeline["tables"]:
                if table["key"]:
                    self._own_default(table)

    def conditions(self) -> None:
        """On each way out of a condition comes a table without a key, with an action that does nothing."""
        for pipeline in self.program["pipelines"]:
            for condition in pipeline["conditionals"]:
                where = condition["source_info"]
                for way, answer in (("true_next", "yes"), ("false_next", "no")):
                    what = f"line {where['line']}, if ({where['source_fragment']}): {answer}"
                    condition[way] = self._detour(pipeline, condition[way], Part(what, where["filename"]))

    def count(self) -> None:
        """Every action counts itself first. (What p4c makes of statements outside of actions are actions too.)"""
        for action in self.program["actions"]:
            index = {"type": "hexstr", "value": f"{len(self.parts):#010x}"}
            count = {"op": "count", "parameters": [{"type": "counter_array", "value": COUNTER}, index]}
            self.parts.append(self._what.get(action["id"]) or Part(f"action {action['name']}", _source_of(action)))
            action["primitives"].insert(0, count)
        arrays = self.program["counter_arrays"]
        arrays.append({"name": COUNTER, "id": len(arrays), "size": len(self.parts), "is_direct": False})

    def _own_default(self, table: _Json) -> None:
        entry = table["default_entry"]
        was = self._actions[entry["action_id"]]
        what = Part(f"table {table['name']}: no entry matches", table["source_info"]["filename"])
        new = self._add_action(f"miss_{table['name']}", what)
        new["primitives"], new["runtime_data"] = copy.deepcopy(was["primitives"]), was["runtime_data"]
        entry["action_id"] = new["id"]
        table["actions"].append(new["name"])
        table["action_ids"].append(new["id"])
        if was["name"] in table["next_tables"]:
            table["next_tables"][new["name"]] = table["next_tables"][was["name"]]

    def _detour(self, pipeline: _Json, successor: str | None, part: Part) -> str:
        action = self._add_action(f"passing_{len(self._actions)}", part)
        plain = next(table for table in pipeline["tables"] if not table["key"])
        table = copy.deepcopy(plain) | {
            "name": f"tbl_{action['name']}",
            "id": max(table["id"] for table in pipeline["tables"]) + 1,
            "action_ids": [action["id"]],
            "actions": [action["name"]],
            "base_default_next": successor,
            "next_tables": {action["name"]: successor},
        }
        table["default_entry"]["action_id"] = action["id"]
        pipeline["tables"].append(table)
        return str(table["name"])

    def _add_action(self, name: str, part: Part) -> _Json:
        action: _Json = {"name": name, "id": max(self._actions) + 1, "runtime_data": [], "primitives": []}
        self._actions[action["id"]] = action
        self._what[action["id"]] = part
        self.program["actions"].append(action)
        return action


def _source_of(action: _Json) -> str:
    return next((one["source_info"]["filename"] for one in action["primitives"] if "source_info" in one), "")


def reasons_to_drop(config: bytes) -> set[int]:
    """The constants that the program assigns to its drop reason."""
    found = set()
    for action in json.loads(config)["actions"]:
        for primitive in action["primitives"]:
            if primitive["op"] == "assign":
                target, value = primitive["parameters"]
                if target["value"][-1].endswith("drop_reason") and value["type"] == "hexstr":
                    found.add(int(value["value"], 16))
    return found
