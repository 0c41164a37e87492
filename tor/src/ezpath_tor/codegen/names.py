"""P4 names to C names."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from ezpath_tor.bmv2.language import FieldRef

SUPPORT_FILES = ("runtime.h", "numbers.h")
"""The C that every generated program includes."""

_C_WORDS = """
    auto bool break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while asm typeof true false NULL
"""
C_WORDS = frozenset(_C_WORDS.split())

_GENERATED = """
    action cpu cpus deparse egress entry exited frame headers hit ingress key license_text on_stack p4_switch params
    parse ran reset result s search state take_state update_checksums verify_checksums version zero
"""
GENERATED = frozenset(_GENERATED.split())
"""Names that the generated C has whatever the program."""


@cache
def support_text(name: str) -> str:
    """The text of one of SUPPORT_FILES."""
    return resources.files("ezpath_tor").joinpath(name).read_text()


@cache
def _taken() -> tuple[frozenset[str], frozenset[str]]:
    """Macros, and all names, of the C that the program is compiled with."""
    text = "".join(support_text(name) for name in SUPPORT_FILES)
    return frozenset(re.findall(r"#define\s+(\w+)", text)), frozenset(re.findall(r"[A-Za-z_]\w*", text)) | GENERATED


def c_name(p4_name: str) -> str:
    """A C identifier that a reader recognises: ``EzIngress.tunnel.endpoint`` is ``EzIngress_tunnel_endpoint``."""
    name = re.sub(r"\W", "_", p4_name, flags=re.ASCII)
    macros, _ = _taken()
    if name in C_WORDS or name in macros or not name or name[0].isdigit():
        return f"{name}_"
    return name


def global_name(p4_name: str) -> str:
    """The same for tables, actions, registers and the like, which must not meet a name of the support code."""
    name = c_name(p4_name)
    _, names = _taken()
    return f"{name}_" if name in names else name


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
    return f"s->{c_name(header)}" if header in ON_STACK else f"s->headers->{member_name(header)}"


def member_name(header: str) -> str:
    """A header's place in ``struct headers``, which has a member of its own."""
    name = c_name(header)
    return f"{name}_" if name == "valid" else name


def field_path(ref: FieldRef) -> str:
    return f"{header_path(ref.header)}.{c_name(ref.field)}"


def valid_path(header: str) -> str:
    return f"s->headers->valid.{member_name(header)}"
