"""Which clock a timestamp comes from: the exact one asks the hardware, the coarse one is the kernel's last tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from ezpath_tor.bmv2.language import Binary, Const, FieldRef
from ezpath_tor.bmv2.model import STANDARD_METADATA, Program

COARSE_BITS = 14
"""A tick is at most 10 ms: what counts in units of 2**14 microseconds or more cannot tell the two clocks apart, but
that a unit may begin a tick later."""


def microseconds(program: Program, timestamp: str) -> str:
    """The C function to read the clock with, for a timestamp of ``standard_metadata``."""
    return "microseconds" if any(_fine(program, timestamp)) else "coarse_microseconds"


def _fine(value: object, timestamp: str) -> Iterator[bool]:
    """True for each place in a model where the timestamp's low bits are read, or may be."""
    match value:
        case Binary(">>", FieldRef(), Const(shift)) if shift >= COARSE_BITS:
            pass
        case FieldRef(header=header, field=field):
            if (header, field) == (STANDARD_METADATA, timestamp):
                yield True
        case Mapping():
            yield from (fine for each in value.values() for fine in _fine(each, timestamp))
        case tuple():
            yield from (fine for each in value for fine in _fine(each, timestamp))
        case _ if is_dataclass(value):
            yield from (fine for each in fields(value) for fine in _fine(getattr(value, each.name), timestamp))
