"""The few things the server itself wants from the BMv2 JSON: do p4info and program fit, and the defaults.

Compiling it is the data plane's business.
"""

from __future__ import annotations

import json
from typing import Any

from p4rt.p4info import P4Info

from ezpath_tor.faults import invalid
from ezpath_tor.plane import ActionCall


def parse(config: bytes) -> dict[str, Any]:
    """The JSON document. Raises :class:`~ezpath_tor.faults.Fault` where it is none."""
    try:
        program = json.loads(config)
    except ValueError as error:
        raise invalid(f"the device config is no BMv2 JSON: {error}") from error
    if not isinstance(program, dict) or "pipelines" not in program:
        raise invalid("the device config is no BMv2 JSON: it has no pipelines")
    return program


def check_fit(info: P4Info, program: dict[str, Any]) -> None:
    """Every table, action, register and counter of p4info is in the program. Raises ``Fault``."""
    tables = {table["name"] for table in _tables(program)}
    has = {
        "table": (info.tables, tables),
        "action": (info.actions, {action["name"] for action in program.get("actions", [])}),
        "register": (info.registers, {array["name"] for array in program.get("register_arrays", [])}),
        "counter": (info.counters, {array["name"] for array in program.get("counter_arrays", [])}),
    }
    for kind, (wanted, present) in has.items():
        for item in wanted:
            # p4c leaves out of the JSON what nothing refers to, NoAction above all.
            if item.name not in present and kind != "action":
                raise invalid(f"p4info and device config are not of one program: no {kind} {item.name}")


def default_actions(program: dict[str, Any]) -> dict[str, ActionCall]:
    """Each table's default action as the program sets it, by full table name."""
    actions = {action["id"]: action["name"] for action in program.get("actions", [])}
    found = {}
    for table in _tables(program):
        entry = table.get("default_entry")
        if entry and entry["action_id"] in actions:
            params = tuple(int(value, 16) for value in entry.get("action_data", []))
            found[table["name"]] = ActionCall(actions[entry["action_id"]], params)
    return found


def _tables(program: dict[str, Any]) -> list[dict[str, Any]]:
    return [table for pipeline in program["pipelines"] for table in pipeline.get("tables", [])]
