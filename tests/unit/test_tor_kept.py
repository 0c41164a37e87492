"""What the generated C leaves out: headers that stay in the frame, fields that nobody reads, the exact clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.language import Assign, Binary, Const, Field, FieldRef, SetInvalid, Source, Statement
from ezpath_tor.bmv2.model import STANDARD_METADATA, Action, Advance, Program
from ezpath_tor.codegen import generate
from ezpath_tor.codegen.clock import microseconds
from ezpath_tor.codegen.kept import read_fields
from ezpath_tor.codegen.parser import ParserWriter
from ezpath_tor.codegen.wire import pieces_of, words
from ezpath_tor.codegen.writer import Writer

HERE = Source("x.p4", 1)
INNER = ("inner_ipv4", "inner_ipv6", "inner_ports")


@pytest.fixture(scope="module")
def program() -> Program:
    return read_program((Path(__file__).parents[2] / "p4" / "ezpath.json").read_bytes())


def kept(program: Program) -> tuple[str, ...]:
    parser = ParserWriter(Writer(), program)
    parser.write()
    return parser.kept


def with_statement(program: Program, statement: Statement) -> Program:
    """The program with one more action."""
    action = Action(max(program.actions) + 1, "more", (), (statement,), HERE)
    return replace(program, actions={**program.actions, action.id: action})


def test_headers_that_the_program_only_reads_and_that_come_last_stay_in_the_frame(program: Program) -> None:
    assert kept(program) == INNER


@pytest.mark.parametrize(
    "statement, expected",
    [
        (Assign(FieldRef("inner_ipv4", "ttl", 8), Const(1), HERE), INNER[1:]),
        (SetInvalid("inner_ipv6", HERE), INNER[2:]),
        (SetInvalid("inner_ports", HERE), ()),
    ],
)
def test_a_header_that_a_statement_changes_is_taken_out_and_so_are_those_before_it(
    program: Program, statement: Statement, expected: tuple[str, ...]
) -> None:
    assert kept(with_statement(program, statement)) == expected


def test_a_header_that_the_deparser_does_not_emit_does_not_stay(program: Program) -> None:
    without = replace(program, deparse_order=program.deparse_order[:-1])

    assert kept(without) == (), "what is in front of dropped bytes has to move"


def test_headers_do_not_stay_where_the_deparser_has_them_in_another_order(program: Program) -> None:
    *front, ipv4, ipv6, ports = program.deparse_order

    assert kept(replace(program, deparse_order=(*front, ports, ipv4, ipv6))) == ()
    assert kept(replace(program, deparse_order=(*front, ipv6, ipv4, ports))) == (ipv6, ipv4, ports)


def test_headers_do_not_stay_in_front_of_bytes_that_the_parser_drops(program: Program) -> None:
    state = program.states["parse_inner_ports"]
    dropping = replace(state, ops=(*state.ops, Advance(4, HERE)))

    assert kept(replace(program, states={**program.states, state.name: dropping})) == ()


def test_what_stays_is_not_emitted_and_only_what_is_read_of_it_is_loaded(program: Program) -> None:
    source = generate(program)

    assert "put_be16(p + 0, s->headers->inner_ports.sport);" not in source
    assert "s->headers->inner_ipv4.src = " in source
    assert "s->headers->inner_ipv4.checksum" not in source


def test_a_field_counts_as_read_wherever_it_is_named(program: Program) -> None:
    read = read_fields(program)

    assert FieldRef("inner_ipv4", "src", 32) in read, "by an action"
    assert FieldRef("arp", "hlen", 8) in read, "by a condition"
    assert FieldRef("inner_ipv6", "next_header", 8) in read, "by the parser"
    assert FieldRef("arp", "target_ip", 32) in read, "by a table's key"
    assert FieldRef("ipv4", "id", 16) in read, "by a checksum"
    assert FieldRef("inner_ipv6", "flow_label", 20) not in read


def test_a_timestamp_in_large_units_comes_from_the_coarse_clock(program: Program) -> None:
    timestamp = FieldRef(STANDARD_METADATA, "ingress_global_timestamp", 48)
    fine = Assign(FieldRef("scalars", "t", 48), Binary(">>", timestamp, Const(13)), HERE)
    whole = Assign(FieldRef("scalars", "t", 48), timestamp, HERE)

    assert microseconds(program, timestamp.field) == "coarse_microseconds"
    assert microseconds(with_statement(program, fine), timestamp.field) == "microseconds"
    assert microseconds(with_statement(program, whole), timestamp.field) == "microseconds"


def test_inputs_of_a_calculation_are_cut_into_words() -> None:
    a, b, c = (pieces_of(Field(name, width), name)[0] for name, width in (("a", 48), ("b", 24), ("c", 5)))

    assert list(words([a])) == ["a"]
    assert list(words([a, b])) == ["(u64)a << 16 | (b >> 8)", "(b & 0xffull)"]
    assert list(words([a, b, c])) == ["(u64)a << 16 | (b >> 8)", "(b & 0xffull) << 8 | c << 3"]
