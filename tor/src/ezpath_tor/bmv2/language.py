"""The words of a P4 program: headers, expressions and statements, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the P4 program something comes from. Empty ``file``: the compiler did not say."""

    file: str = ""
    line: int = 0
    fragment: str = ""

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}"


# ---- headers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header or struct; ``width`` in bits."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Header:
    """A header or metadata struct. Metadata is always valid and never on the wire."""

    name: str
    type_name: str
    fields: tuple[Field, ...]
    metadata: bool

    @property
    def bits(self) -> int:
        return sum(field.width for field in self.fields)

    @property
    def octets(self) -> int:
        return self.bits // 8

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


# ---- expressions -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    value: int


@dataclass(frozen=True, slots=True)
class BoolConst:
    value: bool


@dataclass(frozen=True, slots=True)
class FieldRef:
    header: str
    field: str
    width: int


@dataclass(frozen=True, slots=True)
class ValidRef:
    """1 where the header is there, else 0."""

    header: str


@dataclass(frozen=True, slots=True)
class Param:
    """An action's parameter, which an entry's data fills."""

    index: int
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Bits in front of the parser that it does not consume."""

    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class LastField:
    """In the parser, a field of the header that was extracted last into a stack (``hs.last.f``)."""

    stack: str
    field: str
    width: int


@dataclass(frozen=True, slots=True)
class LastIndex:
    """In the parser, the index of the header that was extracted last into a stack (``hs.lastIndex``)."""

    stack: str


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Ternary:
    condition: Expr
    then: Expr
    otherwise: Expr


Expr = Const | BoolConst | FieldRef | ValidRef | Param | Lookahead | LastField | LastIndex | Unary | Binary | Ternary
"""Numbers are exact integers, as in BMv2: the compiler writes every truncation as ``& mask``."""


# ---- statements ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    target: FieldRef
    value: Expr
    source: Source


@dataclass(frozen=True, slots=True)
class HeaderChoice:
    """One header or the other, as the compiler makes it of ``if (c) { h = g; }`` inside an action."""

    condition: Expr
    then: HeaderValue
    otherwise: HeaderValue


HeaderValue = str | HeaderChoice


@dataclass(frozen=True, slots=True)
class AssignHeader:
    target: str
    value: HeaderValue
    source: Source


@dataclass(frozen=True, slots=True)
class SetValid:
    header: str
    source: Source


@dataclass(frozen=True, slots=True)
class SetInvalid:
    header: str
    source: Source


@dataclass(frozen=True, slots=True)
class Shift:
    """A header stack's elements move by ``by`` places to the back, or to the front where it is negative."""

    elements: tuple[str, ...]
    by: int
    source: Source


@dataclass(frozen=True, slots=True)
class MarkToDrop:
    source: Source


@dataclass(frozen=True, slots=True)
class RegisterRead:
    target: FieldRef
    register: str
    index: Expr
    source: Source


@dataclass(frozen=True, slots=True)
class RegisterWrite:
    register: str
    index: Expr
    value: Expr
    source: Source


@dataclass(frozen=True, slots=True)
class Count:
    counter: str
    index: Expr
    source: Source


@dataclass(frozen=True, slots=True)
class HashInto:
    """``target = base + hash(calculation) % modulus``; a modulus of 0 counts as 1."""

    target: FieldRef
    base: Expr
    calculation: str
    modulus: Expr
    source: Source


@dataclass(frozen=True, slots=True)
class Exit:
    source: Source


@dataclass(frozen=True, slots=True)
class Nothing:
    source: Source


Statement = (
    Assign
    | AssignHeader
    | SetValid
    | SetInvalid
    | Shift
    | MarkToDrop
    | RegisterRead
    | RegisterWrite
    | Count
    | HashInto
    | Exit
    | Nothing
)
