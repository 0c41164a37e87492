"""The parser, unrolled: one block for each state at each offset it can be reached at, so that offsets are constant."""

from __future__ import annotations

from collections.abc import Sequence

from ezpath_tor.bmv2.language import Assign, Expr, FieldRef, Lookahead, Source
from ezpath_tor.bmv2.model import Extract, Program, State, Transition, Verify
from ezpath_tor.codegen.expressions import Expressions, Term, const_text
from ezpath_tor.codegen.names import c_name, field_path, valid_path
from ezpath_tor.codegen.statements import write_assign
from ezpath_tor.codegen.wire import load_bits, load_field
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.plane import Unsupported

BUFFER = "s->frame->in"
TOO_SHORT = "PacketTooShort"
MAX_BLOCKS = 512
MAX_OCTETS = 1024


class ParserWriter:
    """Writes ``parse()``. ``octets`` is then the most that any way through the parser reads."""

    def __init__(self, out: Writer, program: Program) -> None:
        self._out = out
        self._program = program
        self._blocks: list[tuple[str, int]] = []
        self.octets = 0

    def write(self) -> None:
        """Raises :class:`Unsupported` where the parser loops."""
        out = self._out
        self._collect(self._program.start, 0, ())
        with out.block("static __always_inline void parse(struct state *s)"):
            for name, octet in self._blocks:
                self._state(self._program.states[name], octet)
        out.line()

    def _collect(self, name: str, octet: int, path: tuple[str, ...]) -> None:
        """Every (state, offset) that can be reached, in the order of a depth-first walk."""
        state = self._program.states[name]
        if name in path:
            raise Unsupported(f"parser loop through state {name}", str(state.source))
        if (name, octet) in self._blocks:
            return
        self._blocks.append((name, octet))
        end = octet + self._consumed(state)
        self.octets = max(self.octets, end, *self._lookahead_ends(state, octet, end))
        if len(self._blocks) > MAX_BLOCKS or self.octets > MAX_OCTETS:
            raise Unsupported(f"parser with more than {MAX_BLOCKS} blocks or {MAX_OCTETS} bytes", str(state.source))
        for successor in [*(transition.next_state for transition in state.transitions), state.default]:
            if successor is not None:
                self._collect(successor, end, (*path, name))

    def _consumed(self, state: State) -> int:
        return sum(self._program.headers[op.header].octets for op in state.ops if isinstance(op, Extract))

    def _lookahead_ends(self, state: State, octet: int, end: int) -> list[int]:
        """Last byte that each lookahead of the state may touch, generously."""
        keys = [key for key in state.keys if isinstance(key, Lookahead)]
        sets = [op.value for op in state.ops if isinstance(op, Assign) and isinstance(op.value, Lookahead)]
        return [octet, *(end + (look.offset + look.width + 7) // 8 for look in [*keys, *sets])]

    def _state(self, state: State, octet: int) -> None:
        out = self._out
        if (state.name, octet) != self._blocks[0]:
            out.label(_label(state.name, octet))
        with out.block("", None):
            out.comment(f"state {state.name}, {octet} bytes into the frame")
            for op in state.ops:
                match op:
                    case Extract():
                        self._extract(op, octet)
                        octet += self._program.headers[op.header].octets
                    case Verify():
                        condition = self._expressions(op.source, octet).truth(op.condition)
                        with out.block(f"if (!({condition}))", op.source):
                            self._leave(octet, op.error)
                    case Assign():
                        expressions = self._expressions(op.source, octet)
                        self._need_lookahead(op.value, octet)
                        write_assign(out, self._program, expressions, op, known_valid=frozenset())
            for key in state.keys:
                self._need_lookahead(key, octet)
            self._select(state, octet)

    def _expressions(self, source: Source, octet: int) -> Expressions:
        return Expressions(source, lookahead=lambda look: _lookahead(look, octet))

    def _need_lookahead(self, expr: Expr, octet: int) -> None:
        if isinstance(expr, Lookahead):
            self._need(octet, (expr.offset + expr.width + 7) // 8)

    def _need(self, octet: int, octets: int) -> None:
        with self._out.block(f"if (s->frame->length < {octet + octets})"):
            self._leave(octet, self._program.errors[TOO_SHORT])

    def _leave(self, octet: int, error: int) -> None:
        self._out.line(f"s->standard_metadata.parser_error = {error};")
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

    def _select(self, state: State, octet: int) -> None:
        for transition in state.transitions:
            with self._out.block(f"if ({_matches(state, transition, octet)})"):
                self._goto(transition.next_state, octet)
        self._goto(state.default, octet)

    def _goto(self, name: str | None, octet: int) -> None:
        if name is None:
            self._accept(octet)
        else:
            self._out.line(f"goto {_label(name, octet)};")


def _label(name: str, octet: int) -> str:
    return f"{c_name(name)}_at_{octet}"


def _lookahead(look: Lookahead, octet: int) -> Term:
    text = load_bits(BUFFER, 8 * octet + look.offset, look.width)
    return Term(text, look.width, wide=look.width > 32, atom=False)


def _matches(state: State, transition: Transition, octet: int) -> str:
    parts: list[str] = []
    for key, value, mask in zip(state.keys, transition.values, transition.masks, strict=True):
        if mask:
            parts.extend(_key_matches(key, value & mask, mask, octet, state))
    return " && ".join(parts) or "1"


def _key_matches(key: FieldRef | Lookahead, value: int, mask: int, octet: int, state: State) -> Sequence[str]:
    if key.width > 64:
        if isinstance(key, Lookahead):
            raise Unsupported(f"lookahead of {key.width} bits", str(state.source))
        return [
            _compared(f"{field_path(key)}[{limb}]", value >> lo & (2**64 - 1), mask >> lo & (2**64 - 1), 64)
            for limb, lo in enumerate(range(0, key.width, 64))
            if mask >> lo & (2**64 - 1)
        ]
    text = field_path(key) if isinstance(key, FieldRef) else f"({_lookahead(key, octet).text})"
    return [_compared(text, value, mask, key.width)]


def _compared(text: str, value: int, mask: int, width: int) -> str:
    if mask == (1 << width) - 1:
        return f"{text} == {const_text(value)}"
    return f"({text} & {const_text(mask)}) == {const_text(value)}"
