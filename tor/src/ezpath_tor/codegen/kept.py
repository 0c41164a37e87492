"""Which headers stay where they are in the frame: what no statement changes need not be taken out and put back.

The deparser writes the valid headers in order, in the place of all that the parser took. Headers that the program
only reads, and that come last both in the frame and in the deparser's order, would be written over themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from ezpath_tor.bmv2.language import (
    Assign,
    AssignHeader,
    FieldRef,
    HashInto,
    HeaderChoice,
    HeaderValue,
    RegisterRead,
    SetInvalid,
    SetValid,
    Shift,
)
from ezpath_tor.bmv2.model import Program

FRONT_OCTETS = 14
"""The Ethernet header is never among them: the runtime looks at it when it rewrites a frame."""


def kept_at_most(program: Program) -> tuple[str, ...]:
    """The end of the deparser's order that no statement changes; where in a frame they stand, the parser knows."""
    changed = frozenset(_changed(program))
    order = program.deparse_order
    first = len(order)
    while first and order[first - 1] not in changed and order.count(order[first - 1]) == 1:
        first -= 1
    return order[first:]


def _changed(program: Program) -> Iterator[str]:
    """Headers that a statement or checksum writes to, or makes valid or invalid; extracting does not count."""
    statements = [
        *(statement for action in program.actions.values() for statement in action.body),
        *(op for state in program.states.values() for op in state.ops),
    ]
    for statement in statements:
        match statement:
            case Assign(target=target) | RegisterRead(target=target) | HashInto(target=target):
                yield target.header
            case AssignHeader(target=header) | SetValid(header) | SetInvalid(header):
                yield header
            case Shift(elements):
                yield from elements
    yield from (checksum.target.header for checksum in program.checksums if checksum.update)


def read_fields(program: Program) -> frozenset[FieldRef]:
    """Fields that the program names anywhere, or may read as part of a whole header; the others need no loading."""
    read = set(_named(program))
    whole = {element for stack in program.stacks.values() for element in stack}
    for action in program.actions.values():
        for statement in action.body:
            if isinstance(statement, AssignHeader):
                whole.update(_sources(statement.value))
    for state in program.states.values():
        for op in state.ops:
            if isinstance(op, AssignHeader):
                whole.update(_sources(op.value))
    for name in whole:
        read.update(FieldRef(name, field.name, field.width) for field in program.headers[name].fields)
    return frozenset(read)


def _named(value: object) -> Iterator[FieldRef]:
    """Every field in a model, whatever it is part of: so that no kind of expression can be forgotten here."""
    if isinstance(value, FieldRef):
        yield value
    elif isinstance(value, Mapping):
        yield from (ref for each in value.values() for ref in _named(each))
    elif isinstance(value, tuple):
        yield from (ref for each in value for ref in _named(each))
    elif is_dataclass(value):
        yield from (ref for field in fields(value) for ref in _named(getattr(value, field.name)))


def _sources(value: HeaderValue) -> Iterator[str]:
    if isinstance(value, HeaderChoice):
        yield from _sources(value.then)
        yield from _sources(value.otherwise)
    else:
        yield value
