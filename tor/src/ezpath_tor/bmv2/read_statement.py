"""Primitives: the statements of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ezpath_tor.bmv2.language import (
    Assign,
    AssignHeader,
    Count,
    Exit,
    HashInto,
    MarkToDrop,
    Nothing,
    RegisterRead,
    RegisterWrite,
    SetInvalid,
    SetValid,
    Source,
    Statement,
)
from ezpath_tor.bmv2.model import STANDARD_METADATA
from ezpath_tor.bmv2.read_expr import Scope, read_expr
from ezpath_tor.bmv2.source import source_of

REFUSED = {
    "clone_ingress_pkt_to_egress": "clone",
    "clone_egress_pkt_to_egress": "clone",
    "generate_digest": "digest",
    "execute_meter": "meter",
    "modify_field_rng_uniform": "random",
    "_jump": "conditional jump inside an action",
    "_jump_if_zero": "conditional jump inside an action",
}
"""What P4 programmers call primitives whose JSON name they have never seen."""


def read_statement(primitive: Mapping[str, Any], scope_at: Callable[[Source], Scope], enclosing: Source) -> Statement:
    """One primitive, or :class:`~ezpath_tor.plane.Unsupported` with its P4 name and line."""
    source = source_of(primitive, enclosing)
    scope = scope_at(source)
    op, args = primitive["op"], primitive["parameters"]
    match op:
        case "assign":
            return Assign(scope.target(args[0]), read_expr(args[1], scope), source)
        case "assign_header":
            return AssignHeader(_header(args[0], scope), _header(args[1], scope), source)
        case "add_header":
            return SetValid(_header(args[0], scope), source)
        case "remove_header":
            return SetInvalid(_header(args[0], scope), source)
        case "mark_to_drop" | "drop":
            return MarkToDrop(source)
        case "register_read":
            return RegisterRead(
                scope.target(args[0]), _named(args[1], "register_array", scope), read_expr(args[2], scope), source
            )
        case "register_write":
            register = _named(args[0], "register_array", scope)
            return RegisterWrite(register, read_expr(args[1], scope), read_expr(args[2], scope), source)
        case "count":
            return Count(_named(args[0], "counter_array", scope), read_expr(args[1], scope), source)
        case "modify_field_with_hash_based_offset":
            return HashInto(
                target=scope.target(args[0]),
                base=read_expr(args[1], scope),
                calculation=_named(args[2], "calculation", scope),
                modulus=read_expr(args[3], scope),
                source=source,
            )
        case "exit":
            return Exit(source)
        case "no_op":
            return Nothing(source)
        case _:
            raise scope.refuse(REFUSED.get(op, op))


def _header(arg: Mapping[str, Any], scope: Scope) -> str:
    if arg["type"] != "header" or arg["value"] not in scope.headers or arg["value"] == STANDARD_METADATA:
        raise scope.refuse(f"an operation on a {arg['type']}")
    return str(arg["value"])


def _named(arg: Mapping[str, Any], kind: str, scope: Scope) -> str:
    if arg["type"] != kind:
        raise scope.refuse(f"a {arg['type']} where a {kind} belongs")
    return str(arg["value"])
