"""Expressions of the BMv2 JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ezpath_tor.bmv2.language import (
    Binary,
    BoolConst,
    Const,
    Expr,
    FieldRef,
    Header,
    Lookahead,
    Param,
    Source,
    Ternary,
    Unary,
    ValidRef,
)
from ezpath_tor.bmv2.model import STANDARD_METADATA
from ezpath_tor.plane import Unsupported

BINARY = frozenset(
    ["+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or", "usat_cast"]
)
UNARY = frozenset(["~", "not", "d2b", "b2d"])

_PROVIDED = """
    ingress_port egress_spec egress_port instance_type packet_length egress_rid checksum_error parser_error
    ingress_global_timestamp egress_global_timestamp
"""
PROVIDED = frozenset(_PROVIDED.split())
"""Fields of standard_metadata that mean something here. The queue's and the replication engine's do not."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean where an expression stands."""

    headers: Mapping[str, Header]
    aliases: Mapping[tuple[str, str], tuple[str, str]]
    params: Sequence[Param]
    source: Source

    def refuse(self, construct: str) -> Unsupported:
        return Unsupported(construct, str(self.source))

    def field(self, value: Sequence[str]) -> FieldRef | ValidRef:
        """A field by its (header, field) names."""
        header_name, field_name = self.aliases.get((value[0], value[1]), (value[0], value[1]))
        header = self.headers.get(header_name)
        if header is None:
            raise self.refuse(f"field {header_name}.{field_name} of an unknown header")
        if field_name == "$valid$":
            return ValidRef(header_name)
        if header_name == STANDARD_METADATA and field_name not in PROVIDED:
            raise self.refuse(f"standard_metadata.{field_name}")
        for field in header.fields:
            if field.name == field_name:
                return FieldRef(header_name, field_name, field.width)
        raise self.refuse(f"field {header_name}.{field_name}, which its header does not have,")

    def target(self, json: Mapping[str, Any]) -> FieldRef:
        """A field that is written to."""
        if json["type"] != "field":
            raise self.refuse(f"writing to a {json['type']}")
        ref = self.field(json["value"])
        if isinstance(ref, ValidRef):
            raise self.refuse("writing to a header's validity bit")
        return ref


def read_expr(json: Mapping[str, Any], scope: Scope) -> Expr:
    """One value: a constant, a field, a parameter or an operation on such."""
    kind: str = json["type"]
    value: Any = json["value"]
    match kind:
        case "hexstr":
            return Const(int(value, 16))
        case "bool":
            return BoolConst(bool(value))
        case "field":
            return scope.field(value)
        case "runtime_data" | "local":
            param: Param = scope.params[value]
            return param
        case "lookahead":
            return Lookahead(value[0], value[1])
        case "expression" if "op" not in value:
            return read_expr(value, scope)
        case "expression":
            return _operation(value, scope)
        case _:
            raise scope.refuse(f"operand of type {kind}")


def _operation(json: Mapping[str, Any], scope: Scope) -> Expr:
    op = json["op"]
    if op == "?":
        return Ternary(*(read_expr(json[part], scope) for part in ("cond", "left", "right")))
    if op in UNARY:
        return Unary(op, read_expr(json["right"], scope))
    if op in BINARY:
        if json["left"]["type"] in ("header", "header_stack", "header_union"):
            raise scope.refuse(f"comparing whole headers with {op}")
        return Binary(op, read_expr(json["left"], scope), read_expr(json["right"], scope))
    raise scope.refuse(f"operator {op}")
