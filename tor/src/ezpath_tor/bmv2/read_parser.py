"""The parser: a graph of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ezpath_tor.bmv2.language import Assign, Const, FieldRef, Lookahead, Source
from ezpath_tor.bmv2.model import Extract, ParserOp, State, Transition, Verify
from ezpath_tor.bmv2.read_expr import Scope, read_expr
from ezpath_tor.bmv2.source import source_of

ScopeAt = Callable[[Source], Scope]


def read_states(states: Sequence[Mapping[str, Any]], scope_at: ScopeAt) -> dict[str, State]:
    """All states of the parser, by name."""
    return {state["name"]: _state(state, scope_at) for state in states}


def _state(state: Mapping[str, Any], scope_at: ScopeAt) -> State:
    # p4c notes no line for a state: its name has to do.
    source = source_of(state, Source(f"parser state {state['name']}", 0))
    scope = scope_at(source)
    keys = tuple(_key(key, scope) for key in state["transition_key"])
    default: str | None = None
    transitions = []
    for transition in state["transitions"]:
        match transition["type"]:
            case "default":
                default = transition["next_state"]
            case "hexstr":
                transitions.append(
                    Transition(
                        values=_split(int(transition["value"], 16), keys),
                        masks=_masks(transition["mask"], keys),
                        next_state=transition["next_state"],
                    )
                )
            case kind:
                raise scope.refuse(f"parser transition on a {kind}")
    ops = tuple(_op(op, scope_at, source) for op in state["parser_ops"])
    return State(state["name"], ops, keys, tuple(transitions), default, source)


def _key(key: Mapping[str, Any], scope: Scope) -> FieldRef | Lookahead:
    if key["type"] == "lookahead":
        return Lookahead(key["value"][0], key["value"][1])
    if key["type"] == "field":
        return scope.target(key)
    raise scope.refuse(f"select on a {key['type']}")


def _split(value: int, keys: Sequence[FieldRef | Lookahead]) -> tuple[int, ...]:
    """One number of the JSON to one value a key: each key is padded to whole bytes in front."""
    values = []
    for key in reversed(keys):
        padded = (key.width + 7) // 8 * 8
        values.append(value & ((1 << padded) - 1))
        value >>= padded
    return tuple(reversed(values))


def _masks(mask: str | None, keys: Sequence[FieldRef | Lookahead]) -> tuple[int, ...]:
    if mask is None:
        return tuple((1 << key.width) - 1 for key in keys)
    return _split(int(mask, 16), keys)


def _op(op: Mapping[str, Any], scope_at: ScopeAt, state_source: Source) -> ParserOp:
    source = source_of(op, state_source)
    scope = scope_at(source)
    args = op["parameters"]
    match op["op"]:
        case "extract" if args[0]["type"] == "regular":
            return Extract(args[0]["value"], source)
        case "extract":
            raise scope.refuse(f"extracting into a {args[0]['type']}")
        case "set":
            return Assign(scope.target(args[0]), read_expr(args[1], scope), source)
        case "verify":
            error = read_expr(args[1], scope)
            if not isinstance(error, Const):
                raise scope.refuse("verify with a computed error")
            return Verify(read_expr(args[0], scope), error.value, source)
        case name:
            raise scope.refuse(f"{name} in the parser")
