"""The event vocabulary: everything services say to each other, one typed definition each.

Pure: this module turns values into bytes and back and knows no connection. JSON for whatever people tail, msgpack
for samples. Every JSON event is one object with ``v`` (version), ``type`` and the fields below.

    subject                                     event              transport
    ezpath.samples.<switch>                     FlowSample         core NATS, msgpack
    ezpath.flows                                FlowsSnapshot      core NATS, JSON
    ezpath.decision.offload.<pair>              OffloadRequested   JetStream, JSON
    ezpath.decision.revert.<pair>               RevertRequested    JetStream, JSON
    ezpath.command.switch.<switch>              SwitchCommand      JetStream, JSON
    ezpath.command.host.<host>                  HostCommand        JetStream, JSON
    ezpath.report.<switch|host>.<name>          StepReport         JetStream, JSON
    ezpath.saga.step.<pair>                     SagaStep           JetStream, JSON
    ezpath.saga.outcome.<pair>                  SagaOutcome        JetStream, JSON
    ezpath.deadletter.<service>                 DeadLetter         JetStream, JSON

``<pair>`` is three subject tokens, ``tenant.a.b``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgpack
import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from ezpath.items import HostItem, SwitchItem
from ezpath.names import HostName, PairId, SwitchName, Tenant

VERSION = 1
STREAM = "EZPATH"
STREAM_SUBJECTS = ("ezpath.decision.>", "ezpath.command.>", "ezpath.report.>", "ezpath.saga.>", "ezpath.deadletter.>")
SAGA_BUCKET = "ezpath_sagas"
DESIRED_BUCKET = "ezpath_desired"
SAMPLES_SUBJECT = "ezpath.samples"
FLOWS_SUBJECT = "ezpath.flows"

PhaseName = Literal[
    "requested",
    "switch-receive",
    "switch-send",
    "host-receive",
    "host-send",
    "active",
    "host-send-off",
    "drain",
    "host-receive-off",
    "switch-off",
    "reverted",
    "rolled-back",
]
OutcomeName = Literal["active", "reverted", "rolled-back"]


class MalformedEvent(ValueError):
    """Bytes that are no event of ours. The message says what is wrong with them, in one line."""


@dataclass(frozen=True, slots=True)
class OffloadRequested:
    """The decider wants this pair on the switches."""

    pair: PairId
    tenant: Tenant
    reason: str
    rate_bps: float
    at: float
    """Unix time, seconds."""
    type: Literal["offload-requested"] = "offload-requested"


@dataclass(frozen=True, slots=True)
class RevertRequested:
    """The decider wants this pair back on the hosts."""

    pair: PairId
    tenant: Tenant
    reason: str
    at: float
    type: Literal["revert-requested"] = "revert-requested"


SwitchItems = tuple[Annotated[SwitchItem, Field(discriminator="kind")], ...]
HostItems = tuple[Annotated[HostItem, Field(discriminator="kind")], ...]


@dataclass(frozen=True, slots=True)
class SwitchCommand:
    """Make ``put`` present and ``remove`` absent on ``switch``, read both back, then report.

    Idempotent. For each item, a command of an older generation than one already carried out changes nothing (I4).
    """

    saga: str
    pair: PairId
    generation: int
    phase: PhaseName
    switch: SwitchName
    put: SwitchItems = ()
    remove: SwitchItems = ()
    type: Literal["switch-command"] = "switch-command"


@dataclass(frozen=True, slots=True)
class HostCommand:
    """Make ``put`` present and ``remove`` absent in ``host``'s Open vSwitch, read both back, then report."""

    saga: str
    pair: PairId
    generation: int
    phase: PhaseName
    host: HostName
    put: HostItems = ()
    remove: HostItems = ()
    type: Literal["host-command"] = "host-command"


@dataclass(frozen=True, slots=True)
class StepReport:
    """A writer's answer to one command: read back and there (``ok``), or not, and why."""

    saga: str
    pair: PairId
    generation: int
    phase: PhaseName
    target: str
    """``switch:tor1`` or ``host:h11``."""
    ok: bool
    reason: str = ""
    took_ms: float = 0.0
    type: Literal["step-report"] = "step-report"


