"""What the server itself wants from the compiled program: does p4info fit, and what is there from the start.

Compiling it is the data plane's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from p4rt.p4info import ActionInfo, MatchField, MatchKind, P4Info, TableInfo

from ezpath_tor.bmv2.model import Action, Call, KeyField, Program
from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.plane import ActionCall, Key

_T = TypeVar("_T")

_COMPILED_KINDS = {MatchKind.OPTIONAL: "ternary"}
"""What p4c makes of kinds of match that BMv2 does not have."""


def check_fit(info: P4Info, program: Program) -> None:
    """p4info and program are of one compilation, as far as the server relies on it. Raises ``Fault``."""
    actions = {action.name: action for action in program.actions.values()}
    for table in info.tables:
        compiled = _find("table", table.name, program.tables)
        _same(f"table {table.name}", "key fields", len(table.fields), len(compiled.keys))
        for field, key in zip(table.fields, compiled.keys, strict=True):
            _check_field(table, field, key)
        names = {program.actions[action].name for action in compiled.actions}
        for action_id in table.entry_actions | table.default_actions:
            action = info.actions.by_id[action_id]
            if action.name not in names:
                raise _misfit(f"table {table.name} has no action {action.name}")
            _check_params(action, actions[action.name])
    for register in info.registers:
        array = _find("register", register.name, program.registers)
        _same(f"register {register.name}", "cells", register.size, array.size)
        _same(f"register {register.name}", "bits a cell", register.width, array.width)
    for counter in info.counters:
        size = _find("counter", counter.name, program.counters).size
        _same(f"counter {counter.name}", "cells", counter.size, size)


def _check_field(table: TableInfo, field: MatchField, key: KeyField) -> None:
    where = f"field {field.name} of table {table.name}"
    kind = _COMPILED_KINDS.get(field.kind, field.kind.name.lower())
    if kind != key.match:
        raise _misfit(f"{where} is {kind} in the one and {key.match} in the other")
    _check_width(where, field.width, key.width)


def _check_params(action: ActionInfo, compiled: Action) -> None:
    _same(f"action {action.name}", "parameters", len(action.params), len(compiled.params))
    for param, other in zip(action.params, compiled.params, strict=True):
        _check_width(f"parameter {param.name} of action {action.name}", param.width, other.width)


def _check_width(where: str, controllers: int, compiled: int) -> None:
    if controllers != compiled:
        said = f"{controllers} bits" if controllers else "a string"
        raise unimplemented(f"a translated type ({where}: {said} for controllers, {compiled} bits in the program) is")


def _find(kind: str, name: str, objects: Mapping[str, _T]) -> _T:
    if name not in objects:
        raise _misfit(f"the latter has no {kind} {name}")
    return objects[name]


def _same(what: str, unit: str, said: int, compiled: int) -> None:
    if said != compiled:
        raise _misfit(f"{what} has {said} {unit} in the one and {compiled} in the other")


def _misfit(reason: str) -> Fault:
    return invalid(f"p4info and device config are not of one program: {reason}")


def default_actions(program: Program) -> dict[str, ActionCall]:
    """Each table's default action as the program sets it, by full table name."""
    return {name: _call(program, table.default) for name, table in program.tables.items() if table.default is not None}


def initial_entries(program: Program) -> dict[str, list[tuple[Key, ActionCall]]]:
    """The entries the program comes with, by full table name."""
    return {
        name: [(entry.key, _call(program, entry.call)) for entry in table.entries]
        for name, table in program.tables.items()
    }


def _call(program: Program, call: Call) -> ActionCall:
    return ActionCall(program.actions[call.action].name, call.data)
