"""The interface of sources. Pure.

A source tells the whole of what it knows each time, not what changed: who listens works out differences, and a source
that reconnects has nothing to make up for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ValidationError

from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.problems import cause_and_remedy


@dataclass(frozen=True, slots=True)
class Found:
    """All that a source knows now."""

    endpoints: tuple[EndpointConfig, ...]
    problems: tuple[str, ...] = ()
    """What is meant to be an endpoint and is none: who, why, and what to do, a sentence each."""


class SourceAway(Exception):
    """A source cannot be heard; the message says why. What it told last stays until it is back."""


class Source(Protocol):
    """One source, as the inventory file configures it."""

    Settings: ClassVar[type[BaseModel]]
    """What may stand under it in the file."""

    def __init__(self, name: str, settings: Any) -> None:
        """``settings`` is a ``Settings``. Raises :class:`SourceAway` where it can never work: a package is missing."""

    def watch(self) -> AsyncIterator[Found]:
        """What there is now, then what there is after each change, for ever.

        Raises :class:`SourceAway`, and is called again after a pause.
        """
        ...


def endpoint_from(fields: Mapping[str, object]) -> EndpointConfig:
    """An endpoint from what a source found out. Raises ValueError with the first mistake: field, cause, remedy."""
    try:
        return EndpointConfig.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause, remedy = cause_and_remedy(dict(first))
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])} {cause}. {remedy}") from None


def weight(text: str | None) -> float | None:
    """An importance that somebody wrote as text. Raises ValueError."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"importance {text!r} is no number. Write one such as 2 or 0.5") from None
