"""Calculations: checksums and hashes over fields, bit for bit as BMv2 computes them."""

from __future__ import annotations

from itertools import groupby

from ezpath_tor.bmv2.language import Const, Field, FieldRef, Source
from ezpath_tor.bmv2.model import Calculation, Checksum, Program
from ezpath_tor.codegen.expressions import Expressions, const_text
from ezpath_tor.codegen.names import c_name, field_path, valid_path
from ezpath_tor.codegen.wire import Piece, pieces_of, words
from ezpath_tor.codegen.writer import Writer, quote
from ezpath_tor.plane import Unsupported


def hash_function(calculation: Calculation) -> str:
    return f"hash_{c_name(calculation.name)}"


MAX_OPTIONAL_HEADERS = 4
"""Of one calculation: each that may be missing doubles the C."""


def write_calculation(out: Writer, program: Program, calculation: Calculation) -> None:
    """One C function: the inputs side by side, and the algorithm over them."""
    optional = _optional_headers(program, calculation)
    if len(optional) > MAX_OPTIONAL_HEADERS:
        raise Unsupported(
            f"{calculation.algorithm} over fields of more than {MAX_OPTIONAL_HEADERS} headers", str(calculation.source)
        )
    out.comment(f"calculation {calculation.name} {quote(calculation.source)}", calculation.source)
    with out.block(f"static __always_inline u64 {hash_function(calculation)}(struct state *s)"):
        _write_variants(out, calculation, optional, frozenset())
    out.line()


def _optional_headers(program: Program, calculation: Calculation) -> tuple[str, ...]:
    """Headers whose fields BMv2 leaves out of the input where they are not valid, so that the rest moves up.

    They are zero then: in a csum16 that is the same, where whole words of 16 bits are left out.
    """
    optional: dict[str, None] = {}
    offset = 0
    inputs = zip(calculation.inputs, calculation.widths, strict=True)
    for header, run in groupby(inputs, lambda one: one[0].header if isinstance(one[0], FieldRef) else ""):
        width = sum(width for _, width in run)
        same = calculation.algorithm == "csum16" and offset % 16 == width % 16 == 0
        if header and not program.headers[header].metadata and not same:
            optional[header] = None
        offset += width
    return tuple(optional)


def _write_variants(out: Writer, calculation: Calculation, optional: tuple[str, ...], missing: frozenset[str]) -> None:
    """The calculation where these headers are missing, and each of the optional ones is or is not."""
    if optional:
        with out.block(f"if ({valid_path(optional[0])})"):
            _write_variants(out, calculation, optional[1:], missing)
        _write_variants(out, calculation, optional[1:], missing | {optional[0]})
        return
    inputs = [
        (element, width)
        for element, width in zip(calculation.inputs, calculation.widths, strict=True)
        if isinstance(element, Const) or element.header not in missing
    ]
    pieces = [piece for element, width in inputs for piece in _pieces(element, width, calculation.source)]
    octets = (sum(width for _, width in inputs) + 7) // 8
    if not octets:
        out.line(f"return {calculation.algorithm}(NULL, 0);")
        return
    with out.block("u64 input[] =", tail="};"):
        for word in words(pieces):
            out.line(f"{word},")
    out.line(f"return {calculation.algorithm}(input, {octets});")


def _pieces(element: FieldRef | Const, width: int, source: Source) -> list[Piece]:
    if isinstance(element, FieldRef):
        return pieces_of(Field(element.field, width), field_path(element))
    if width > 64:
        raise Unsupported(f"a constant of {width} bits in a calculation", str(source))
    return [Piece(const_text(element.value), width)]


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
