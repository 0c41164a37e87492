"""The parser, unrolled: one block for each state at each offset it can be reached at, so that offsets are constant.

It also finds out which headers can stay in the frame where they are (``kept.py``): on every way through the parser
nothing but such headers, in the deparser's order, follows the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ezpath_tor.bmv2.language import Assign, AssignHeader, Expr, FieldRef, Lookahead, SetInvalid, SetValid, Source
from ezpath_tor.bmv2.model import Advance, Extract, ExtractNext, Program, State, Transition, Verify
from ezpath_tor.bmv2.read import TOO_SHORT
from ezpath_tor.codegen.bounds import parts_of
from ezpath_tor.codegen.expressions import Expressions, Term, const_text
from ezpath_tor.codegen.kept import FRONT_OCTETS, kept_at_most, read_fields
from ezpath_tor.codegen.names import c_name, valid_path
from ezpath_tor.codegen.statements import write_assign, write_statement
from ezpath_tor.codegen.unrolled import OUT_OF_BOUNDS, Full, Leave, Unrolled, unroll
from ezpath_tor.codegen.wire import load_bits, load_field
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.plane import Unsupported

BUFFER = "s->frame->in"
MAX_BLOCKS = 512
MAX_OCTETS = 1024


@dataclass(frozen=True, slots=True)
class Tail:
    """Headers that stay in the frame: they start ``octet`` bytes into it, and ``last`` was the last of them so far."""

    octet: int
    last: str


@dataclass(frozen=True, slots=True)
class Block:
    """A state, so many bytes into the frame, with so much in the header stacks, and behind such headers."""

    state: str
    octet: int
    full: Full
    tail: Tail | None = None

    @property
    def label(self) -> str:
        counts = "".join(f"_{count}" for count in self.full.counts)
        kept = f"_kept_{self.tail.octet}_{c_name(self.tail.last)}" if self.tail else ""
        return f"{c_name(self.state)}_at_{self.octet}{counts}{kept}"


class _MustMove(Exception):
    """This header cannot stay where it is in the frame."""

    def __init__(self, header: str) -> None:
        super().__init__(header)
        self.header = header


class ParserWriter:
    """Writes ``parse()``; then ``octets`` is the most that a way through it reads, ``kept`` what stays in the frame."""

    def __init__(self, out: Writer, program: Program) -> None:
        self._out = out
        self._program = program
        self._blocks: dict[Block, Unrolled] = {}
        self.octets = 0
        self.kept = kept_at_most(program)
        self._read = read_fields(program)

    def write(self) -> None:
        """Raises :class:`Unsupported` where the parser loops."""
        out = self._out
        first = Block(self._program.start, 0, Full((0,) * len(self._program.stacks)))
        self._find_blocks(first)
        with out.block("static __always_inline void parse(struct state *s)"):
            for block, unrolled in self._blocks.items():
                if block != first:
                    out.label(block.label)
                with out.block("", None):
                    self._block(block, unrolled)
        out.line()

    def _find_blocks(self, first: Block) -> None:
        while True:
            self._blocks, self.octets = {}, 0
            try:
                return self._collect(first, frozenset())
            except _MustMove as moved:
                # And with it those that the deparser puts in front of it.
                self.kept = self.kept[self.kept.index(moved.header) + 1 :]

    def _collect(self, block: Block, path: frozenset[tuple[str, Full]]) -> None:
        """Every block that can be reached, in the order of a depth-first walk."""
        state = self._program.states[block.state]
        here = (block.state, block.full)
        if here in path:
            raise Unsupported(
                f"a parser loop that fills no header stack, through state {state.name},", str(state.source)
            )
        if block in self._blocks:
            return
        unrolled = self._blocks[block] = unroll(self._program, state, block.full)
        end, tail = block.octet, block.tail
        for op in unrolled.ops:
            tail = self._tail_behind(op, end, tail)
            end += self._taken(op)
        self.octets = max(self.octets, block.octet, *_lookahead_ends(unrolled, end))
        if len(self._blocks) > MAX_BLOCKS or self.octets > MAX_OCTETS:
            raise Unsupported(f"a parser with more than {MAX_BLOCKS} blocks or {MAX_OCTETS} bytes", str(state.source))
        for following in () if unrolled.left else _successors(state):
            self._collect(Block(following, end, unrolled.full, tail), path | {here})

    def _tail_behind(self, op: object, octet: int, tail: Tail | None) -> Tail | None:
        """What stays in the frame, behind an operation ``octet`` bytes into it. Raises :class:`_MustMove`."""
        if isinstance(op, Extract) and op.header in self.kept:
            if tail is None and octet >= FRONT_OCTETS:
                return Tail(octet, op.header)
            if tail is None or self.kept.index(op.header) <= self.kept.index(tail.last):
                raise _MustMove(op.header)
            return Tail(tail.octet, op.header)
        if tail is not None and self._taken(op):
            raise _MustMove(tail.last)
        return tail

    def _taken(self, op: object) -> int:
        """Bytes that an operation takes."""
        if isinstance(op, Extract):
            return self._program.headers[op.header].octets
        return op.octets if isinstance(op, Advance) else 0

    def _block(self, block: Block, unrolled: Unrolled) -> None:
        out, octet, tail = self._out, block.octet, block.tail
        out.comment(f"state {block.state}, {octet} bytes into the frame")
        for op in unrolled.ops:
            match op:
                case Extract():
                    self._extract(op, octet, tail)
                case Advance():
                    self._need(octet, op.octets, tail)
                case Leave():
                    self._leave(octet, tail, OUT_OF_BOUNDS)
                case Verify():
                    self._need_lookahead(op.condition, octet, tail)
                    condition = self._expressions(op.source, octet).truth(op.condition)
                    with out.block(f"if (!({condition}))", op.source):
                        self._leave(octet, tail, op.error)
                case Assign():
                    self._need_lookahead(op.value, octet, tail)
                    expressions = self._expressions(op.source, octet)
                    write_assign(out, self._program, expressions, op, known_valid=frozenset())
                case AssignHeader() | SetValid() | SetInvalid():
                    write_statement(out, self._program, op, set())
                case ExtractNext():
                    raise AssertionError("unrolled")
            tail = self._tail_behind(op, octet, tail)
            octet += self._taken(op)
        if not unrolled.left:
            for key in unrolled.keys:
                self._need_lookahead(key, octet, tail)
            self._select(self._program.states[block.state], unrolled, octet, tail)

    def _expressions(self, source: Source, octet: int) -> Expressions:
        return Expressions(source, lookahead=lambda look: _lookahead(look, octet))

    def _need_lookahead(self, expr: Expr, octet: int, tail: Tail | None) -> None:
        ends = [part.offset + part.width for part in parts_of(expr) if isinstance(part, Lookahead)]
        if ends:
            self._need(octet, (max(ends) + 7) // 8, tail)

    def _need(self, octet: int, octets: int, tail: Tail | None) -> None:
        with self._out.block(f"if (s->frame->length < {octet + octets})"):
            self._leave(octet, tail, TOO_SHORT)

    def _leave(self, octet: int, tail: Tail | None, error: int | str) -> None:
        number = self._program.errors.get(error, 0) if isinstance(error, str) else error
        self._out.line(f"s->standard_metadata.parser_error = {number};")
        self._accept(octet, tail)

    def _accept(self, octet: int, tail: Tail | None) -> None:
        self._out.line(f"s->frame->parsed = {octet};")
        self._out.line(f"s->frame->replaced = {tail.octet if tail else octet};")
        self._out.line("return;")

    def _extract(self, op: Extract, octet: int, tail: Tail | None) -> None:
        header = self._program.headers[op.header]
        self._need(octet, header.octets, tail)
        offset = 8 * octet
        for field in header.fields:
            ref = FieldRef(header.name, field.name, field.width)
            # The deparser reads all fields, but not those of a header that stays where it is.
            if ref in self._read or header.name not in self.kept:
                for statement in load_field(BUFFER, offset, ref):
                    self._out.line(statement)
            offset += field.width
        self._out.line(f"{valid_path(header.name)} = 1;")

    def _select(self, state: State, unrolled: Unrolled, octet: int, tail: Tail | None) -> None:
        for transition in state.transitions:
            with self._out.block(f"if ({_matches(state, unrolled, transition, octet)})"):
                self._goto(transition.next_state, octet, unrolled.full, tail)
        self._goto(state.default, octet, unrolled.full, tail)

    def _goto(self, name: str | None, octet: int, full: Full, tail: Tail | None) -> None:
        if name is None:
            self._accept(octet, tail)
        else:
            self._out.line(f"goto {Block(name, octet, full, tail).label};")


def _successors(state: State) -> list[str]:
    names = [*(transition.next_state for transition in state.transitions), state.default]
    return [name for name in names if name is not None]


def _lookahead_ends(unrolled: Unrolled, end: int) -> list[int]:
    """The end of the state, and the last byte that each of its lookaheads may touch, generously."""
    values = [op.value for op in unrolled.ops if isinstance(op, Assign)]
    conditions = [op.condition for op in unrolled.ops if isinstance(op, Verify)]
    looks = [
        part
        for expr in (*unrolled.keys, *values, *conditions)
        for part in parts_of(expr)
        if isinstance(part, Lookahead)
    ]
    return [end, *(end + (look.offset + look.width + 7) // 8 for look in looks)]


def _lookahead(look: Lookahead, octet: int) -> Term:
    text = load_bits(BUFFER, 8 * octet + look.offset, look.width)
    return Term(text, look.width, wide=look.width > 32, atom=False)


def _matches(state: State, unrolled: Unrolled, transition: Transition, octet: int) -> str:
    parts: list[str] = []
    for key, value, mask in zip(unrolled.keys, transition.values, transition.masks, strict=True):
        if mask:
            parts.extend(_key_matches(key, value & mask, mask, octet, state))
    return " && ".join(parts) or "1"


def _key_matches(key: FieldRef | Lookahead, value: int, mask: int, octet: int, state: State) -> Sequence[str]:
    expressions = Expressions(state.source, lookahead=lambda look: _lookahead(look, octet))
    limbs = [(lo, min(64, key.width - lo)) for lo in range(0, key.width, 64)]
    return [
        _compared(expressions.bits(key, lo, n).operand, value >> lo & (1 << n) - 1, mask >> lo & (1 << n) - 1, n)
        for lo, n in limbs
        if mask >> lo & (1 << n) - 1
    ]


def _compared(text: str, value: int, mask: int, width: int) -> str:
    if mask == (1 << width) - 1:
        return f"{text} == {const_text(value)}"
    return f"({text} & {const_text(mask)}) == {const_text(value)}"
