"""Expressions of the BMv2 JSON, and what names mean in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ezpath_tor.bmv2.document import Element
from ezpath_tor.bmv2.language import (
    Binary,
    BoolConst,
    Const,
    Expr,
    FieldRef,
    Header,
    HeaderChoice,
    HeaderValue,
    LastField,
    LastIndex,
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

REFUSED_OPERATORS = {
    "two_comp_mod": "signed arithmetic (int<N>)",
    "sat_cast": "signed saturating arithmetic (int<N>)",
    "valid_union": "isValid() of a header union",
    "access_field": "a header stack with a computed index",
    "dereference_header_stack": "a header stack with a computed index",
    "access_union_header": "a member of a header union",
}
"""What P4 programmers call operators whose JSON name they have never seen."""

MAX_DEPTH = 100
"""Of one expression."""

_PROVIDED = """
    ingress_port egress_spec egress_port instance_type packet_length egress_rid checksum_error parser_error
    ingress_global_timestamp egress_global_timestamp
"""
PROVIDED = frozenset(_PROVIDED.split())
"""Fields of standard_metadata that mean something here. The queue's and the replication engine's do not."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the program declares. ``arrays``: names of registers, counters and calculations, by their JSON kind."""

    headers: Mapping[str, Header]
    stacks: Mapping[str, tuple[str, ...]]
    aliases: Mapping[tuple[str, str], tuple[str, str]]
    arrays: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean where an expression stands."""

    names: Names
    source: Source
    params: Sequence[Param] = ()

    def refuse(self, construct: str) -> Unsupported:
        return Unsupported(construct, str(self.source))

    def field(self, element: Element) -> FieldRef | ValidRef:
        """A field by its (header, field) names."""
        if element.is_object:
            raise self.refuse(_called(element))
        pair = element.exactly(2)
        said = (pair[0].text, pair[1].text)
        header_name, field_name = self.names.aliases.get(said, said)
        header = self.names.headers.get(header_name)
        if header is None:
            raise element.malformed(f"the program has no header {header_name}")
        if field_name == "$valid$":
            return ValidRef(header_name)
        if header_name == STANDARD_METADATA and field_name not in PROVIDED:
            raise self.refuse(f"standard_metadata.{field_name}")
        for field in header.fields:
            if field.name == field_name:
                return FieldRef(header_name, field_name, field.width)
        raise element.malformed(f"header {header_name} has no field {field_name}")

    def target(self, element: Element) -> FieldRef:
        """A field that is written to."""
        if element["type"].text != "field":
            raise self.refuse(_called(element))
        return self.data_field(element["value"])

    def data_field(self, element: Element) -> FieldRef:
        """A field that is not a header's validity."""
        ref = self.field(element)
        if isinstance(ref, ValidRef):
            raise self.refuse("a header's validity bit as data")
        return ref

    def header(self, element: Element) -> str:
        """A header that can be made valid and invalid."""
        if element["type"].text != "header":
            raise self.refuse(_called(element))
        header = element["value"].one_of(self.names.headers.__contains__, "header")
        if self.names.headers[header].metadata:
            raise element["value"].malformed(f"{header} is metadata, and no header of packets")
        return header

    def stack(self, element: Element) -> str:
        """A header stack."""
        if element["type"].text not in ("header_stack", "stack"):
            raise self.refuse(f"an operation on a {element['type'].text}")
        return element["value"].one_of(self.names.stacks.__contains__, "header stack")

    def last_field(self, element: Element) -> LastField:
        """A field of the last element of a header stack."""
        stack, name = element.exactly(2)
        elements = self.names.stacks[stack.one_of(self.names.stacks.__contains__, "header stack")]
        for field in self.names.headers[elements[0]].fields:
            if field.name == name.text:
                return LastField(stack.text, field.name, field.width)
        raise name.malformed(f"the headers of {stack.text} have no field {name.text}")

    def array(self, element: Element, kind: str) -> str:
        """A register, counter or calculation."""
        if element["type"].text != kind:
            raise self.refuse(f"a {element['type'].text} where a {kind} belongs")
        return element["value"].one_of(self.names.arrays[kind].__contains__, kind.replace("_", " "))


def _called(element: Element) -> str:
    """What P4 programmers call an operand that stands for a header or field and is none."""
    kind = element["type"].text
    if kind != "expression":
        return f"an operation on a {kind.replace('_', ' ')}"
    if "dereference_header_stack" in element.words:
        return "a header stack with a computed index"
    return "a computed header"


def read_expr(element: Element, scope: Scope, depth: int = 0) -> Expr:
    """One value: a constant, a field, a parameter or an operation on such."""
    if depth > MAX_DEPTH:
        raise scope.refuse(f"an expression nested more than {MAX_DEPTH} deep")
    kind, value = element["type"].text, element["value"]
    match kind:
        case "hexstr":
            return Const(value.hexadecimal)
        case "bool":
            return BoolConst(value.flag)
        case "field":
            return scope.field(value)
        case "runtime_data" | "local":
            if value.number >= len(scope.params):
                raise value.malformed(f"the action has {len(scope.params)} parameters, so no {value.number}")
            return scope.params[value.number]
        case "lookahead":
            return read_lookahead(value)
        case "stack_field":
            return scope.last_field(value)
        case "expression" if value.get("op") is None:
            return read_expr(value, scope, depth + 1)
        case "expression":
            return _operation(value, scope, depth + 1)
        case _:
            raise scope.refuse(f"operand of type {kind}")


def read_header(element: Element, scope: Scope, depth: int = 0) -> HeaderValue:
    """A header, or a choice between two."""
    if depth > MAX_DEPTH:
        raise scope.refuse(f"an expression nested more than {MAX_DEPTH} deep")
    if element["type"].text != "expression":
        return scope.header(element)
    value = element["value"]
    op = value.get("op")
    if op is None:
        return read_header(value, scope, depth + 1)
    if op.text != "?":
        raise scope.refuse(_called(element))
    then, otherwise = (read_header(value[part], scope, depth + 1) for part in ("left", "right"))
    return HeaderChoice(read_expr(value["cond"], scope, depth + 1), then, otherwise)


def read_lookahead(element: Element) -> Lookahead:
    offset, width = element.exactly(2)
    if not width.number:
        raise width.malformed("no bits are looked at")
    return Lookahead(offset.number, width.number)


def _operation(element: Element, scope: Scope, depth: int) -> Expr:
    op = element["op"].text
    if op == "?":
        return Ternary(*(read_expr(element[part], scope, depth) for part in ("cond", "left", "right")))
    if op == "last_stack_index":
        return LastIndex(scope.stack(element["right"]))
    if op in UNARY:
        return Unary(op, read_expr(element["right"], scope, depth))
    if op in BINARY:
        if element["left"]["type"].text in ("header", "header_stack", "header_union"):
            raise scope.refuse(f"comparing whole headers with {op}")
        return Binary(op, read_expr(element["left"], scope, depth), read_expr(element["right"], scope, depth))
    raise scope.refuse(REFUSED_OPERATORS.get(op, f"operator {op}"))
