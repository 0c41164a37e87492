"""The parser: a graph of states."""

from __future__ import annotations

from collections.abc import Sequence

from ezpath_tor.bmv2.document import Element, unique
from ezpath_tor.bmv2.language import (
    Assign,
    AssignHeader,
    Const,
    FieldRef,
    LastField,
    Lookahead,
    SetInvalid,
    SetValid,
    Source,
)
from ezpath_tor.bmv2.model import Advance, Extract, ExtractNext, ParserOp, State, Transition, Verify
from ezpath_tor.bmv2.read_expr import Scope, read_expr, read_lookahead
from ezpath_tor.bmv2.read_statement import ScopeAt, read_statement


def read_states(states: Element, scope_at: ScopeAt) -> dict[str, State]:
    """All states of the parser, by name."""
    names = {state["name"].text for state in unique(states.elements, "name")}
    return {state["name"].text: _state(state, names, scope_at) for state in states}


def _state(state: Element, names: set[str], scope_at: ScopeAt) -> State:
    scope = scope_at(state)
    keys = tuple(_key(key, scope) for key in state["transition_key"])
    default: str | None = None
    transitions = []
    for transition in state["transitions"]:
        following = _next(transition, names)
        match transition["type"].text:
            case "default":
                default = following
            case "hexstr":
                values = _split(transition["value"].hexadecimal, keys)
                transitions.append(Transition(values, _masks(transition.get("mask"), keys), following))
            case "parse_vset":
                raise scope.refuse(f"parser value set {transition['value'].text}")
            case kind:
                raise scope.refuse(f"parser transition on a {kind}")
    ops = tuple(_op(op, scope_at, scope.source) for op in state["parser_ops"])
    return State(state["name"].text, ops, keys, tuple(transitions), default, scope.source)


def _next(transition: Element, names: set[str]) -> str | None:
    following = transition.get("next_state")
    return None if following is None else following.one_of(names.__contains__, "parser state")


def _key(key: Element, scope: Scope) -> FieldRef | LastField | Lookahead:
    match key["type"].text:
        case "lookahead":
            return read_lookahead(key["value"])
        case "field":
            return scope.data_field(key["value"])
        case "stack_field":
            return scope.last_field(key["value"])
        case kind:
            raise scope.refuse(f"select on a {kind}")


def _split(value: int, keys: Sequence[FieldRef | LastField | Lookahead]) -> tuple[int, ...]:
    """One number of the JSON to one value a key: each key is padded to whole bytes in front."""
    values = []
    for key in reversed(keys):
        padded = (key.width + 7) // 8 * 8
        values.append(value & ((1 << padded) - 1))
        value >>= padded
    return tuple(reversed(values))


def _masks(mask: Element | None, keys: Sequence[FieldRef | LastField | Lookahead]) -> tuple[int, ...]:
    if mask is None:
        return tuple((1 << key.width) - 1 for key in keys)
    return _split(mask.hexadecimal, keys)


def _op(op: Element, scope_at: ScopeAt, state_source: Source) -> ParserOp:
    scope = scope_at(op)
    if not scope.source.line:
        scope = Scope(scope.names, state_source)
    source, args = scope.source, op["parameters"]
    match op["op"].text:
        case "extract":
            return _extract(args.exactly(1)[0], scope)
        case "set":
            target, value = args.exactly(2)
            return Assign(scope.target(target), read_expr(value, scope), source)
        case "advance":
            return _advance(args.exactly(1)[0], scope)
        case "verify":
            condition, error = args.exactly(2)
            number = read_expr(error, scope)
            if not isinstance(number, Const):
                raise scope.refuse("verify with a computed error")
            return Verify(read_expr(condition, scope), number.value, source)
        case "primitive":
            return _primitive(args.exactly(1)[0], scope)
        case "extract_VL":
            raise scope.refuse("extracting a header with a varbit field")
        case name:
            raise scope.refuse(f"{name} in the parser")


def _extract(arg: Element, scope: Scope) -> Extract | ExtractNext:
    kind = arg["type"].text
    if kind == "stack":
        return ExtractNext(scope.stack(arg), scope.source)
    if kind != "regular":
        raise scope.refuse(f"extracting into a {kind}")
    header = arg["value"].one_of(scope.names.headers.__contains__, "header")
    if scope.names.headers[header].metadata:
        raise arg["value"].malformed(f"{header} is metadata, and no header of packets")
    return Extract(header, scope.source)


def _advance(arg: Element, scope: Scope) -> Advance:
    bits = read_expr(arg, scope)
    if not isinstance(bits, Const):
        raise scope.refuse("advance by a computed number of bits")
    if bits.value < 0 or bits.value % 8:
        raise scope.refuse(f"advance by {bits.value} bits, no whole bytes,")
    return Advance(bits.value // 8, scope.source)


def _primitive(primitive: Element, scope: Scope) -> ParserOp:
    def here(element: Element) -> Scope:
        return scope

    statement = read_statement(primitive, here)
    if isinstance(statement, Assign | AssignHeader | SetValid | SetInvalid):
        return statement
    raise scope.refuse(f"{primitive['op'].text} in the parser")
