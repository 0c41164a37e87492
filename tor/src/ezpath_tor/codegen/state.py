"""The structs of the generated C: headers, metadata and what a packet's way through the program needs."""

from __future__ import annotations

from ezpath_tor.bmv2.language import Header
from ezpath_tor.bmv2.model import Program
from ezpath_tor.codegen.names import c_name, declaration
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.plane import PlaneError


def write_state(out: Writer, program: Program) -> None:
    """``struct state``: one for each CPU, for a BPF stack has 512 bytes."""
    for type_name, header in _types(program).items():
        _check_unique(type_name, [c_name(field.name) for field in header.fields])
        with out.block(f"struct {c_name(type_name)}", tail="};"):
            if not header.metadata:
                out.line("u8 valid_;")
            for field in header.fields:
                out.line(declaration(c_name(field.name), field.width))
        out.line()
    _check_unique("the program", [c_name(name) for name in program.headers])
    with out.block("struct state", tail="};"):
        out.line("struct frame frame;")
        out.line("u8 exited;  // an action said exit")
        for header in program.headers.values():
            out.line(f"struct {c_name(header.type_name)} {c_name(header.name)};")
    out.line()


def write_reset(out: Writer, program: Program) -> None:
    """All of a packet's state zero: no header valid, and invalid headers read as zero."""
    with out.block("static __always_inline void reset(struct state *s)"):
        out.line("s->exited = 0;")
        for header in program.headers.values():
            out.line(f"clear(&s->{c_name(header.name)}, sizeof(s->{c_name(header.name)}));")
    out.line()


def _types(program: Program) -> dict[str, Header]:
    return {header.type_name: header for header in program.headers.values()}


def _check_unique(where: str, names: list[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PlaneError(f"two names of {where} become the same C name: {', '.join(sorted(twice))}; rename one")
