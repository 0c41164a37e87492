"""A conformance vector: what a switch's tables hold, what goes in, and what must come out and be counted.

Vectors are data. They say what the P4 program means, whatever switch runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packet.rack import ENTRIES

from p4rt import TableEntry

Sent = tuple[tuple[int, bytes], ...]
"""Port and frame, in the order in which they go in."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a switch made of some frames."""

    out: Mapping[int, tuple[bytes, ...]]
    """Port to what came out of it, in order. Ports that stayed silent are not in it."""
    drops: Mapping[int, tuple[int, int]]
    """Reason to packets and bytes, by which its cell of the drop counter grew."""
    monitored: Mapping[str, int] = field(default_factory=dict)
    """Place in the monitor to what it holds, where that was asked for: see :meth:`conformance.target.Target.monitored`.
    No vector says it, for it depends on all that a switch saw before."""


@dataclass(frozen=True, slots=True)
class Vector:
    """Given ``tables``, when ``sent`` goes in, then ``expected``. The name is unique."""

    name: str
    sent: Sent
    expected: Outcome
    tables: tuple[TableEntry, ...] = ENTRIES


def passes(
    name: str, sent: tuple[int, bytes], out: tuple[int, bytes], tables: tuple[TableEntry, ...] = ENTRIES
) -> Vector:
    """One frame in, one frame out, nothing dropped."""
    port, frame = out
    return Vector(name, (sent,), Outcome({port: (frame,)}, {}), tables)


def dropped(name: str, sent: tuple[int, bytes], reason: int, tables: tuple[TableEntry, ...] = ENTRIES) -> Vector:
    """One frame in, nothing out, and the drop counted with all its bytes."""
    return Vector(name, (sent,), Outcome({}, {reason: (1, len(sent[1]))}), tables)
