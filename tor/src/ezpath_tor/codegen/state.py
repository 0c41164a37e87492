"""The structs of the generated C: headers, metadata and what a packet's way through the program needs.

A BPF stack has 512 bytes, and the headers alone may need more: they and the frame are in memory that each CPU has
one of. The program's variables are on the stack, where the compiler can keep them in registers or see that nobody
reads them. Where that is too much for the stack after all, ``STATE_IN_MAP`` moves them to the others.
"""

from __future__ import annotations

from ezpath_tor.bmv2.language import Header
from ezpath_tor.bmv2.model import Program
from ezpath_tor.codegen.names import ON_STACK, c_name, declaration, global_name, header_path, member_name
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.plane import PlaneError


def write_state(out: Writer, program: Program) -> None:
    """``struct state``, which every function of the program gets."""
    for type_name, header in _types(program).items():
        check_unique(type_name, [c_name(field.name) for field in header.fields])
        with out.block(f"struct {global_name(type_name)}", tail="};"):
            for field in header.fields:
                out.line(declaration(c_name(field.name), field.width))
        out.line()
    check_unique("the program", [member_name(name) for name in program.headers])
    with out.block("struct headers", tail="};"):
        with out.block("struct", tail="} valid;"):
            for header in _on_wire(program):
                out.line(f"u8 {member_name(header.name)};")
        _members(out, _in_map(program))
    with out.block("struct state", tail="};"):
        out.line("#ifdef STATE_IN_MAP")
        out.line("struct frame frame[1];")
        out.line("struct headers headers[1];")
        out.line("#else")
        out.line("struct frame *frame;")
        out.line("struct headers *headers;")
        out.line("#endif")
        out.line("u8 exited;  // an action said exit")
        _members(out, [header for header in program.headers.values() if header.name in ON_STACK])
    out.line()


def write_reset(out: Writer, program: Program) -> None:
    """All of a packet's state zero: no header valid, and invalid headers read as zero."""
    with out.block("static __always_inline void reset(struct state *s)"):
        out.line("s->exited = 0;")
        out.line("clear(&s->headers[0]);")
        for header in program.headers.values():
            if header.name in ON_STACK:
                out.line(f"clear(&{header_path(header.name)});")
    out.line()


def _members(out: Writer, headers: list[Header]) -> None:
    for header in headers:
        out.line(f"struct {global_name(header.type_name)} {member_name(header.name)};")


def _in_map(program: Program) -> list[Header]:
    return [header for header in program.headers.values() if header.name not in ON_STACK]


def _on_wire(program: Program) -> list[Header]:
    return [header for header in program.headers.values() if not header.metadata]


def _types(program: Program) -> dict[str, Header]:
    return {header.type_name: header for header in program.headers.values()}


def check_unique(where: str, names: list[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PlaneError(f"two names of {where} become the same C name: {', '.join(sorted(twice))}; rename one")
