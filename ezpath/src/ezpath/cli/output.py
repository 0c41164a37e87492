"""What commands list, in every form they offer: tables for people, JSON and YAML for programs. The one place for it.

``json`` is one document, a list where rows are listed; ``jsonl`` is a document a row. Of what goes on for ever there
is no one document: there ``json`` is a document a row as well. Colours only where somebody looks, and never with
NO_COLOR: that is rich's doing.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast, get_args

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

Format = Literal["table", "wide", "json", "jsonl", "yaml"]
PIPED_WIDTH = 1000
BETWEEN = 2
"""Spaces between columns."""
FOLDED = 24
"""A column that may be folded is content with so much."""

Document = Mapping[str, Any]
T = TypeVar("T")
_F = TypeVar("_F", bound=Callable[..., object])


def output_option(command: _F) -> _F:
    """`-o table|wide|json|jsonl|yaml`; the command gets it as ``output``. `--json` is short for `-o jsonl`."""

    @click.option(
        "-o",
        "--output",
        type=click.Choice(get_args(Format)),
        default="table",
        show_default=True,
        help="For people (wide: with all columns), or for programs (jsonl: one object a line).",
    )
    @click.option("--json", "as_jsonl", is_flag=True, help="Short for -o jsonl.")
    @functools.wraps(command)
    def with_output(*args: Any, output: Format, as_jsonl: bool, **rest: Any) -> Any:
        return command(*args, output="jsonl" if as_jsonl else output, **rest)

    return cast(_F, with_output)


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a table. Cells that are long are cut to the screen's width only where ``fold``."""

    name: str
    cell: Callable[[T], str | Text]
    right: bool = False
    wide: bool = False
    """Shown with ``-o wide`` only."""
    fold: bool = False
    spare: int = 0
    """Left out where the screen is too narrow for all; the highest first, and none that has 0."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """How rows of one kind are shown. ``raw`` makes the document for programs, which has everything."""

    columns: Sequence[Column[T]]
    raw: Callable[[T], Document]
    style: Callable[[T], str] = lambda _: ""
    empty: str = ""
    """Said instead of rows where there are none."""

    def show(self, rows: Iterable[T], output: Format) -> None:
        """On standard output."""
        if output in ("table", "wide"):
            listed = list(rows)
            out = console()
            out.print(self.table(listed, output, out.width))
            if not listed and self.empty:
                console().print(Text(self.empty))
        else:
            show_documents([self.raw(row) for row in rows], output)

    def table(self, rows: Sequence[T], output: Format = "table", width: int = PIPED_WIDTH) -> Table:
        """For people, on a screen of that width."""
        columns = [column for column in self.columns if output == "wide" or not column.wide]
        if output != "wide":  # who asks for all gets all
            columns = _fitting(columns, rows, width)
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            shown.add_column(
                column.name,
                justify="right" if column.right else "left",
                no_wrap=not column.fold,
                overflow="fold" if column.fold else "ellipsis",
            )
        for row in rows:
            cells = (column.cell(row) for column in columns)
            # Text, not str: what came over the network is no markup.
            shown.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells), style=self.style(row))
        return shown


def _fitting(columns: Sequence[Column[T]], rows: Sequence[T], width: int) -> list[Column[T]]:
    """As many as there is room for: a name that is cut to one letter says less than one that is not there."""
    needs = {
        id(column): min(FOLDED if column.fold else width, max(map(len, (column.name, *map(_plain(column), rows)))))
        for column in columns
    }
    kept = list(columns)
    while sum(needs[id(column)] + BETWEEN for column in kept) - BETWEEN > width:
        most = max(kept, key=lambda column: column.spare)
        if not most.spare:
            break
        kept.remove(most)
    return kept


def _plain(column: Column[T]) -> Callable[[T], str]:
    return lambda row: str(column.cell(row))


def show_documents(documents: Sequence[Document], output: Format) -> None:
    """A list of documents, for programs."""
    if output == "json":
        click.echo(_json(documents))
    elif output == "jsonl":
        for document in documents:
            click.echo(_json(document))
    else:
        click.echo(_yaml([dict(document) for document in documents]), nl=False)


def show_document(document: Document, output: Format) -> None:
    """One document, or one of a stream: JSON on one line, YAML behind a line of dashes."""
    if output == "yaml":
        click.echo("---\n" + _yaml(dict(document)), nl=False)
    else:
        click.echo(_json(document))


def for_people(output: Format) -> bool:
    return output in ("table", "wide")


class _Console(Console):
    """Leaves a reader that has gone to whoever runs the command: rich's own ends it with 1, as if something failed."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """For tables. Where nobody looks, nothing is cut off or folded to fit a screen."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def line_console() -> Console:
    """For what goes on: one thing stays on one line, however narrow the screen."""
    # highlight would colour every number
    return _Console(highlight=False, soft_wrap=True)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _yaml(value: object) -> str:
    # by way of JSON: tuples, and names that are more than strings, become what YAML knows
    plain = json.loads(_json(value))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=PIPED_WIDTH)
