"""What a benchmark prints and keeps: a table for people, JSON for the next run, and the machine both came from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def machine() -> dict[str, str | int]:
    """What the figures depend on, and nothing that names the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; the first column to the left, the others, figures, to the right."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)


def save(out: Path | None, name: str, results: Mapping[str, Any]) -> None:
    """``out/name.json``: results beside the machine they came from. Nothing where no ``out`` was asked for."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, "machine": machine(), "results": results}
    (out / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
