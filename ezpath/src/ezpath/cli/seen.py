"""An event as somebody sees it who looks on: what it says, on which subject, when; and the same as a line of a capture.

Pure. A capture (`ezpath record`, `ezpath tail -o jsonl`, or `nats sub --raw 'ezpath.saga.>'`) has one JSON object a
line: the event as it was published, and under ``nats`` its place. Samples, which are msgpack on the wire, are decoded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ezpath.catalogue import SAMPLE_KIND, Event
from ezpath.events import VERSION, FlowSample, MalformedEvent, decode, decode_sample, encode, encode_sample
from ezpath.malformed import json_object
from ezpath.names import mac_from_int, mac_to_int

PLACE = "nats"
_MACS = ("src", "dst")
_NUMBERS = ("vni", "packets", "bytes")
_SCALARS = (
    "switch",
    "sequence",
    "monotonic_ns",
    "wall_ns",
    "interval_s",
    "collector",
    "drops",
    "part",
    "parts",
    "term",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One event."""

    event: Event
    subject: str = ""
    sequence: int | None = None
    """Its message's place in the stream, where it is kept in one."""
    published_at: float | None = None
    """When NATS stored it; for what is not kept, when it was heard. Unix time, seconds."""

    @property
    def at(self) -> float:
        """When it happened, as far as it is known."""
        if isinstance(self.event, FlowSample):
            return self.event.wall_ns / 1e9 or self.published_at or 0.0
        told: float | None = getattr(self.event, "at", None)
        return told if told is not None else self.published_at or 0.0


def kind(event: Event) -> str:
    """What its ``type`` says."""
    return SAMPLE_KIND if isinstance(event, FlowSample) else event.type


def document(seen: Seen) -> Mapping[str, Any]:
    """The event, and where it was found."""
    place = {"subject": seen.subject, "sequence": seen.sequence, "at": seen.published_at}
    known = {name: value for name, value in place.items() if value not in (None, "")}
    # The place last: what begins as an event begins is read the fast way.
    return {**_content(seen.event), **({PLACE: known} if known else {})}


def line(seen: Seen) -> str:
    """One line of a capture."""
    return json.dumps(document(seen), separators=(",", ":"))


def _content(event: Event) -> Mapping[str, Any]:
    if not isinstance(event, FlowSample):
        content: dict[str, Any] = json.loads(encode(event))
        return content
    columns = {name: getattr(event, name).tolist() for name in (*_NUMBERS, *_MACS)}
    columns |= {name: [mac_from_int(value) for value in columns[name]] for name in _MACS}
    scalars = {name: getattr(event, name) for name in _SCALARS}
    return {"v": VERSION, "type": SAMPLE_KIND, **scalars, **columns}


def from_line(text: str) -> Seen:
    """The reverse of :func:`line`. Raises :class:`MalformedEvent` saying what is wrong."""
    raw = json_object(text)
    event: Event = _sample(raw) if raw.get("type") == SAMPLE_KIND else decode(text.encode())
    place = raw.get(PLACE)
    return _placed(event, place if isinstance(place, dict) else {})


def _placed(event: Event, place: Mapping[str, Any]) -> Seen:
    subject, sequence, at = place.get("subject"), place.get("sequence"), place.get("at")
    return Seen(
        event,
        subject if isinstance(subject, str) else "",
        sequence if isinstance(sequence, int) else None,
        float(at) if isinstance(at, int | float) else None,
    )


def _sample(raw: Mapping[str, Any]) -> FlowSample:
    import numpy as np

    try:
        columns: dict[str, Any] = {name: np.array(raw[name], np.uint64) for name in _NUMBERS}
        columns |= {name: np.array([mac_to_int(mac) for mac in raw[name]], np.uint64) for name in _MACS}
        scalars: dict[str, Any] = {name: raw[name] for name in _SCALARS if name in raw}
        # by way of the wire: its checks are the ones that count
        return decode_sample(encode_sample(FlowSample(**scalars, **columns)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedEvent(f"no flow sample: {type(error).__name__}: {error}") from None
