"""The newest events as lines, in the words of `ezpath tail`. Pure.

A ring: whoever reads slower than things happen is told how many lines were passed over, and nothing piles up for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ezpath.catalogue import Event
from ezpath.cli.lines import columns_of
from ezpath.cli.seen import Seen, kind
from ezpath.events import DeadLetter, HostCommand, SagaOutcome, SagaStep, StepReport, SwitchCommand, TargetState

MOST_LINES = 500
LONGEST = 1000
"""Letters of a reason: what a switch or a host answered may be any number of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    number: int
    """Counted from 1; no two lines have the same."""
    at: float
    kind: str
    pair: str
    saga: str
    what: str
    took_ms: float | None
    why: str
    tone: str
    """``good``, ``bad``, ``decision`` or nothing."""


class Journal:
    """Grows to so many lines, and then forgets the oldest."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MOST_LINES)
        self._states: dict[str, str] = {}
        self.newest = 0

    def hear(self, seen: Seen) -> bool:
        """Whether it is a line: what writers repeat every few seconds is one when it is new."""
        event = seen.event
        if isinstance(event, TargetState):
            if self._states.get(event.target) == event.state:
                return False
            self._states[event.target] = event.state
        self.newest += 1
        columns = columns_of(event)
        pair = "" if columns.pair == "-" else columns.pair
        saga: str = getattr(event, "saga", "")
        what, why, took_ms = columns.what.strip(), _short(columns.why), columns.took_ms
        self._entries.append(Entry(self.newest, seen.at, kind(event), pair, saga, what, took_ms, why, _tone(event)))
        return True

    def after(self, number: int) -> tuple[Sequence[Entry], int]:
        """Lines behind ``number``, oldest first, and how many more there were that are forgotten."""
        kept = [entry for entry in self._entries if entry.number > number]
        return kept, self.newest - number - len(kept)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _tone(event: Event) -> str:
    match event:
        case SagaOutcome():
            return {"active": "good", "reverted": "", "rolled-back": "bad"}[event.outcome]
        case StepReport():
            return "" if event.ok else "bad"
        case DeadLetter():
            return "bad"
        case TargetState():
            return {"in-sync": "good", "unreachable": "bad"}.get(event.state, "")
        case SagaStep() | SwitchCommand() | HostCommand():
            return ""
        case _:
            return "decision"


def as_document(entries: Sequence[Entry], passed_over: int) -> Mapping[str, Any]:
    """Without what is empty: most lines have neither saga nor time."""
    fields = Entry.__dataclass_fields__
    lines = [{name: value for name in fields if (value := getattr(entry, name)) not in ("", None)} for entry in entries]
    return {"passed_over": passed_over, "lines": lines}
