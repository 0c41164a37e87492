"""The event vocabulary: everything services say to each other, one typed definition each.

Pure: this module turns values into bytes and back and knows no connection. JSON for whatever people tail, msgpack
for samples. Every JSON event is one object with ``v`` (version), ``type`` and the fields below.

    subject                                     event              transport
    ezpath.samples.<switch>                     FlowSample         core NATS, msgpack
    ezpath.flows                                FlowsSnapshot      core NATS, JSON
    ezpath.tables.<switch>                      SwitchTables       core NATS, JSON
    ezpath.state.<switch|host>.<name>           TargetState        core NATS, JSON
    ezpath.decision.offload.<pair>              OffloadRequested   JetStream, JSON
    ezpath.decision.revert.<pair>               RevertRequested    JetStream, JSON
    ezpath.dryrun.<offload|revert>.<pair>       DryRunDecision     JetStream, JSON
    ezpath.why.<pair>                           Account            JetStream (EZPATH_WHY: the last few of each), JSON
    ezpath.command.switch.<switch>              SwitchCommand      JetStream, JSON
    ezpath.command.host.<host>                  HostCommand        JetStream, JSON
    ezpath.report.<switch|host>.<name>          StepReport         JetStream, JSON
    ezpath.saga.step.<pair>                     SagaStep           JetStream, JSON
    ezpath.saga.steps                           SagaStep, several  JetStream, JSON
    ezpath.saga.outcome.<pair>                  SagaOutcome        JetStream, JSON
    ezpath.deadletter.<service>                 DeadLetter         JetStream, JSON

``<pair>`` is three subject tokens, ``tenant.a.b``. What is said on JetStream at one time on one subject may share a
message: one event a line, and the header ``Ezpath-Events`` says how many. Questions and
their answers are in :mod:`ezpath.answers`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ezpath.accounts import WHY_STREAM as WHY_STREAM
from ezpath.accounts import WHY_SUBJECT as WHY_SUBJECT
from ezpath.accounts import Account as Account
from ezpath.items import HostItem, SwitchItem
from ezpath.malformed import MalformedEvent as MalformedEvent
from ezpath.malformed import check_item, check_name, check_pair, check_target, json_object
from ezpath.names import HostName, PairId, SwitchName, Tenant
from ezpath.samples import VERSION as VERSION
from ezpath.samples import FlowSample as FlowSample
from ezpath.samples import decode_sample as decode_sample
from ezpath.samples import encode_sample as encode_sample
from ezpath.shards import MAX_SHARDS

STREAM = "EZPATH"
STREAM_SUBJECTS = (
    "ezpath.decision.>",
    "ezpath.dryrun.>",
    "ezpath.command.>",
    "ezpath.report.>",
    "ezpath.saga.>",
    "ezpath.deadletter.>",
)
SAGA_BUCKET = "ezpath_sagas"
DESIRED_BUCKET = "ezpath_desired"
LEASE_BUCKET = "ezpath_leases"
CONTROL_BUCKET = "ezpath_control"
"""What an operator told the decider: pauses, and the policy."""
INVENTORY_BUCKET = "ezpath_inventory"
SAMPLES_SUBJECT = "ezpath.samples"
FLOWS_SUBJECT = "ezpath.flows"
TABLES_SUBJECT = "ezpath.tables"
STEPS_SUBJECT = "ezpath.saga.steps"
MAX_LINES = 1024
"""Events in one message, at most."""
STATE_SUBJECT = "ezpath.state"

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
Generation = Annotated[int, Field(ge=0, lt=2**63)]
"""One that is never reached: a larger one would outdo every command to come."""


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


@dataclass(frozen=True, slots=True)
class DryRunDecision:
    """What a decider would ask for that was started to look on. Nobody acts on it: it is no request."""

    pair: PairId
    tenant: Tenant
    what: Literal["offload", "revert"]
    reason: str
    rate_bps: float
    at: float
    type: Literal["dry-run-decision"] = "dry-run-decision"


SwitchItems = tuple[Annotated[SwitchItem, Field(discriminator="kind")], ...]
HostItems = tuple[Annotated[HostItem, Field(discriminator="kind")], ...]


@dataclass(frozen=True, slots=True)
class SwitchCommand:
    """Make ``put`` present and ``remove`` absent on ``switch``, read both back, then report.

    Idempotent. For each item, a command of an older generation than one already carried out changes nothing (I4).
    """

    saga: str
    pair: PairId
    generation: Generation
    phase: PhaseName
    switch: SwitchName
    put: SwitchItems = ()
    remove: SwitchItems = ()
    shard: int = 0
    """Whose generation it is: each shard of the deciders counts its own."""
    type: Literal["switch-command"] = "switch-command"


@dataclass(frozen=True, slots=True)
class HostCommand:
    """Make ``put`` present and ``remove`` absent in ``host``'s Open vSwitch, read both back, then report."""

    saga: str
    pair: PairId
    generation: Generation
    phase: PhaseName
    host: HostName
    put: HostItems = ()
    remove: HostItems = ()
    shard: int = 0
    type: Literal["host-command"] = "host-command"


@dataclass(frozen=True, slots=True)
class StepReport:
    """A writer's answer to one command: read back and there (``ok``), or not, and why."""

    saga: str
    pair: PairId
    generation: Generation
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
    generation: Generation
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
    """From the request, to offload or to revert, to this outcome."""
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
    """All pairs with traffic, published by the decider once a round. Of several, each tells of what it leads."""

    at: float
    flows: tuple[FlowLine, ...] = ()
    shards: tuple[int, ...] = (0,)
    """Whose tenants' flows these are, of ``of`` shards."""
    of: int = 1
    type: Literal["flows"] = "flows"


