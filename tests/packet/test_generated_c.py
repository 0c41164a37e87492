"""The C that a program becomes: legible, with its P4 line beside each statement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.language import Binary, Const, FieldRef, Source, Unary
from ezpath_tor.bmv2.model import Conditional, Pipeline
from ezpath_tor.codegen import generate
from ezpath_tor.codegen.bounds import bits_needed
from ezpath_tor.codegen.control import meeting_points
from ezpath_tor.codegen.expressions import Expressions

CONFIG = Path(__file__).parents[2] / "p4" / "ezpath.json"
C1 = FieldRef("scalars", "c1", 256)
A, B = FieldRef("h", "a", 8), FieldRef("h", "b", 32)
EXPRESSIONS = Expressions(Source("x.p4", 1))


@pytest.fixture(scope="module")
def source() -> str:
    return generate(read_program(CONFIG.read_bytes()))


def functions(source: str, prefix: str) -> list[str]:
    """Bodies of the functions whose name starts with ``prefix``."""
    return re.findall(rf"static __always_inline \w+ {prefix}\w*\(.*?\n}}\n", source, flags=re.DOTALL)


def test_each_statement_of_an_action_names_its_p4_line(source: str) -> None:
    [body] = functions(source, "EzIngress_tunnel_encapsulate")
    statements = [line for line in body.splitlines() if " = " in line and not line.startswith("\t\t")]

    assert len(statements) > 20
    assert all(re.search(r"// ezpath/\w+\.p4:\d+$", line) for line in statements)


def test_each_condition_shows_its_p4_text(source: str) -> None:
    [body] = functions(source, "ingress")
    conditions = [line for line in body.splitlines() if "if (" in line and "apply_" not in line]

    assert len(conditions) > 20
    assert all(re.search(r"// ezpath(/\w+)?\.p4:\d+: \S", line) for line in conditions)


def test_control_flow_is_nested_as_in_p4(source: str) -> None:
    [body] = functions(source, "ingress")

    assert body.count("goto ") == 1, "only route.apply(), which P4 has at two places"
    assert "} else if (s->headers->valid.arp) {" in body
    assert "switch (apply_EzIngress_tunnel_local_vtep(s)) {" in body


def test_tables_actions_and_registers_keep_their_names(source: str) -> None:
    for name in ("EzIngress_tunnel_endpoint SEC", "EzIngress_tunnel_to_port(", "EzIngress_monitor_stage1 SEC"):
        assert name in source


def test_nothing_of_the_program_is_in_the_support_code() -> None:
    runtime = (Path(__file__).parents[2] / "tor/src/ezpath_tor/runtime.h").read_text().lower()
    for word in ("vxlan", "tenant", "vni", "ezpath", "4789"):
        assert word not in runtime


def shift(value: Binary | FieldRef, amount: int) -> Binary:
    return Binary(">>", value, Const(amount))


@pytest.mark.parametrize(
    "expression, width, text",
    [
        (Binary("&", shift(C1, 128), Const((1 << 64) - 1)), 64, "s->scalars.c1[2]"),
        (Binary("&", shift(C1, 96), Const((1 << 32) - 1)), 32, "s->scalars.c1[1] >> 32"),
        (Binary("&", Binary("+", A, Const(255)), Const(255)), 8, "s->headers->h.a + 0xff"),
        (
            Binary("&", Binary("-", B, A), Const(0xFFFFFFFFFF)),
            48,
            "((u64)s->headers->h.b - s->headers->h.a) & 0xffffffffffull",
        ),
        (Binary("<<", A, Const(40)), 64, "(u64)s->headers->h.a << 40"),
        (Binary("&", A, Const(0)), 8, "0"),
    ],
)
def test_only_the_bits_that_are_asked_for_are_computed(expression: Binary, width: int, text: str) -> None:
    assert EXPRESSIONS.assigned(expression, width) == text


def test_a_concatenation_falls_apart_into_limbs() -> None:
    both = Binary("|", Binary("<<", A, Const(120)), B)

    assert EXPRESSIONS.limbs(both, 128) == ["s->headers->h.b", "(u64)s->headers->h.a << 56"]


def test_bounds_of_exact_values() -> None:
    assert bits_needed(Binary("+", A, B)) == 33
    assert bits_needed(Binary("*", A, B)) == 40
    assert bits_needed(Binary("-", A, B)) is None
    assert bits_needed(Binary("&", Unary("~", A), Const(0xF))) == 4


def diamond(**nodes: tuple[str | None, str | None]) -> Pipeline:
    conditionals = {
        name: Conditional(name, Const(1), then, otherwise, Source()) for name, (then, otherwise) in nodes.items()
    }
    return Pipeline("ingress", "a", conditionals, Source())


def test_branches_meet_where_all_ways_lead() -> None:
    pipeline = diamond(a=("b", "c"), b=("d", "d"), c=("d", "e"), d=("e", "e"), e=(None, None))

    assert meeting_points(pipeline) == {"a": "e", "b": "d", "c": "e", "d": "e", "e": None}
