"""Primitives: the statements of actions, and those of parsers that actions have too."""

from __future__ import annotations

from collections.abc import Callable

from ezpath_tor.bmv2.document import Element
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
    Shift,
    Source,
    Statement,
)
from ezpath_tor.bmv2.read_expr import Scope, read_expr, read_header

ScopeAt = Callable[[Element], Scope]
"""What names mean at an element of the JSON, which has its P4 line or is inside one that has."""

REFUSED = {
    "clone_ingress_pkt_to_egress": "clone",
    "clone_egress_pkt_to_egress": "clone",
    "generate_digest": "digest",
    "execute_meter": "meter",
    "modify_field_rng_uniform": "random",
    "assign_VL": "assignment of a varbit field",
    "assign_header_stack": "assignment of a header stack",
    "assign_union": "assignment of a header union",
    "assign_union_stack": "assignment of a stack of header unions",
    "_jump": "conditional jump inside an action",
    "_jump_if_zero": "conditional jump inside an action",
}
"""What P4 programmers call primitives whose JSON name they have never seen."""

PARAMETERS = {
    "assign": 2,
    "assign_header": 2,
    "add_header": 1,
    "remove_header": 1,
    "push": 2,
    "pop": 2,
    "register_read": 3,
    "register_write": 3,
    "count": 2,
    "modify_field_with_hash_based_offset": 4,
}


def read_statement(primitive: Element, scope_at: ScopeAt) -> Statement:
    """One primitive, or :class:`~ezpath_tor.plane.Unsupported` with its P4 name and line."""
    scope = scope_at(primitive)
    source, op = scope.source, primitive["op"].text
    args = primitive["parameters"].elements
    if op in PARAMETERS:
        primitive["parameters"].exactly(PARAMETERS[op])
    match op:
        case "assign":
            return Assign(scope.target(args[0]), read_expr(args[1], scope), source)
        case "assign_header":
            return AssignHeader(scope.header(args[0]), read_header(args[1], scope), source)
        case "add_header":
            return SetValid(scope.header(args[0]), source)
        case "remove_header":
            return SetInvalid(scope.header(args[0]), source)
        case "push" | "pop":
            elements = scope.names.stacks[scope.stack(args[0])]
            by = min(args[1]["value"].hexadecimal, len(elements))
            return Shift(elements, by if op == "push" else -by, source)
        case "mark_to_drop" | "drop":
            return MarkToDrop(source)
        case "register_read":
            register = scope.array(args[1], "register_array")
            return RegisterRead(scope.target(args[0]), register, read_expr(args[2], scope), source)
        case "register_write":
            register = scope.array(args[0], "register_array")
            return RegisterWrite(register, read_expr(args[1], scope), read_expr(args[2], scope), source)
        case "count":
            return Count(scope.array(args[0], "counter_array"), read_expr(args[1], scope), source)
        case "modify_field_with_hash_based_offset":
            return _hash(args, scope, source)
        case "exit":
            return Exit(source)
        case "no_op" | "log_msg":
            return Nothing(source)
        case _:
            raise scope.refuse(REFUSED.get(op, op))


def _hash(args: list[Element], scope: Scope, source: Source) -> HashInto:
    return HashInto(
        target=scope.target(args[0]),
        base=read_expr(args[1], scope),
        calculation=scope.array(args[2], "calculation"),
        modulus=read_expr(args[3], scope),
        source=source,
    )
