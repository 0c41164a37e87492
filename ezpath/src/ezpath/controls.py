"""What an operator tells the decider while it runs, as KV keeps it: pauses, pins, and a policy that outdoes its file.

Pure: values, keys and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from ezpath.malformed import MalformedEvent, check_pair
from ezpath.names import PairId

POLICY_KEY = "policy"
PAUSE_KEYS = "pause."
PIN_KEYS = "pin."
Scope = Literal["everywhere", "rack", "tenant"]
Side = Literal["switches", "hosts"]


@dataclass(frozen=True, slots=True)
class Pause:
    """The decider moves nothing there until the pause is lifted; what is under way is carried through."""

    scope: Scope
    name: str
    """Of the rack or the tenant; empty for everywhere."""
    reason: str
    since: float
    """Unix time, seconds."""

    @property
    def key(self) -> str:
        return PAUSE_KEYS + (f"{self.scope}.{self.name}" if self.name else self.scope)

    def __str__(self) -> str:
        return f"{self.scope} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Pin:
    """A pair that stays on one side, whatever its rate, until it is unpinned: as if the policy's lists named it."""

    pair: PairId
    to: Side
    reason: str
    since: float

    @property
    def key(self) -> str:
        return f"{PIN_KEYS}{self.pair}"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A policy in place of the decider's file and options."""

    file: str
    """Where it came from, for messages."""
    text: str
    since: float


_PAUSE = TypeAdapter(Pause)
_PIN = TypeAdapter(Pin)
_POLICY = TypeAdapter(PolicySet)


def pause_to_json(pause: Pause) -> bytes:
    return _PAUSE.dump_json(pause)


def pause_from_json(data: bytes) -> Pause:
    """Raises :class:`MalformedEvent`."""
    try:
        return _PAUSE.validate_json(data, strict=True)
    except ValidationError as error:
        raise MalformedEvent(_first(error)) from None


def pin_to_json(pin: Pin) -> bytes:
    return _PIN.dump_json(pin)


def pin_from_json(data: bytes) -> Pin:
    """Raises :class:`MalformedEvent`."""
    try:
        pin = _PIN.validate_json(data, strict=True)
    except ValidationError as error:
        raise MalformedEvent(_first(error)) from None
    check_pair("pair", pin.pair)
    return pin


def policy_to_json(policy: PolicySet) -> bytes:
    return _POLICY.dump_json(policy)


def policy_from_json(data: bytes) -> PolicySet:
    """Raises :class:`MalformedEvent`."""
    try:
        return _POLICY.validate_json(data, strict=True)
    except ValidationError as error:
        raise MalformedEvent(_first(error)) from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'document'}: {first['msg']}"
