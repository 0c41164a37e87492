"""From a case with a difference to a small one that has it still: fewer frames, fewer entries, shorter and emptier
frames. Pure: whether a case has a difference is asked of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from conformance.vector import Sent

from p4rt import TableEntry

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Case:
    """What goes into a switch."""

    tables: tuple[TableEntry, ...]
    sent: Sent


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """The smallest case found. ``case`` itself has to differ."""
    while True:
        before = case
        case = _fewer_frames(case, differs)
        case = _fewer_entries(case, differs)
        for index in range(len(case.sent)):
            case = _simpler_frame(case, index, differs)
        if case == before:
            return case


def _fewer_frames(case: Case, differs: Callable[[Case], bool]) -> Case:
    return replace(case, sent=fewer(case.sent, lambda some: differs(replace(case, sent=some))))


def _fewer_entries(case: Case, differs: Callable[[Case], bool]) -> Case:
    return replace(case, tables=fewer(case.tables, lambda some: differs(replace(case, tables=some))))


def fewer(items: Sequence[_T], still: Callable[[tuple[_T, ...]], bool]) -> tuple[_T, ...]:
    """A part of ``items``, in their order, for which ``still`` holds and of which no single one can go."""
    left = tuple(items)
    size = max(1, len(left) // 2)
    while True:
        at, removed = 0, False
        while at < len(left):
            some = left[:at] + left[at + size :]
            if still(some):
                left, removed = some, True
            else:
                at += size
        if size == 1 and not removed:
            return left
        size = max(1, size // 2)


def _simpler_frame(case: Case, index: int, differs: Callable[[Case], bool]) -> Case:
    port, frame = case.sent[index]

    def with_frame(changed: bytes) -> Case:
        return replace(case, sent=(*case.sent[:index], (port, changed), *case.sent[index + 1 :]))

    for simplify in (_shorter, _emptier):
        again = True
        while again:
            again = False
            for changed in simplify(frame):
                if differs(with_frame(changed)):
                    frame, again = changed, True
                    break
    return with_frame(frame)


def _shorter(frame: bytes) -> Iterator[bytes]:
    """Without its end, and without anything in the middle, the most first."""
    size = len(frame)
    while size := size // 2:
        if len(frame) - size >= 14:
            yield frame[:-size]
    for octets in (50, 20, 8, 4):
        for at in range(12, len(frame) - octets, 2):
            yield frame[:at] + frame[at + octets :]


def _emptier(frame: bytes) -> Iterator[bytes]:
    """With zeros somewhere, the most first."""
    size = 32
    while size:
        for at in range(0, len(frame), size):
            zeros = bytes(min(size, len(frame) - at))
            if frame[at : at + size] != zeros:
                yield frame[:at] + zeros + frame[at + size :]
        size //= 2
