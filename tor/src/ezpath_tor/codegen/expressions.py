"""Expressions to C.

BMv2 computes with exact integers of any size and the P4 compiler writes each truncation as ``& mask``. C computes
in 32 or 64 bits. So an expression is never translated as such, only *bits* of it are asked for: "bits lo..lo+n of
this". Truncation then costs nothing, a 256-bit concatenation falls apart into four 64-bit limbs, and a slice of a
wide field becomes a shift of one limb. What cannot be said in 64 bits is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ezpath_tor.bmv2.language import (
    Binary,
    BoolConst,
    Const,
    Expr,
    FieldRef,
    LastField,
    LastIndex,
    Lookahead,
    Param,
    Source,
    Ternary,
    Unary,
    ValidRef,
)
from ezpath_tor.codegen.bounds import COMPARISONS, CONNECTIVES, UNBOUNDED, bits_needed, both, is_truth
from ezpath_tor.codegen.names import c_name, field_path, valid_path
from ezpath_tor.plane import Unsupported

ORDERINGS = frozenset(["<", "<=", ">", ">="])
DIRTY = UNBOUNDED
"""Width of a term with garbage above the bits that were asked for."""
MAX_COMPARED_BITS = 4096


@dataclass(frozen=True, slots=True)
class Term:
    """C text of an unsigned value below ``2**width``, or with garbage above what was asked for (``DIRTY``)."""

    text: str
    width: int
    wide: bool = False
    """The C expression has 64 bits; else it has 32, and may be C's signed int."""
    atom: bool = True
    """Needs no parentheses as an operand."""

    @property
    def operand(self) -> str:
        return self.text if self.atom else f"({self.text})"

    @property
    def operand64(self) -> str:
        return self.operand if self.wide else f"(u64){self.operand}"


def const_text(value: int) -> str:
    text = str(value) if value < 10 else f"{value:#x}"
    if value >> 32:
        return text + "ull"
    return text + "u" if value >> 31 else text


def number(value: int) -> Term:
    return Term(const_text(value), value.bit_length(), wide=value >> 32 != 0)


