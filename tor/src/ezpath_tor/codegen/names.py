"""P4 names to C names."""

from __future__ import annotations

import re

from ezpath_tor.bmv2.language import FieldRef

_C_WORDS = """
    auto bool break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while asm typeof true false NULL
"""
C_WORDS = frozenset(_C_WORDS.split())


def c_name(p4_name: str) -> str:
    """A C identifier that a reader recognises: ``EzIngress.tunnel.endpoint`` is ``EzIngress_tunnel_endpoint``."""
    name = re.sub(r"\W", "_", p4_name)
    if name in C_WORDS or name[:1].isdigit():
        return f"{name}_"
    return name


def c_type(width: int) -> str:
    """The C type that holds a value of ``width`` bits, at most 64."""
    for bits in (8, 16, 32, 64):
        if width <= bits:
            return f"u{bits}"
    raise ValueError(f"{width} bits do not fit a C integer")


def declaration(name: str, width: int) -> str:
    """A struct member; wide values are limbs, the least significant first."""
    if width <= 64:
        return f"{c_type(width)} {name};"
    return f"u64 {name}[{(width + 63) // 64}];"


ON_STACK = frozenset({"scalars", "standard_metadata"})
"""What the compiler knows best what to do with: the program's variables and the switch's, on the BPF stack."""


def header_path(header: str) -> str:
    return f"s->{c_name(header)}" if header in ON_STACK else f"s->headers->{c_name(header)}"


def field_path(ref: FieldRef) -> str:
    return f"{header_path(ref.header)}.{c_name(ref.field)}"


def valid_path(header: str) -> str:
    return f"s->headers->valid.{c_name(header)}"