@dataclass(frozen=True, slots=True)
class TableUse:
    """One table of a switch: its size in the program, and the entries in it, whoever's they are."""

    table: str
    size: int
    used: int


@dataclass(frozen=True, slots=True)
class SwitchTables:
    """How full a switch's tables are, told by its writer whenever it has read them back."""

    switch: SwitchName
    at: float
    tables: tuple[TableUse, ...] = ()
    type: Literal["switch-tables"] = "switch-tables"


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a writer finds its switch or host: told whenever that changes, and every few seconds."""

    target: str
    """``switch:tor1`` or ``host:h11``."""
    state: Literal["starting", "in-sync", "differs", "standby", "unreachable"]
    """``differs``: connected, and something could not be put right. ``standby``: another controller has the switch."""
    since: float
    """When this state began, Unix time, seconds."""
    at: float
    reason: str = ""
    compared_at: float | None = None
    """When it was last read back and compared with what it ought to hold."""
    items: int = 0
    """How many items it ought to hold, as far as the writer knows."""
    type: Literal["target-state"] = "target-state"


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
    | SwitchTables
    | DryRunDecision
    | Account
    | TargetState
)
_JSON: TypeAdapter[JsonEvent] = TypeAdapter(
    Annotated[JsonEvent, Field(discriminator="type")],
    config=ConfigDict(allow_inf_nan=False),  # 1e999 is JSON, and infinity is no time
)


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
        case SwitchTables():
            return f"{TABLES_SUBJECT}.{event.switch}"
        case DryRunDecision():
            return f"ezpath.dryrun.{event.what}.{event.pair}"
        case Account():
            return f"{WHY_SUBJECT}.{event.pair}"
        case TargetState():
            return f"{STATE_SUBJECT}.{event.target.replace(':', '.', 1)}"


_HEAD = b'{"v":%d,' % VERSION
_VERSION_KEY = b'"v":'
_NO_JSON = re.compile(rb"NaN|Infinity")
"""What Python and pydantic read as numbers, and JSON does not know."""


def encode(event: JsonEvent) -> bytes:
    """One event as a JSON object on one line, ``v`` first."""
    try:
        return _HEAD + _JSON.dump_json(event)[1:]
    except ValueError:  # half a surrogate pair in some error's words: JSON can say it, UTF-8 cannot
        fields = _JSON.dump_python(event, mode="python")
        return json.dumps({"v": VERSION, **fields}, separators=(",", ":")).encode()


def decode(data: bytes) -> JsonEvent:
    """JSON bytes to an event. Raises :class:`MalformedEvent` saying what is wrong.

    Strict: a number in quotes is no number. Names become subjects and keys, so nothing with a wildcard, a space or a
    dot too many is one; fields that are not known are ignored, for a later version may have them.
    """
    event = _at_a_glance(data)
    if event is None:
        event = _with_reasons(data)
    _check_names(event)
    return event


def _at_a_glance(data: bytes) -> JsonEvent | None:
    """What :func:`encode` wrote, read once. None for all else, which is not yet to say that it is wrong."""
    if not data.startswith(_HEAD) or data.count(_VERSION_KEY) != 1 or _NO_JSON.search(data):
        return None
    try:
        return _JSON.validate_json(data, strict=True)
    except ValidationError:
        return None


def _with_reasons(data: bytes) -> JsonEvent:
    """Step by step, so that there is a reason for each way to be wrong."""
    raw = json_object(data, _refuse_constant)
    version = raw.get("v")
    if version != VERSION or isinstance(version, bool):
        raise MalformedEvent(f"version {version!r}, where this service knows {VERSION}")
    try:
        return _JSON.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "event"
        raise MalformedEvent(f"{where}: {first['msg']}") from None


def encode_lines(events: Iterable[JsonEvent]) -> bytes:
    """Several events, one a line."""
    return b"\n".join(map(encode, events))


def lines(data: bytes, count: int) -> list[bytes]:
    """The lines of a message that is said to have ``count`` events. Raises :class:`MalformedEvent`."""
    if not 1 <= count <= MAX_LINES:
        raise MalformedEvent(f"{count} events in one message, where 1 to {MAX_LINES} may be")
    found = data.split(b"\n", count)
    if len(found) != count:
        raise MalformedEvent(f"{count} events are announced, and there are {'fewer' if len(found) < count else 'more'}")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check_names(event: JsonEvent) -> None:
    match event:
        case DeadLetter():
            check_name("service", event.service)
            return
        case FlowsSnapshot():
            if not 1 <= event.of <= MAX_SHARDS or not all(0 <= number < event.of for number in event.shards):
                raise MalformedEvent(f"shards: {event.shards[:8]} of {event.of}")
            for flow in event.flows:
                check_pair("flows.pair", flow.pair)
            return
        case SwitchTables():
            check_name("switch", event.switch)
            return
        case TargetState():
            check_target("target", event.target)
            return
        case SwitchCommand():
            check_name("switch", event.switch)
        case HostCommand():
            check_name("host", event.host)
        case StepReport():
            check_target("target", event.target)
    check_pair("pair", event.pair)
    if isinstance(event, SwitchCommand | HostCommand):
        if not 0 <= event.shard < MAX_SHARDS:
            raise MalformedEvent(f"shard: {event.shard} is none of {MAX_SHARDS}")
        for item in (*event.put, *event.remove):
            check_item(item)
