"""The few things the server itself wants from the BMv2 JSON: does p4info fit, and what is there from the start.

Compiling it is the data plane's business.
"""

from __future__ import annotations

import json
from typing import Any

from p4rt.p4info import P4Info

from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.plane import ActionCall, Key, Lpm

_Json = dict[str, Any]


def parse(config: bytes) -> _Json:
    """The JSON document. Raises :class:`~ezpath_tor.faults.Fault` where it is none."""
    try:
        program = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the device config is no BMv2 JSON: {error}") from error
    if not isinstance(program, dict) or "pipelines" not in program:
        raise invalid("the device config is no BMv2 JSON: it has no pipelines")
    return program


def check_fit(info: P4Info, program: _Json) -> None:
    """p4info and program are of one compilation, as far as the server relies on it. Raises ``Fault``."""
    tables = {table["name"]: table for table in _tables(program)}
    params = {action["name"]: len(action["runtime_data"]) for action in program["actions"]}
    for table in info.tables:
        compiled = _find("table", table.name, tables)
        _same(f"table {table.name}", "key fields", len(table.fields), len(compiled["key"]))
        for action_id in table.entry_actions | table.default_actions:
            action = info.actions.by_id[action_id]
            if action.name not in compiled["actions"]:
                raise _misfit(f"table {table.name} has no action {action.name}")
            _same(f"action {action.name}", "parameters", len(action.params), params[action.name])
    registers = {array["name"]: array for array in program["register_arrays"]}
    for register in info.registers:
        compiled = _find("register", register.name, registers)
        _same(f"register {register.name}", "cells", register.size, compiled["size"])
        _same(f"register {register.name}", "bits a cell", register.width, compiled["bitwidth"])
    counters = {array["name"]: array for array in program["counter_arrays"]}
    for counter in info.counters:
        _same(f"counter {counter.name}", "cells", counter.size, _find("counter", counter.name, counters)["size"])


def _find(kind: str, name: str, objects: dict[str, _Json]) -> _Json:
    if name not in objects:
        raise _misfit(f"the latter has no {kind} {name}")
    return objects[name]


def _same(what: str, unit: str, said: int, compiled: int) -> None:
    if said != compiled:
        raise _misfit(f"{what} has {said} {unit} in the one and {compiled} in the other")


def _misfit(reason: str) -> Fault:
    return invalid(f"p4info and device config are not of one program: {reason}")


def default_actions(program: _Json) -> dict[str, ActionCall]:
    """Each table's default action as the program sets it, by full table name."""
    actions = _action_names(program)
    return {
        table["name"]: _call(table["default_entry"], actions)
        for table in _tables(program)
        if table.get("default_entry", {}).get("action_id") in actions
    }


def constant_entries(program: _Json) -> dict[str, list[tuple[Key, ActionCall]]]:
    """The entries the program comes with, by full table name. Raises ``Fault`` for kinds of match we lack."""
    actions = _action_names(program)
    return {
        table["name"]: [
            (tuple(_key(field, table["name"]) for field in entry["match_key"]), _call(entry["action_entry"], actions))
            for entry in table["entries"]
        ]
        for table in _tables(program)
        if table.get("entries")
    }


def _tables(program: _Json) -> list[_Json]:
    return [table for pipeline in program["pipelines"] for table in pipeline.get("tables", [])]


def _action_names(program: _Json) -> dict[int, str]:
    return {action["id"]: action["name"] for action in program.get("actions", [])}


def _call(entry: _Json, actions: dict[int, str]) -> ActionCall:
    return ActionCall(actions[entry["action_id"]], tuple(int(value, 16) for value in entry.get("action_data", [])))


def _key(field: _Json, table: str) -> int | Lpm:
    kind = field["match_type"]
    if kind == "exact":
        return int(field["key"], 16)
    if kind == "lpm":
        return Lpm(int(field["key"], 16), field["prefix_length"])
    raise unimplemented(f"match kind {kind} (constant entries of table {table}) is")
