"""Parser states with what is in header stacks at the time: ``next`` and ``last`` as plain headers and fields."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ezpath_tor.bmv2.language import (
    Assign,
    Binary,
    Const,
    Expr,
    FieldRef,
    LastField,
    LastIndex,
    Lookahead,
    Ternary,
    Unary,
)
from ezpath_tor.bmv2.model import Extract, ExtractNext, ParserOp, Program, State, Verify

OUT_OF_BOUNDS = "StackOutOfBounds"


@dataclass(frozen=True, slots=True)
class Full:
    """Headers that have been extracted into each stack, by the stack's place in the program."""

    counts: tuple[int, ...]

    def of(self, program: Program, stack: str) -> int:
        return self.counts[list(program.stacks).index(stack)]

    def one_more(self, program: Program, stack: str) -> Full:
        place = list(program.stacks).index(stack)
        return Full(tuple(count + (index == place) for index, count in enumerate(self.counts)))


@dataclass(frozen=True, slots=True)
class Leave:
    """The parser ends here, for a stack has no such element."""


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A state as it runs with so much in the stacks; ``left`` where it ends in :class:`Leave`."""

    ops: tuple[ParserOp | Leave, ...]
    keys: tuple[FieldRef | Lookahead, ...]
    full: Full
    left: bool


class _NoElement(Exception):
    """``last`` of an empty stack."""


def unroll(program: Program, state: State, full: Full) -> Unrolled:
    """The state, and what is in the stacks behind it."""
    ops: list[ParserOp | Leave] = []
    for op in state.ops:
        if isinstance(op, ExtractNext):
            elements, count = program.stacks[op.stack], full.of(program, op.stack)
            if count == len(elements):
                return Unrolled((*ops, Leave()), (), full, left=True)
            full = full.one_more(program, op.stack)
            ops.append(Extract(elements[count], op.source))
            continue
        try:
            ops.append(_op(program, op, full))
        except _NoElement:
            return Unrolled((*ops, Leave()), (), full, left=True)
    try:
        keys = tuple(_last(program, key, full) if isinstance(key, LastField) else key for key in state.keys)
    except _NoElement:
        return Unrolled((*ops, Leave()), (), full, left=True)
    return Unrolled(tuple(ops), keys, full, left=False)


def _op(program: Program, op: ParserOp, full: Full) -> ParserOp:
    match op:
        case Assign(value=value):
            return replace(op, value=_expr(program, value, full))
        case Verify(condition=condition):
            return replace(op, condition=_expr(program, condition, full))
        case _:
            return op


def _expr(program: Program, expr: Expr, full: Full) -> Expr:
    match expr:
        case LastField():
            return _last(program, expr, full)
        case LastIndex(stack):
            # One less than what is in it; BMv2 wraps around where that is nothing.
            return Const((full.of(program, stack) - 1) % (1 << 32))
        case Unary(op, operand):
            return Unary(op, _expr(program, operand, full))
        case Binary(op, left, right):
            return Binary(op, _expr(program, left, full), _expr(program, right, full))
        case Ternary(condition, then, otherwise):
            return Ternary(*(_expr(program, part, full) for part in (condition, then, otherwise)))
        case _:
            return expr


def _last(program: Program, field: LastField, full: Full) -> FieldRef:
    count = full.of(program, field.stack)
    if not count:
        raise _NoElement
    return FieldRef(program.stacks[field.stack][count - 1], field.field, field.width)
