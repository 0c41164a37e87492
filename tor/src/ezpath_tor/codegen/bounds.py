"""What is known of an expression without evaluating it: is it a truth value, and how many bits can it have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ezpath_tor.bmv2.language import (
    Binary,
    BoolConst,
    Const,
    Expr,
    FieldRef,
    LastField,
    Lookahead,
    Param,
    Ternary,
    Unary,
    ValidRef,
)

COMPARISONS = frozenset(["==", "!=", "<", "<=", ">", ">="])
CONNECTIVES = {"and": "&&", "or": "||"}
UNBOUNDED = 1 << 30
"""More bits than any value of a program has."""


def is_truth(expr: Expr) -> bool:
    """The expression is a truth value, not a number."""
    match expr:
        case BoolConst() | Unary("not" | "d2b"):
            return True
        case Binary(op):
            return op in COMPARISONS or op in CONNECTIVES
        case Ternary(then=then):
            return is_truth(then)
        case _:
            return False


def bits_needed(expr: Expr) -> int | None:
    """An upper bound for the bits of the exact value; None where it may be negative."""
    match expr:
        case Const(value):
            return value.bit_length() if value >= 0 else None
        case FieldRef(width=width) | Param(width=width) | Lookahead(width=width) | LastField(width=width):
            return width
        case ValidRef() | BoolConst() | Unary("b2d"):
            return 1
        case Ternary(then=then, otherwise=otherwise):
            return both(then, otherwise, max)
        case Binary("&", left, right):
            known = [size for size in (bits_needed(left), bits_needed(right)) if size is not None]
            return min(known, default=None)
        case Binary("|" | "^", left, right):
            return both(left, right, max)
        case Binary("+", left, right):
            return both(left, right, lambda one, other: max(one, other) + 1)
        case Binary("*", left, right):
            return both(left, right, lambda one, other: one + other)
        case Binary("<<", left, Const(shift)):
            size = bits_needed(left)
            return None if size is None else size + shift
        case Binary(">>", left, Const(shift)):
            size = bits_needed(left)
            return None if size is None else max(0, size - shift)
        case Binary(">>" | "/", left, _):
            return bits_needed(left)
        case Binary("%", left, right):
            return both(left, right, min)
        case Binary("<<", left, _):
            # Nobody knows how far; enough is asked for from outside.
            return UNBOUNDED
        case Binary("usat_cast", _, Const(width)):
            return width
        case _:
            return None


def parts_of(expr: Expr) -> Iterator[Expr]:
    """The expression and all that it is made of."""
    yield expr
    match expr:
        case Unary(operand=operand):
            yield from parts_of(operand)
        case Binary(left=left, right=right):
            yield from parts_of(left)
            yield from parts_of(right)
        case Ternary(condition, then, otherwise):
            for part in (condition, then, otherwise):
                yield from parts_of(part)


def both(left: Expr, right: Expr, join: Callable[[int, int], int]) -> int | None:
    one, other = bits_needed(left), bits_needed(right)
    return None if one is None or other is None else join(one, other)