class Expressions:
    """Translates expressions that stand at ``source``; parameters are read through ``params``."""

    def __init__(
        self, source: Source, params: str = "params", lookahead: Callable[[Lookahead], Term] | None = None
    ) -> None:
        self._source = source
        self._params = params
        self._lookahead = lookahead

    # ---- what callers ask for ----------------------------------------------------------------------------

    def value(self, expr: Expr, width: int) -> str:
        """The low ``width`` (at most 64) bits, nothing above them."""
        return self._masked(self.bits(expr, 0, width), width).text

    def assigned(self, expr: Expr, width: int) -> str:
        """For storing in a C variable of ``width`` bits: where C itself truncates, no mask is written."""
        term = self.bits(expr, 0, width)
        return term.text if width in (8, 16, 32, 64) else self._masked(term, width).text

    def limbs(self, expr: Expr, width: int) -> list[str]:
        """All limbs of a value of ``width`` bits, the least significant first."""
        return [self.value_at(expr, lo, min(64, width - lo)) for lo in range(0, width, 64)]

    def value_at(self, expr: Expr, lo: int, n: int) -> str:
        return self._masked(self.bits(expr, lo, n), n).text

    def exact(self, expr: Expr) -> Term:
        """The whole value. Refused where it may be negative or need more than 64 bits."""
        size = bits_needed(expr)
        if size is None:
            raise self._refuse("an untruncated result that may be negative")
        if size > 64:
            raise self._refuse(f"an operand of {size} bits, more than 64,")
        return self._masked(self.bits(expr, 0, max(size, 1)), max(size, 1))

    def truth(self, expr: Expr) -> str:
        """A condition."""
        return self._truth(expr).text

    # ---- bits --------------------------------------------------------------------------------------------

    def bits(self, expr: Expr, lo: int, n: int) -> Term:
        """Bits ``lo`` to ``lo + n`` (``n`` at most 64), with possible garbage above where the term is dirty."""
        size = bits_needed(expr)
        if size is not None and lo >= size:
            return number(0)
        match expr:
            case Const(value):
                return number((value >> lo) & ((1 << n) - 1))
            case FieldRef(width=width):
                return self._variable(field_path(expr), width, lo, n)
            case Param(name=name, width=width):
                return self._variable(f"{self._params}->{c_name(name)}", width, lo, n)
            case ValidRef(header):
                return Term(valid_path(header), 1)
            case Lookahead():
                if self._lookahead is None:
                    raise self._refuse("lookahead outside the parser")
                width = min(n, expr.width - lo)
                return self._lookahead(Lookahead(expr.offset + expr.width - lo - width, width))
            case Ternary(condition, then, otherwise):
                one, other = self.bits(then, lo, n), self.bits(otherwise, lo, n)
                text = f"{self._truth(condition).operand} ? {one.operand64} : {other.operand64}"
                return Term(text, max(one.width, other.width), wide=True, atom=False)
            case Unary("~", operand):
                term = self.bits(operand, lo, n)
                inner = term.operand64 if n > 32 else term.operand
                return Term(f"~{inner}", DIRTY, wide=n > 32 or term.wide)
            case Unary("b2d", operand):
                return Term(self._truth(operand).text, 1, atom=self._truth(operand).atom)
            case BoolConst() | Unary():
                raise self._refuse("a truth value used as a number")
            case LastField() | LastIndex():
                raise self._refuse("the last element of a header stack outside the parser")
            case Binary():
                return self._binary(expr, lo, n)

    def _variable(self, path: str, width: int, lo: int, n: int) -> Term:
        if width <= 64:
            return self._shifted_down(Term(path, width, wide=width > 32), lo)
        limb, shift = divmod(lo, 64)
        here = self._shifted_down(Term(f"{path}[{limb}]", min(64, width - 64 * limb), wide=True), shift)
        if shift + n <= 64 or 64 * (limb + 1) >= width:
            return here
        above = Term(f"{path}[{limb + 1}] << {64 - shift}", 64, wide=True, atom=False)
        return Term(f"{here.operand} | {above.operand}", 64, wide=True, atom=False)

    def _binary(self, expr: Binary, lo: int, n: int) -> Term:
        op, left, right = expr.op, expr.left, expr.right
        match op:
            case "&":
                return self._and(left, right, lo, n)
            case "|" | "^":
                return self._or(op, self.bits(left, lo, n), self.bits(right, lo, n))
            case "<<" if isinstance(right, Const):
                return self._shift_up(left, right.value, lo, n)
            case ">>" if isinstance(right, Const):
                return self.bits(left, lo + right.value, n)
            case "<<" | ">>":
                return self._computed_shift(op, left, right, lo, n)
            case "+" | "-" | "*":
                return self._arithmetic(op, left, right, lo, n)
            case "/" | "%":
                term = self._operate(op, self.exact(left), self.exact(right), 64, bits_needed(expr) or 64)
                return self._shifted_down(term, lo)
            case "usat_cast":
                return self._shifted_down(self._saturated(left, right), lo)
            case _:
                raise self._refuse(f"the truth value of {op} used as a number")

    def _and(self, left: Expr, right: Expr, lo: int, n: int) -> Term:
        if isinstance(left, Const):
            left, right = right, left
        if not isinstance(right, Const):
            one, other = self.bits(left, lo, n), self.bits(right, lo, n)
            return self._operate("&", one, other, n, min(one.width, other.width))
        mask = (right.value >> lo) & ((1 << n) - 1)
        if mask == 0:
            return number(0)
        wanted = mask.bit_length()
        term = self.bits(left, lo, wanted)
        if mask == (1 << wanted) - 1:
            # Passing the garbage on is right where nobody asks for more than these bits.
            return term if wanted == n else self._masked(term, wanted)
        return Term(f"{term.operand} & {const_text(mask)}", wanted, wide=term.wide or wanted > 32, atom=False)

    def _or(self, op: str, one: Term, other: Term) -> Term:
        if one.text == "0":
            return other
        if other.text == "0":
            return one
        wide = one.wide or other.wide
        return Term(f"{one.operand} {op} {other.operand}", max(one.width, other.width), wide, atom=False)

    def _shift_up(self, left: Expr, shift: int, lo: int, n: int) -> Term:
        if lo >= shift:
            return self.bits(left, lo - shift, n)
        shift -= lo
        if shift >= n:
            return number(0)
        term = self.bits(left, 0, n - shift)
        if term.text == "0":
            return term
        if term.width >= DIRTY:
            term = self._masked(term, n - shift)
        width = term.width + shift
        wide = term.wide or width > 31
        inner = term.operand64 if wide else term.operand
        return Term(f"{inner} << {shift}", width if width <= n else DIRTY, wide=wide, atom=False)

    def _computed_shift(self, op: str, left: Expr, right: Expr, lo: int, n: int) -> Term:
        if op == "<<" and lo:
            raise self._refuse("a wide value shifted left by a computed amount")
        value = self.exact(left) if op == ">>" else self.bits(left, 0, n)
        amount = self.exact(right)
        width = value.width if op == ">>" else DIRTY
        text = f"{amount.operand} < 64 ? {value.operand64} {op} {amount.operand} : 0"
        return self._shifted_down(Term(text, width, wide=True, atom=False), lo)

    def _arithmetic(self, op: str, left: Expr, right: Expr, lo: int, n: int) -> Term:
        size = bits_needed(Binary(op, left, right))
        if lo:
            # Carries come from below: all the bits from 0 on have to be computed.
            if lo + n <= 64:
                return self._shifted_down(self._arithmetic(op, left, right, 0, lo + n), lo)
            if size is None or size > 64:
                raise self._refuse(f"operator {op} on values wider than 64 bits")
            return self._shifted_down(self.exact(Binary(op, left, right)), lo)
        one, other = self.bits(left, 0, n), self.bits(right, 0, n)
        clean = size is not None and size <= n and max(one.width, other.width) < DIRTY
        return self._operate(op, one, other, n, size if clean and size is not None else DIRTY)

    def _saturated(self, value: Expr, width: Expr) -> Term:
        if not isinstance(width, Const) or width.value > 63 or not isinstance(value, Binary):
            raise self._refuse("this saturating operation")
        top = const_text((1 << width.value) - 1)
        one, other = self.exact(value.left), self.exact(value.right)
        if value.op == "-":
            text = f"{one.operand} > {other.operand} ? {one.operand} - {other.operand} : 0"
        else:
            total = self.exact(value).operand
            text = f"{total} > {top} ? {top} : {total}"
        return Term(text, width.value, wide=True, atom=False)

    def _operate(self, op: str, one: Term, other: Term, n: int, width: int) -> Term:
        """In 64 bits where more than 32 are asked for, or where C's signed int would overflow."""
        wide = one.wide or other.wide or (width > 31 and (n > 32 or op == "*"))
        left = one.operand64 if wide and not other.wide else one.operand
        return Term(f"{left} {op} {other.operand}", width, wide=wide, atom=False)

    def _shifted_down(self, term: Term, lo: int) -> Term:
        if lo == 0:
            return term
        if lo >= term.width:
            return number(0)
        width = DIRTY if term.width >= DIRTY else term.width - lo
        return Term(f"{term.operand} >> {lo}", width, wide=term.wide, atom=False)

    def _masked(self, term: Term, n: int) -> Term:
        if term.width <= n or (n == 64 and term.wide):
            return term
        mask = const_text((1 << n) - 1)
        return Term(f"{term.operand} & {mask}", n, wide=term.wide or n > 32, atom=False)

    # ---- truth -------------------------------------------------------------------------------------------

    def _truth(self, expr: Expr) -> Term:
        match expr:
            case BoolConst(value):
                return Term("1" if value else "0", 1)
            case Unary("not", operand):
                return Term(f"!{self._truth(operand).operand}", 1)
            case Unary("d2b", ValidRef(header)):
                return Term(valid_path(header), 1)
            case Unary("d2b", operand):
                return Term(f"{self.exact(operand).operand} != 0", 1, atom=False)
            case Ternary(condition, then, otherwise):
                parts = [self._truth(part).operand for part in (condition, then, otherwise)]
                return Term(f"{parts[0]} ? {parts[1]} : {parts[2]}", 1, atom=False)
            case Binary(op, left, right) if op in CONNECTIVES:
                one, other = self._truth(left), self._truth(right)
                return Term(f"{one.operand} {CONNECTIVES[op]} {other.operand}", 1, atom=False)
            case Binary(op, left, right) if op in COMPARISONS:
                return self._comparison(op, left, right)
            case _:
                raise self._refuse("a number used as a truth value")

    def _comparison(self, op: str, left: Expr, right: Expr) -> Term:
        if is_truth(left) or is_truth(right):
            text = f"{self._truth(left).operand} {op} {self._truth(right).operand}"
            return Term(text, 1, atom=False)
        size = both(left, right, max)
        if size is None or size > MAX_COMPARED_BITS:
            raise self._refuse(f"comparing an untruncated result with {op}")
        if size <= 64:
            text = f"{self.exact(left).operand} {op} {self.exact(right).operand}"
            return Term(text, 1, atom=False)
        return self._wide_comparison(op, self.limbs(left, size), self.limbs(right, size))

    def _wide_comparison(self, op: str, left: list[str], right: list[str]) -> Term:
        pairs = [(f"({one})", f"({other})") for one, other in zip(left, right, strict=True)]
        if op in ORDERINGS:
            # The most significant limb that differs decides.
            text = f"{pairs[0][0]} {op} {pairs[0][1]}"
            for one, other in pairs[1:]:
                text = f"{one} != {other} ? {one} {op} {other} : ({text})"
            return Term(text, 1, atom=False)
        join = " && " if op == "==" else " || "
        return Term(join.join(f"{one} {op} {other}" for one, other in reversed(pairs)), 1, atom=False)

    def _refuse(self, construct: str) -> Unsupported:
        return Unsupported(construct, str(self._source))
