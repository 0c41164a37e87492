"""The deparser: the valid headers, in order, into the output buffer; without those that stay where they are."""

from __future__ import annotations

from collections.abc import Collection

from ezpath_tor.bmv2.model import Program
from ezpath_tor.codegen.names import valid_path
from ezpath_tor.codegen.wire import store_header
from ezpath_tor.codegen.writer import Writer


def emitted_octets(program: Program, kept: Collection[str]) -> int:
    """Bytes where all headers are valid."""
    return sum(program.headers[name].octets for name in program.deparse_order if name not in kept)


def write_deparser(out: Writer, program: Program, kept: Collection[str]) -> None:
    """Writes ``deparse()``, which returns false where the headers do not fit the buffer."""
    with out.block("static __always_inline bool deparse(struct state *s)"):
        out.line("u8 *p;")
        out.line("s->frame->emitted = 0;")
        for name in program.deparse_order:
            header = program.headers[name]
            if name in kept:
                out.comment(f"{name} is in the frame and nothing changes it.")
                continue
            with out.block(f"if ({valid_path(name)})"):
                out.line(f"p = emit(s->frame, {header.octets});")
                out.line("if (!p)")
                out.line("\treturn false;")
                for statement in store_header("p", header):
                    out.line(statement)
        out.line("return true;")
    out.line()
