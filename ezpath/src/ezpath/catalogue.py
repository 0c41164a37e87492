"""Which events there are, and where each is published, for whom: the table that docs/EVENTS.md is made from. Pure.

:mod:`ezpath.events` says what is in them; a test holds this table against its ``subject_of``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ezpath.events import (
    Account,
    DeadLetter,
    DryRunDecision,
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    JsonEvent,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TargetState,
)

Keeping = Literal["stream", "why", "nothing"]
"""Kept in the stream EZPATH, in EZPATH_WHY (the last few of each flow), or not at all: core NATS."""
Event = JsonEvent | FlowSample
SAMPLE_KIND = "flow-sample"


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of subject. ``address`` has its variable tokens in braces."""

    event: type[Event]
    address: str
    kept: Keeping
    sent_by: tuple[str, ...]
    read_by: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The event's ``type`` on the wire."""
        return kind_of(self.event)

    @property
    def subject(self) -> str:
        """As NATS is asked for it."""
        return re.sub(r"\{\w+\}", "*", self.address)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{(\w+)\}", self.address))


_PAIR = "{tenant}.{a}.{b}"
_DECIDER, _WRITERS = ("decider",), ("switch-writer", "host-writer")
CHANNELS = (
    Channel(FlowSample, "ezpath.samples.{switch}", "nothing", ("collector",), _DECIDER),
    Channel(OffloadRequested, f"ezpath.decision.offload.{_PAIR}", "stream", ("decider", "cli"), _DECIDER),
    Channel(RevertRequested, f"ezpath.decision.revert.{_PAIR}", "stream", ("decider", "cli"), _DECIDER),
    Channel(SwitchCommand, "ezpath.command.switch.{switch}", "stream", _DECIDER, ("switch-writer",)),
    Channel(HostCommand, "ezpath.command.host.{host}", "stream", _DECIDER, ("host-writer",)),
    Channel(StepReport, "ezpath.report.switch.{switch}", "stream", ("switch-writer",), _DECIDER),
    Channel(StepReport, "ezpath.report.host.{host}", "stream", ("host-writer",), _DECIDER),
    Channel(SagaStep, f"ezpath.saga.step.{_PAIR}", "stream", _DECIDER),
    Channel(SagaStep, "ezpath.saga.steps", "stream", _DECIDER),
    Channel(SagaOutcome, f"ezpath.saga.outcome.{_PAIR}", "stream", _DECIDER),
    Channel(FlowsSnapshot, "ezpath.flows", "nothing", _DECIDER),
    Channel(SwitchTables, "ezpath.tables.{switch}", "nothing", ("switch-writer",), _DECIDER),
    Channel(TargetState, "ezpath.state.switch.{switch}", "nothing", ("switch-writer",), _DECIDER),
    Channel(TargetState, "ezpath.state.host.{host}", "nothing", ("host-writer",), _DECIDER),
    Channel(DryRunDecision, f"ezpath.dryrun.offload.{_PAIR}", "stream", _DECIDER),
    Channel(DryRunDecision, f"ezpath.dryrun.revert.{_PAIR}", "stream", _DECIDER),
    Channel(Account, f"ezpath.why.{_PAIR}", "why", _DECIDER),
    Channel(DeadLetter, "ezpath.deadletter.{service}", "stream", ("collector", "decider", *_WRITERS)),
)


def kind_of(event: type[Event]) -> str:
    """What ``type`` says of it on the wire."""
    return SAMPLE_KIND if event is FlowSample else str(event.__dataclass_fields__["type"].default)


KINDS = tuple(dict.fromkeys(channel.kind for channel in CHANNELS))


def channels_of(kinds: Iterable[str]) -> list[Channel]:
    """Those on which events of these kinds come."""
    wanted = set(kinds)
    return [channel for channel in CHANNELS if channel.kind in wanted]
