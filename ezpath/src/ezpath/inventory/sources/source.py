"""The interface of sources. Pure.

A source tells the whole of what it knows each time, not what changed: who listens works out differences, and a source
that reconnects has nothing to make up for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from ezpath.inventory.admission import listed
from ezpath.inventory.document import Document, EndpointConfig
from ezpath.inventory.lines import Where
from ezpath.inventory.problems import cause_and_remedy

Mistake = tuple[Where, str, str]
"""Field, cause, remedy."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that a source knows now."""

    endpoints: tuple[EndpointConfig, ...]
    problems: tuple[str, ...] = ()
    """What is meant to be an endpoint and is none: who, why, and what to do, a sentence each."""


class SourceSettings(BaseModel):
    """What a source's settings may be made from: it refuses unknown fields, and what goes against the file's rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def contradictions(self, document: Document) -> Iterator[Mistake]:
        """What does not go with ``document``: field, cause, remedy."""
        yield from ()


def unknown(what: str, names: Mapping[str, str], known: Collection[str]) -> Iterator[Mistake]:
    """For :meth:`SourceSettings.contradictions`: those of ``names``, by field, that the file does not know."""
    for field, name in names.items():
        if name not in known:
            yield tuple(field.split("/")), f"unknown {what} {name}", f"Known {what}s: {listed(known)}"


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
