"""Flow samples: what a switch's monitor held at one poll, as columns, and their bytes. Pure.

Msgpack on core NATS. Losing one is fine: counters only grow, so the next poll covers its time as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import msgpack

from ezpath.malformed import MalformedEvent, brief, check_name
from ezpath.names import SwitchName

if TYPE_CHECKING:
    # Every service knows this module, and few of them ever have a sample: NumPy would take each a sixth of its start.
    import numpy as np
    import numpy.typing as npt

VERSION = 1
"""Of all events."""
FLOW_BYTES = 5 * 8
"""What one flow takes in a message."""
MAX_PARTS = 1024

Columns: TypeAlias = "npt.NDArray[np.uint64]"


@dataclass(frozen=True, slots=True, eq=False)
class FlowSample:
    """All used monitor cells of one switch at one poll, as columns of equal length.

    ``packets`` and ``bytes`` only grow while a flow stays in the monitor; readers take differences. A value smaller
    than the one before means that the flow was forgotten in between and counts from zero again.
    """

    switch: SwitchName
    sequence: int
    monotonic_ns: int
    """The collector's monotonic clock in the middle of the read."""
    wall_ns: int
    """Unix time, nanoseconds, at the same moment."""
    interval_s: float
    """Seconds since the previous poll of this switch by this collector; 0 for its first."""
    vni: Columns
    src: Columns
    """Inner source MAC as a 48-bit integer."""
    dst: Columns
    packets: Columns
    bytes: Columns
    collector: str = ""
    drops: dict[str, int] = field(default_factory=dict)
    """Frames dropped by the switch so far, by the reason's number."""
    part: int = 0
    parts: int = 1
    """A poll too large for one message comes in parts; the bus puts them together again."""
    term: int = 0
    """Of the collector's lease of the switch: of two collectors the one with the later term is right."""


_COLUMNS = ("vni", "src", "dst", "packets", "bytes")


def encode_sample(sample: FlowSample) -> bytes:
    """Columns go as packed little-endian unsigned 64-bit integers."""
    body: dict[str, Any] = {
        "v": VERSION,
        "type": "flow-sample",
        "switch": sample.switch,
        "sequence": sample.sequence,
        "monotonic_ns": sample.monotonic_ns,
        "wall_ns": sample.wall_ns,
        "interval_s": sample.interval_s,
        "collector": sample.collector,
        "term": sample.term,
        "drops": sample.drops,
        "part": sample.part,
        "parts": sample.parts,
    }
    for name in _COLUMNS:
        body[name] = getattr(sample, name).astype("<u8").tobytes()
    packed: bytes = msgpack.packb(body)
    return packed


_SCALARS: dict[str, type | tuple[type, ...]] = {
    "switch": str,
    "sequence": int,
    "monotonic_ns": int,
    "wall_ns": int,
    "interval_s": (int, float),
}


def decode_sample(data: bytes) -> FlowSample:
    """Msgpack bytes to a sample. Raises :class:`MalformedEvent` saying what is wrong."""
    try:
        body = msgpack.unpackb(data)
    except Exception as error:  # noqa: BLE001 - msgpack raises half a dozen unrelated classes
        raise MalformedEvent(f"not msgpack: {error}") from None
    if not isinstance(body, dict) or body.get("type") != "flow-sample":
        raise MalformedEvent("not a flow sample")
    if body.get("v") != VERSION:
        raise MalformedEvent(f"version {body.get('v')!r}, where this service knows {VERSION}")
    for name, kind in _SCALARS.items():
        if not isinstance(body.get(name), kind) or isinstance(body.get(name), bool):
            raise MalformedEvent(f"{name}: missing or of the wrong type")
    check_name("switch", body["switch"])
    if not 0 <= body["interval_s"] < math.inf:
        raise MalformedEvent(f"interval_s: {body['interval_s']} is no time between two polls")
    part, parts = body.get("part", 0), body.get("parts", 1)
    if not (isinstance(part, int) and isinstance(parts, int) and 0 <= part < parts <= MAX_PARTS):
        raise MalformedEvent(f"part: {part!r} of {parts!r} is none")
    term = body.get("term", 0)
    if not isinstance(term, int) or isinstance(term, bool) or not 0 <= term < 2**63:
        raise MalformedEvent(f"term: {brief(repr(term))} is none")
    import numpy as np

    columns: dict[str, Columns] = {}
    for name in _COLUMNS:
        raw = body.get(name)
        if not isinstance(raw, bytes) or len(raw) % 8:
            raise MalformedEvent(f"{name}: not a packed column of 64-bit integers")
        columns[name] = np.frombuffer(raw, dtype="<u8").astype(np.uint64)
    if len({len(column) for column in columns.values()}) != 1:
        raise MalformedEvent("columns of different lengths")
    drops = body.get("drops") or {}
    if not isinstance(drops, dict) or not all(
        isinstance(reason, str) and isinstance(count, int) for reason, count in drops.items()
    ):
        raise MalformedEvent("drops: not a map of reason to count")
    return FlowSample(
        switch=SwitchName(body["switch"]),
        sequence=body["sequence"],
        monotonic_ns=body["monotonic_ns"],
        wall_ns=body["wall_ns"],
        interval_s=float(body["interval_s"]),
        collector=str(body.get("collector", "")),
        drops=drops,
        part=part,
        parts=parts,
        term=term,
        **columns,
    )


def split(sample: FlowSample, most_flows: int) -> Iterator[FlowSample]:
    """``sample`` in parts of at most ``most_flows`` flows; itself where it is small enough."""
    flows = len(sample.vni)
    parts = max(1, -(-flows // most_flows))
    if parts == 1:
        yield sample
        return
    for part in range(parts):
        here = slice(part * most_flows, (part + 1) * most_flows)
        columns: dict[str, Any] = {name: getattr(sample, name)[here] for name in _COLUMNS}
        yield replace(sample, part=part, parts=parts, **columns)


class Assembler:
    """Puts parts together again. A poll of which a part was lost is dropped when the next one begins."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], dict[int, FlowSample]] = {}

    def add(self, sample: FlowSample) -> FlowSample | None:
        """The whole poll that ``sample`` completes, or None while parts are missing."""
        if sample.parts == 1:
            return sample
        source = (sample.switch, sample.collector)
        waiting = self._waiting.setdefault(source, {})
        if any(other.sequence != sample.sequence or other.parts != sample.parts for other in waiting.values()):
            waiting.clear()
        waiting[sample.part] = sample
        if len(waiting) < sample.parts:
            return None
        del self._waiting[source]
        import numpy as np

        whole = [waiting[part] for part in range(sample.parts)]
        columns: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in whole]) for name in _COLUMNS}
        return replace(sample, part=0, parts=1, **columns)
