"""A mistake in a configuration file, as people are told of it: where, what, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from ezpath.inventory.lines import Lines, Where
from ezpath.nearest import meant


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    line: int
    field: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.cause}. {self.remedy}"


class InventoryError(ValueError):
    """A configuration was refused. ``problems`` has every mistake found; the message has them all, one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def field_name(where: Where) -> str:
    """``endpoints.1.mac``; whatever is not printable in a key shows as what it is."""
    return ".".join(str(part).encode("unicode_escape").decode() for part in where) or "file"


_TEXTS: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "Add it"),
    "extra_forbidden": ("is not known here", "Remove it or correct its name"),
    "string_type": ("is not text", "Put the value in quotes"),
    "string_too_short": ("is empty", "Give a value"),
    "int_type": ("is not a whole number", "Write it in digits, without quotes"),
    "int_from_float": ("is not a whole number", "Write it in digits, without a point"),
    "bool_type": ("is neither true nor false", "Write true or false, without quotes"),
    "dict_type": ("is not a mapping", "Write names below it, indented, each with a colon"),
    "model_type": ("is not a mapping", "Write its fields below it, indented, each with a colon"),
    "tuple_type": ("is not a list", "Write its items below it, each with a dash"),
}
"""For pydantic's own error types: cause and remedy."""


_BOUNDS: Mapping[str, str] = {
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}",
}


def problem_of(error: Mapping[str, Any], lines: Lines, file: str, model: type[BaseModel]) -> Problem:
    """One of pydantic's errors, said for whoever wrote the file, which is to be a ``model``."""
    where = tuple(part for part in error["loc"] if part != "[key]")
    cause, remedy = cause_and_remedy(error)
    if error["type"] == "extra_forbidden":
        remedy = meant(str(where[-1]), _beside(model, where)) + remedy
    return Problem(file, lines.of(where), field_name(where), cause, remedy)


def _beside(model: type[BaseModel], where: Where) -> list[str]:
    """The fields that there are beside the last of ``where``, in a document that is a ``model``."""
    here: Any = model
    for part in where[:-1]:
        here = _below(here, str(part))
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _below(annotation: Any, name: str) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(name)
        return None if field is None else field.annotation
    # a mapping's values, or a list's items; None beside them
    inner = [each for each in get_args(annotation) if each is not type(None) and each is not ...]
    if get_origin(annotation) is dict:
        return inner[-1]
    return inner[0] if inner else None


def cause_and_remedy(error: Mapping[str, Any]) -> tuple[str, str]:
    kind, limits = error["type"], error.get("ctx", {})
    if kind in _TEXTS:
        return _TEXTS[kind]
    if kind in _BOUNDS:
        bound = _BOUNDS[kind].format(**limits)
        return f"{error['input']} is out of range", f"Give {bound}"
    # Our own validators say both, in two sentences.
    cause, _, remedy = error["msg"].removeprefix("Value error, ").partition(". ")
    return cause, remedy or "Correct the value"
