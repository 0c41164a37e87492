"""Kinds of sources by name: found among the installed entry points, each checking its own settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points

from pydantic import BaseModel, ValidationError

from ezpath.inventory.document import Document, SourceConfig
from ezpath.inventory.lines import Where
from ezpath.inventory.problems import cause_and_remedy
from ezpath.inventory.sources.source import Mistake, Source, SourceAway, SourceSettings

GROUP = "ezpath.sources"
Sources = Mapping[str, Source]


def kinds() -> list[str]:
    """Those that are installed."""
    return sorted(entry_points(group=GROUP).names)


def check_sources(document: Document) -> Iterator[Mistake]:
    """What is wrong with the file's sources: a kind that nobody has, settings that a kind does not take."""
    for name, config in document.sources.items():
        where: Where = ("sources", name)
        try:
            settings = _settings(_kind(config), config)
            if isinstance(settings, SourceSettings):
                for field, cause, remedy in settings.contradictions(document):
                    yield (*where, *field), cause, remedy
        except LookupError as error:
            yield (*where, "kind"), str(error), f"Give one of {', '.join(kinds())}, or install yours"
        except ValidationError as error:
            for mistake in error.errors(include_url=False):
                yield (*where, *mistake["loc"]), *cause_and_remedy(dict(mistake))


def open_sources(document: Document) -> Sources:
    """The sources of a checked document, in its order. Raises :class:`~ezpath.inventory.sources.SourceAway`."""
    opened: dict[str, Source] = {}
    for name, config in document.sources.items():
        kind = _kind(config)
        opened[name] = kind(name, _settings(kind, config))
    return opened


def cannot_open(document: Document) -> list[str]:
    """Why the sources of a checked document can never work here, a line each: a package that is missing."""
    try:
        open_sources(document)
    except SourceAway as error:
        return [str(error)]
    return []


def _kind(config: SourceConfig) -> type[Source]:
    found = entry_points(group=GROUP, name=config.kind)
    if not found:
        raise LookupError(f"no kind of source is called {config.kind}")
    try:
        kind: type[Source] = next(iter(found)).load()
    except Exception as error:
        raise LookupError(f"source {config.kind} cannot be imported: {error}") from error
    return kind


def _settings(kind: type[Source], config: SourceConfig) -> BaseModel:
    return kind.Settings.model_validate(config.settings)
