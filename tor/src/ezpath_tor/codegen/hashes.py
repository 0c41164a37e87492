"""Calculations: checksums and hashes over fields, bit for bit as BMv2 computes them."""

from __future__ import annotations

from ezpath_tor.bmv2.language import Const, Field, FieldRef
from ezpath_tor.bmv2.model import Calculation, Checksum, Program
from ezpath_tor.codegen.expressions import Expressions, const_text
from ezpath_tor.codegen.names import c_name, field_path, valid_path
from ezpath_tor.codegen.wire import Piece, pieces_of, store_octets, whole_octets
from ezpath_tor.codegen.writer import Writer, quote
from ezpath_tor.plane import Unsupported


def hash_function(calculation: Calculation) -> str:
    return f"hash_{c_name(calculation.name)}"


def write_calculation(out: Writer, calculation: Calculation) -> None:
    """One C function: the inputs side by side in a buffer, and the algorithm over it."""
    pieces = [
        piece
        for element, width in zip(calculation.inputs, calculation.widths, strict=True)
        for piece in _pieces(element, width)
    ]
    octets = (sum(calculation.widths) + 7) // 8
    out.comment(f"calculation {calculation.name} {quote(calculation.source)}", calculation.source)
    name = hash_function(calculation)
    with out.block(f"static __always_inline u64 {name}(struct state *s)"):
        # Not on the stack: BPF does not store unaligned words there.
        out.line("u8 *input = s->frame->scratch;")
        for offset, size, value in whole_octets(pieces):
            out.line(store_octets("input", offset, size, value))
        out.line(f"return {calculation.algorithm}(input, {octets});")
    out.line()


def _pieces(element: FieldRef | Const, width: int) -> list[Piece]:
    if isinstance(element, FieldRef):
        return pieces_of(Field(element.field, width), field_path(element))
    if width > 64:
        raise Unsupported(f"constant of {width} bits in a calculation")
    return [Piece(const_text(element.value), width)]


def scratch_octets(program: Program) -> int:
    """Bytes of scratch memory that the largest calculation needs."""
    return max(((sum(calc.widths) + 7) // 8 for calc in program.calculations.values()), default=0)


def write_checksums(out: Writer, program: Program) -> None:
    """``verify_checksums`` runs after the parser, ``update_checksums`` before the deparser."""
    with out.block("static __always_inline void verify_checksums(struct state *s)"):
        for checksum in program.checksums:
            if checksum.verify:
                _verify(out, program, checksum)
    out.line()
    with out.block("static __always_inline void update_checksums(struct state *s)"):
        for checksum in program.checksums:
            if checksum.update:
                _update(out, program, checksum)
    out.line()


def _verify(out: Writer, program: Program, checksum: Checksum) -> None:
    conditions = [*_target_valid(program, checksum), *_condition(checksum)]
    conditions.append(f"{field_path(checksum.target)} != {_computed(program, checksum)}")
    with out.block(f"if ({' && '.join(conditions)})", checksum.source):
        out.line("s->standard_metadata.checksum_error = 1;")


def _update(out: Writer, program: Program, checksum: Checksum) -> None:
    conditions = [*_target_valid(program, checksum), *_condition(checksum)]
    with out.block(f"if ({' && '.join(conditions) or 1})", checksum.source):
        mask = (1 << checksum.target.width) - 1
        out.line(f"{field_path(checksum.target)} = {_computed(program, checksum)} & {mask:#x}ull;")


def _computed(program: Program, checksum: Checksum) -> str:
    if checksum.target.width > 64:
        raise Unsupported(f"checksum of {checksum.target.width} bits", str(checksum.source))
    return f"{hash_function(program.calculations[checksum.calculation])}(s)"


def _target_valid(program: Program, checksum: Checksum) -> list[str]:
    header = checksum.target.header
    return [] if program.headers[header].metadata else [valid_path(header)]


def _condition(checksum: Checksum) -> list[str]:
    if checksum.condition is None:
        return []
    return [f"({Expressions(checksum.source).truth(checksum.condition)})"]
