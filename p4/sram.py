#!/usr/bin/env python3
"""What memory a compiled P4 program asks of a switch: bits of an entry × entries, for each table, register and counter.

    python3 p4/sram.py                 of the committed program
    python3 p4/sram.py OTHER.json      of another one, as p4c-bm2-ss wrote it

Widths and sizes come from the compiled program. Standard library only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTE = """\
Widths in bits. overhead: one bit that says the entry is used and, for lpm keys, the length of the prefix.
Not counted is what hardware adds of its own: slack of hash tables, whole blocks, TCAM for lpm tables."""
COUNTER_BITS = 64
"""Of packets, and of bytes: what P4Runtime's CounterData carries. The JSON has no width for them."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Memory:
    """One table, register or counter. Widths in bits of one entry."""

    name: str
    kind: str
    entries: int
    key: int = 0
    action: int = 0
    """Which of the table's actions."""
    data: int = 0
    """The widest action's parameters, or a cell."""
    overhead: int = 0
    """Of a table entry: see NOTE."""

    @property
    def bits(self) -> int:
        """Of one entry."""
        return self.key + self.action + self.data + self.overhead

    @property
    def kib(self) -> float:
        return self.bits * self.entries / 8 / 1024


def memories(program: Json) -> list[Memory]:
    """All that the program keeps between packets, the largest first."""
    found = [*_tables(program), *_arrays(program)]
    return sorted(found, key=lambda memory: (-memory.kib, memory.name))


def _tables(program: Json) -> Iterator[Memory]:
    widths = _field_widths(program)
    data = {
        action["id"]: sum(parameter["bitwidth"] for parameter in action["runtime_data"])
        for action in program["actions"]
    }
    for pipeline in program["pipelines"]:
        for table in pipeline["tables"]:
            if not table["key"]:
                continue  # made by the compiler for statements outside any table: code, not memory
            keys = [widths[tuple(key["target"])] for key in table["key"]]
            lengths = [
                width.bit_length() for key, width in zip(table["key"], keys, strict=True) if key["match_type"] == "lpm"
            ]
            yield Memory(
                name=table["name"],
                kind=table["match_type"],
                entries=table["max_size"],
                key=sum(keys),
                action=(len(table["action_ids"]) - 1).bit_length(),
                data=max(data[action] for action in table["action_ids"]),
                overhead=1 + sum(lengths),
            )


def _field_widths(program: Json) -> dict[tuple[str, str], int]:
    fields = {header_type["name"]: header_type["fields"] for header_type in program["header_types"]}
    return {
        (header["name"], field): width
        for header in program["headers"]
        for field, width, *_ in fields[header["header_type"]]
    }


def _arrays(program: Json) -> Iterator[Memory]:
    for register in program["register_arrays"]:
        yield Memory(register["name"], "register", register["size"], data=register["bitwidth"])
    for counter in program["counter_arrays"]:
        yield Memory(counter["name"], "counter", counter["size"], data=2 * COUNTER_BITS)


def report(found: Sequence[Memory]) -> str:
    """The bill as a table of text, with its total and what it means."""
    head = ("", "kind", "entries", "key", "action", "data", "overhead", "bits", "KiB")
    rows = [
        (one.name, one.kind, *map(str, (one.entries, one.key, one.action, one.data, one.overhead, one.bits)), _kib(one))
        for one in found
    ]
    total = ("total", *[""] * 7, f"{sum(one.kib for one in found):,.1f}")
    widths = [max(len(row[column]) for row in (head, *rows, total)) for column in range(len(head))]
    lines = [_line(row, widths) for row in (head, *rows, total)]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], NOTE])


def _kib(memory: Memory) -> str:
    return f"{memory.kib:,.1f}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)


def main(arguments: Sequence[str]) -> int:
    path = Path(arguments[0]) if arguments else Path(__file__).resolve().parent / "ezpath.json"
    try:
        program = json.loads(path.read_text(encoding="utf-8"))
        print(report(memories(program)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"sram: {path} is not what p4c-bm2-ss writes: {error!r}. Give a compiled program", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
