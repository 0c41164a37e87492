"""Events to messages and back: what is said at one time on one subject shares a message, one event a line.

Pure. A message costs NATS and both ends far more than the bytes of an event in it. ``nats sub`` shows a line an event.
A message of one event is that event and nothing else.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ezpath.bus import trace
from ezpath.events import STEPS_SUBJECT, JsonEvent, MalformedEvent, SagaStep, encode, lines, subject_of
from ezpath.tracing.spans import Exchange

EVENTS = "Ezpath-Events"
"""The header that says how many events, one a line, a message has. One without it has one, however it is spelled."""
MOST_EVENTS = 256
MOST_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. With ``msg_id`` in its headers, it may be published again and is stored once."""

    subject: str
    data: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Saying:
    """An event on its way out."""

    event: JsonEvent
    msg_id: str | None = None
    """The same id within two minutes is stored once; for what may be published again after a crash."""
    correlation: str | None = None
    """The saga id; taken from the event where it has one."""
    exchange: Exchange | None = None
    """Of a report: with the switch or host that it is about. For the trace; it is not published."""


def about(event: JsonEvent) -> str | None:
    """The saga, or the pair, that an event is about."""
    return getattr(event, "saga", None) or getattr(event, "pair", None)


def pack(sayings: Iterable[Saying]) -> list[Message]:
    """As few messages as it takes, in the order of their first events. On each subject the events keep their order."""
    open_: dict[str, _Lines] = {}
    all_: list[_Lines] = []
    for saying in sayings:
        subject, line = _place(saying.event), encode(saying.event)
        lines_ = open_.get(subject)
        if lines_ is None or len(lines_.sayings) >= MOST_EVENTS or lines_.size + len(line) > MOST_BYTES:
            lines_ = open_[subject] = _Lines([], [], 0)
            all_.append(lines_)
        lines_.sayings.append(saying)
        lines_.lines.append(line)
        lines_.size += len(line)
    return [lines_.message(subject_of(lines_.sayings[0].event)) for lines_ in all_]


def unpack(data: bytes, headers: Mapping[str, str] | None) -> list[bytes]:
    """The events of a message, each as JSON. Raises :class:`MalformedEvent`."""
    count = (headers or {}).get(EVENTS)
    if count is None:
        return [data]
    if not count.isascii() or not count.isdigit() or len(count) > 6:
        raise MalformedEvent(f"header {EVENTS}: {count[:20]!r} is no number of events")
    return lines(data, int(count))


def _place(event: JsonEvent) -> str:
    """What events have to share to share a message: mostly the subject."""
    return STEPS_SUBJECT if isinstance(event, SagaStep) else subject_of(event)


@dataclass(slots=True)
class _Lines:
    sayings: list[Saying]
    lines: list[bytes]
    size: int

    def message(self, subject: str) -> Message:
        sayings = self.sayings
        first = sayings[0]
        if len(sayings) == 1:
            correlation = first.correlation or about(first.event)
            return Message(subject, self.lines[0], trace.headers(first.msg_id or uuid.uuid4().hex, correlation))
        if isinstance(first.event, SagaStep):
            subject = STEPS_SUBJECT
        headers = {**trace.headers(_joint_id(sayings), _joint_correlation(sayings)), EVENTS: str(len(sayings))}
        return Message(subject, b"\n".join(self.lines), headers)


def _joint_id(sayings: list[Saying]) -> str:
    """The same events in the same message again have the same id, where each of them has one."""
    ids = [saying.msg_id for saying in sayings]
    if None in ids:
        return uuid.uuid4().hex
    return hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()[:32]


def _joint_correlation(sayings: list[Saying]) -> str | None:
    """That of all, or none: each line names its own saga, which gives its trace (:func:`trace.traceparent`)."""
    found = {saying.correlation or about(saying.event) for saying in sayings}
    return found.pop() if len(found) == 1 else None
