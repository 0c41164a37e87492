"""The vectors reach every part of the program: parser, tables, actions, conditions, reasons to drop."""

from __future__ import annotations

import pytest
from conformance.coverage import COUNTER, instrument, reasons_to_drop
from conformance.parser import Branch, Parser
from conformance.target import Program, Target
from conformance.vectors import VECTORS

UNREACHABLE = {
    # A socket sends no frame shorter than an Ethernet header.
    Branch("start", "cut off"),
    # Linux lets no such frame reach a switch; tests/packet/test_short_frames.py has it beside the wire.
    Branch("parse_vlan", "cut off"),
}
MONITOR = "ezpath/monitor.p4"
"""What it does depends on all it saw before: it has tests of its own."""


def test_every_way_through_the_parser_is_in_a_vector(program: Program) -> None:
    parser = Parser(program.config)

    taken = {branch for vector in VECTORS for _, frame in vector.sent for branch in parser.walk(frame).branches}

    assert set(parser.branches()) - taken == UNREACHABLE


def test_every_reason_to_drop_is_in_a_vector(program: Program) -> None:
    reasons = reasons_to_drop(program.config)

    assert len(reasons) >= 12
    assert reasons == {reason for vector in VECTORS for reason in vector.expected.drops}


@pytest.mark.root
def test_every_action_every_miss_and_both_ways_of_every_condition_run(target: Target, program: Program) -> None:
    # Given the program, counting, and what it counts for one round of sentinels
    counting = instrument(program)
    target.load(counting.program)
    target.settle(1)
    of_a_round = target.counter(COUNTER)[:, 0]

    # When all vectors have run
    for vector in VECTORS:
        target.install(vector.tables)
        assert target.observe(vector.sent) == vector.expected, vector.name

    # Then each part has run for a vector, not only for sentinels
    counted = target.counter(COUNTER)[:, 0] - of_a_round * target.rounds
    idle = {part for part, packets in zip(counting.parts, counted, strict=True) if packets == 0}
    assert {part for part in idle if part.source != MONITOR} == set()
