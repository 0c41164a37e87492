"""Questions that services answer: how are you, and how does what is installed differ from what ought to be?

Pure. Asked on core NATS (:mod:`ezpath.bus.ask`) with an empty object; an answer is a JSON object with ``v`` (version)
and ``type``.

    ezpath.ask.status                           ServiceStatus      from every service
    ezpath.ask.installed.<switch|host>.<name>   Installed          from the writer of that switch or host
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ezpath.events import PhaseName, SwitchTables, TargetState
from ezpath.malformed import MalformedEvent, check_name, check_pair, check_target
from ezpath.names import PairId
from ezpath.samples import VERSION

ASK_SUBJECT = "ezpath.ask"
ASK_STATUS = "status"
MOST_LISTED = 500
"""Of a kind of difference, in one answer: more than a person reads, less than NATS takes."""


def ask_installed(target: str) -> str:
    """What the writer of ``target`` (``switch:tor1``) is asked for its differences by."""
    return f"installed.{target.replace(':', '.', 1)}"


@dataclass(frozen=True, slots=True)
class SagaUnderWay:
    """A saga that is neither active nor at its end."""

    pair: PairId
    phase: PhaseName
    since: float
    """When the phase began, Unix time, seconds."""
    waiting: tuple[str, ...] = ()
    """Targets that have not confirmed."""
    tries: int = 0
    """How often they were asked again."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SagaCounts:
    """What a decider says of its sagas."""

    active: int = 0
    under_way: int = 0
    longest: tuple[SagaUnderWay, ...] = ()
    """Of those under way, the ones that have been longest in their phase."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One process of one service."""

    service: str
    instance: str
    version: str
    started_at: float
    at: float
    ready: bool
    targets: tuple[TargetState, ...] = ()
    """Those that it writes."""
    active: int = 0
    """Pairs on the switches, from a decider."""
    under_way: int = 0
    sagas: tuple[SagaUnderWay, ...] = ()
    """See :class:`SagaCounts`."""
    owns: tuple[str, ...] = ()
    """Targets that it alone polls or writes, of several that could."""
    tables: tuple[SwitchTables, ...] = ()
    """Of the switches that it writes, as they were last read back."""
    type: Literal["service-status"] = "service-status"


@dataclass(frozen=True, slots=True)
class Changed:
    """Something of ours is there, and is not as it was written."""

    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Installed:
    """A fresh read back of one switch or host, compared with what ought to be there."""

    target: str
    at: float
    generation: int | None = None
    """Of the desired state that it was compared with. None where nobody has said what ought to be there."""
    items: int = 0
    """How many items ought to be there."""
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    left_out: int = 0
    """Differences that are not listed because there are too many."""
    problem: str = ""
    """Why it could not be read or compared."""
    type: Literal["installed"] = "installed"

    @property
    def same(self) -> bool:
        return not (self.problem or self.missing or self.surplus or self.changed)


@dataclass(frozen=True, slots=True)
class Gap:
    """What differs, in words: all of it."""

    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()

    def told(self, target: str, at: float, generation: int | None, items: int) -> Installed:
        """The answer, with no more than can be told."""
        kinds = (self.missing, self.surplus, self.changed)
        left_out = sum(max(0, len(kind) - MOST_LISTED) for kind in kinds)
        return Installed(
            target,
            at,
            generation,
            items,
            self.missing[:MOST_LISTED],
            self.surplus[:MOST_LISTED],
            self.changed[:MOST_LISTED],
            left_out,
        )


Answer = ServiceStatus | Installed
_ANSWER: TypeAdapter[Answer] = TypeAdapter(
    Annotated[Answer, Field(discriminator="type")], config=ConfigDict(allow_inf_nan=False)
)


def to_document(answer: Answer) -> Mapping[str, Any]:
    """``v`` first."""
    return {"v": VERSION, **asdict(answer)}


def from_document(raw: Mapping[str, Any]) -> Answer:
    """The reverse. Raises :class:`MalformedEvent` saying what is wrong. Strict, as events are."""
    if raw.get("v") != VERSION or isinstance(raw.get("v"), bool):
        raise MalformedEvent(f"version {raw.get('v')!r}, where this program knows {VERSION}")
    try:
        answer = _ANSWER.validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise MalformedEvent(f"{where}: {first['msg']}") from None
    _check_names(answer)
    return answer


def _check_names(answer: Answer) -> None:
    match answer:
        case ServiceStatus():
            check_name("service", answer.service)
            _check_targets(state.target for state in answer.targets)
            _check_targets(answer.owns)
            for tables in answer.tables:
                check_name("tables.switch", tables.switch)
            for saga in answer.sagas:
                check_pair("sagas.pair", saga.pair)
                _check_targets(saga.waiting)
        case Installed():
            _check_targets([answer.target])


def _check_targets(targets: Iterable[str]) -> None:
    for target in targets:
        check_target("target", target)
