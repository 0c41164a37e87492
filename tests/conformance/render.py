"""A vector as Python source, ready to be pasted among the others."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from conformance.parser import Parser
from conformance.vector import Vector
from p4rt.entries import MatchValue

from p4rt import P4Info, TableEntry


def as_source(vector: Vector, info: P4Info, parser: Parser) -> str:
    """An expression that evaluates to ``vector``."""
    lines = ["Vector(", f"    {vector.name!r},", "    ("]
    for port, frame in vector.sent:
        lines += [f"        ({port}, {_frame(frame, parser, 12)}),"]
    lines += ["    ),", "    Outcome(", "        {"]
    for port, frames in vector.expected.out.items():
        lines += [f"            {port}: ("]
        lines += [f"                {_frame(frame, parser, 20)}," for frame in frames]
        lines += ["            ),"]
    lines += ["        },", f"        {dict(vector.expected.drops)!r},", "    ),", "    ("]
    lines += [f"        {_entry(one, info)}," for one in vector.tables]
    return "\n".join([*lines, "    ),", ")"])


def _frame(frame: bytes, parser: Parser, indent: int) -> str:
    """Hexadecimal, one line for each header that the program's parser sees, and the rest."""
    walk = parser.walk(frame)
    parts = [(name, frame[at : at + octets]) for name, at, octets in walk.headers]
    taken = sum(len(data) for _, data in parts)
    rest = frame[taken:]
    if rest.strip(b"\0"):
        parts += [("", rest[at : at + 32]) for at in range(0, len(rest), 32)]
    space = " " * indent
    lines = [f'{space}"{data.hex(" ")}"' + (f"  # {name}" if name else "") for name, data in parts]
    zeros = f" + bytes({len(rest)})" if rest and not rest.strip(b"\0") else ""
    return "\n".join(["bytes.fromhex(", *lines, space[4:] + ")" + zeros])


def _entry(entry: TableEntry, info: P4Info) -> str:
    table = info.tables[entry.table]
    params: Mapping[str, int] = {}
    if entry.action:
        params = {param.name: param.width for param in info.actions[entry.action].params}
    call = "".join(f", {name}={_value(entry.params[name], width)}" for name, width in params.items())
    if entry.default:
        return f'default("{entry.table}", "{entry.action}"{call})'
    match = ", ".join(
        f'"{field.name}": {_match(entry.match[field.name], field.width)}'
        for field in table.fields
        if field.name in entry.match
    )
    return f'entry("{entry.table}", {{{match}}}, "{entry.action}"{call})'


def _match(value: MatchValue, width: int) -> str:
    return _value(value, width) if isinstance(value, int) else f"({_value(value[0], width)}, {value[1]})"


def _value(value: int, width: int) -> str:
    if width == 48:
        return f'"{value.to_bytes(6, "big").hex(":")}"'
    if width == 32:
        return f'"{socket.inet_ntoa(value.to_bytes(4, "big"))}"'
    return str(value)
