"""From an inventory file to a checked :class:`Inventory`, or to everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ezpath.inventory.checks import contradictions
from ezpath.inventory.document import Document
from ezpath.inventory.lines import Lines
from ezpath.inventory.model import Inventory
from ezpath.inventory.problems import InventoryError, Problem, field_name, problem_of
from ezpath.inventory.sources.kinds import check_sources


def load(path: str | Path) -> Inventory:
    """Read and check ``path``. Raises :class:`InventoryError` with everything that is wrong with it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        cause, remedy = f"cannot be read: {error.strerror}", "Give the path of a readable file"
        raise InventoryError([Problem(str(path), 0, "file", cause, remedy)]) from None
    except UnicodeDecodeError as error:
        cause = f"is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InventoryError([Problem(str(path), 0, "file", cause, "Save it as UTF-8")]) from None
    return parse(text, str(path))


def parse(text: str, file: str = "<string>") -> Inventory:
    """Check YAML ``text``. Raises :class:`InventoryError`."""
    lines, raw = _read_yaml(text, file)
    if doubled := list(lines.doubled_keys()):
        raise InventoryError(
            [Problem(file, line, field_name(where), "is given twice", "Keep one of them") for where, line in doubled]
        )
    try:
        document = Document.model_validate(raw)
    except ValidationError as error:
        raise InventoryError(
            [problem_of(dict(e), lines, file, Document) for e in error.errors(include_url=False)]
        ) from None
    problems = [
        Problem(file, lines.of(where), field_name(where), cause, remedy)
        for where, cause, remedy in (*contradictions(document), *check_sources(document))
    ]
    if problems:
        raise InventoryError(problems)
    return Inventory(document)


def _read_yaml(text: str, file: str) -> tuple[Lines, Any]:
    """The text as a tree with line numbers, and as values."""

    def refused(line: int, cause: str, remedy: str) -> InventoryError:
        return InventoryError([Problem(file, line, "file", " ".join(cause.split()), remedy)])

    try:
        return Lines(yaml.compose(text, Loader=yaml.SafeLoader)), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        cause = getattr(error, "problem", None) or str(error)
        raise refused(mark.line + 1 if mark else 1, f"not YAML: {cause}", "Correct the syntax there") from None
    except RecursionError:
        raise refused(1, "is nested too deeply", "An inventory is four levels deep") from None
    except ValueError as error:
        # What looks like a date or a number to YAML and is none.
        raise refused(1, f"holds a value that YAML cannot read: {error}", "Put text in quotes") from None
