"""The parser, unrolled: one block for each state at each offset it can be reached at, so that offsets are constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ezpath_tor.bmv2.language import Assign, AssignHeader, Expr, FieldRef, Lookahead, SetInvalid, SetValid, Source
from ezpath_tor.bmv2.model import Advance, Extract, ExtractNext, Program, State, Transition, Verify
from ezpath_tor.bmv2.read import TOO_SHORT
from ezpath_tor.codegen.bounds import parts_of
from ezpath_tor.codegen.expressions import Expressions, Term, const_text
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
class Block:
    """A state, so many bytes into the frame and with so much in the header stacks."""

    state: str
    octet: int
    full: Full

    @property
    def label(self) -> str:
        counts = "".join(f"_{count}" for count in self.full.counts)
        return f"{c_name(self.state)}_at_{self.octet}{counts}"


class ParserWriter:
    """Writes ``parse()``. ``octets`` is then the most that any way through the parser reads."""

    def __init__(self, out: Writer, program: Program) -> None:
        self._out = out
        self._program = program
        self._blocks: dict[Block, Unrolled] = {}
        self.octets = 0

    def write(self) -> None:
        """Raises :class:`Unsupported` where the parser loops."""
        out = self._out
        first = Block(self._program.start, 0, Full((0,) * len(self._program.stacks)))
        self._collect(first, frozenset())
        with out.block("static __always_inline void parse(struct state *s)"):
            for block, unrolled in self._blocks.items():
                if block != first:
                    out.label(block.label)
                with out.block("", None):
                    self._block(block, unrolled)
        out.line()

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
        end = block.octet + sum(self._taken(op) for op in unrolled.ops)
        self.octets = max(self.octets, block.octet, *_lookahead_ends(unrolled, end))
        if len(self._blocks) > MAX_BLOCKS or self.octets > MAX_OCTETS:
            raise Unsupported(f"a parser with more than {MAX_BLOCKS} blocks or {MAX_OCTETS} bytes", str(state.source))
        for following in () if unrolled.left else _successors(state):
            self._collect(Block(following, end, unrolled.full), path | {here})

    def _taken(self, op: object) -> int:
        """Bytes that an operation takes."""
        if isinstance(op, Extract):
            return self._program.headers[op.header].octets
        return op.octets if isinstance(op, Advance) else 0

    def _block(self, block: Block, unrolled: Unrolled) -> None:
        out, octet = self._out, block.octet
        out.comment(f"state {block.state}, {octet} bytes into the frame")
        for op in unrolled.ops:
            match op:
                case Extract():
                    self._extract(op, octet)
                case Advance():
                    self._need(octet, op.octets)
                case Leave():
                    self._leave(octet, OUT_OF_BOUNDS)
                case Verify():
                    self._need_lookahead(op.condition, octet)
                    condition = self._expressions(op.source, octet).truth(op.condition)
                    with out.block(f"if (!({condition}))", op.source):
                        self._leave(octet, op.error)
                case Assign():
                    self._need_lookahead(op.value, octet)
                    expressions = self._expressions(op.source, octet)
                    write_assign(out, self._program, expressions, op, known_valid=frozenset())
                case AssignHeader() | SetValid() | SetInvalid():
                    write_statement(out, self._program, op, set())
                case ExtractNext():
                    raise AssertionError("unrolled")
            octet += self._taken(op)
        if not unrolled.left:
            for key in unrolled.keys:
                self._need_lookahead(key, octet)
            self._select(self._program.states[block.state], unrolled, octet)

    def _expressions(self, source: Source, octet: int) -> Expressions:
        return Expressions(source, lookahead=lambda look: _lookahead(look, octet))

    def _need_lookahead(self, expr: Expr, octet: int) -> None:
        ends = [part.offset + part.width for part in parts_of(expr) if isinstance(part, Lookahead)]
        if ends:
            self._need(octet, (max(ends) + 7) // 8)

    def _need(self, octet: int, octets: int) -> None:
        with self._out.block(f"if (s->frame->length < {octet + octets})"):
            self._leave(octet, TOO_SHORT)

    def _leave(self, octet: int, error: int | str) -> None:
        number = self._program.errors.get(error, 0) if isinstance(error, str) else error
        self._out.line(f"s->standard_metadata.parser_error = {number};")
        self._accept(octet)

    def _accept(self, octet: int) -> None:
        self._out.line(f"s->frame->parsed = {octet};")
        self._out.line("return;")

    def _extract(self, op: Extract, octet: int) -> None:
        header = self._program.headers[op.header]
        self._need(octet, header.octets)
        offset = 8 * octet
        for field in header.fields:
            for statement in load_field(BUFFER, offset, FieldRef(header.name, field.name, field.width)):
                self._out.line(statement)
            offset += field.width
        self._out.line(f"{valid_path(header.name)} = 1;")

    def _select(self, state: State, unrolled: Unrolled, octet: int) -> None:
        for transition in state.transitions:
            with self._out.block(f"if ({_matches(state, unrolled, transition, octet)})"):
                self._goto(transition.next_state, octet, unrolled.full)
        self._goto(state.default, octet, unrolled.full)

    def _goto(self, name: str | None, octet: int, full: Full) -> None:
        if name is None:
            self._accept(octet)
        else:
            self._out.line(f"goto {Block(name, octet, full).label};")


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