@dataclass(frozen=True, slots=True)
class SagaStep:
    """A saga entered ``phase``."""

    saga: str
    pair: PairId
    tenant: Tenant
    generation: int
    phase: PhaseName
    previous: PhaseName
    at: float
    took_ms: float
    """Time spent in ``previous``."""
    targets: tuple[str, ...] = ()
    """Who has to confirm ``phase``."""
    reason: str = ""
    type: Literal["saga-step"] = "saga-step"


@dataclass(frozen=True, slots=True)
class SagaOutcome:
    """A saga came to rest."""

    saga: str
    pair: PairId
    tenant: Tenant
    outcome: OutcomeName
    at: float
    took_ms: float
    """From the request to this outcome."""
    reason: str = ""
    type: Literal["saga-outcome"] = "saga-outcome"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be understood, kept with the reason."""

    service: str
    subject: str
    reason: str
    payload: str
    """The first bytes, as text where they are text, else hexadecimal behind ``hex:``."""
    payload_bytes: int
    at: float
    type: Literal["dead-letter"] = "dead-letter"


@dataclass(frozen=True, slots=True)
class FlowLine:
    """One pair as the decider sees it now."""

    pair: PairId
    tenant: Tenant
    a: str
    b: str
    rate_bps: float
    packets_s: float
    where: Literal["overlay", "switch", "moving"]
    phase: PhaseName | None
    switches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowsSnapshot:
    """All pairs with traffic, published by the decider once a round."""

    at: float
    flows: tuple[FlowLine, ...] = ()
    type: Literal["flows"] = "flows"


JsonEvent = (
    OffloadRequested
    | RevertRequested
    | SwitchCommand
    | HostCommand
    | StepReport
    | SagaStep
    | SagaOutcome
    | DeadLetter
    | FlowsSnapshot
)
_JSON: TypeAdapter[JsonEvent] = TypeAdapter(Annotated[JsonEvent, Field(discriminator="type")])


def subject_of(event: JsonEvent) -> str:
    """Where ``event`` is published."""
    match event:
        case OffloadRequested():
            return f"ezpath.decision.offload.{event.pair}"
        case RevertRequested():
            return f"ezpath.decision.revert.{event.pair}"
        case SwitchCommand():
            return f"ezpath.command.switch.{event.switch}"
        case HostCommand():
            return f"ezpath.command.host.{event.host}"
        case StepReport():
            return "ezpath.report." + event.target.replace(":", ".", 1)
        case SagaStep():
            return f"ezpath.saga.step.{event.pair}"
        case SagaOutcome():
            return f"ezpath.saga.outcome.{event.pair}"
        case DeadLetter():
            return f"ezpath.deadletter.{event.service}"
        case FlowsSnapshot():
            return FLOWS_SUBJECT


def encode(event: JsonEvent) -> bytes:
    """One event as a JSON object, ``v`` first."""
    return json.dumps({"v": VERSION, **_JSON.dump_python(event, mode="json")}, separators=(",", ":")).encode()


def decode(data: bytes) -> JsonEvent:
    """JSON bytes to an event. Raises :class:`MalformedEvent` saying what is wrong."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise MalformedEvent(f"not a JSON object but {type(raw).__name__}")
    version = raw.pop("v", None)
    if version != VERSION:
        raise MalformedEvent(f"version {version!r}, where this service knows {VERSION}")
    try:
        return _JSON.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "event"
        raise MalformedEvent(f"{where}: {first['msg']}") from None


Columns = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class FlowSample:
    """All used monitor cells of one switch at one poll, as columns of equal length.

    ``packets`` and ``bytes`` only grow while a flow stays in the monitor; readers take differences. A value smaller
    than the one before means that the flow was forgotten in between and counts from zero again.
    """

    switch: SwitchName
    sequence: int
    monotonic_ns: int
    """The collector's monotonic clock when the read ended."""
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
        "drops": sample.drops,
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
        **columns,
    )
