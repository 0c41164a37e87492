"""Which way a frame takes through a program's parser: a second, small reading of what p4c wrote into the JSON.

It owes nothing to the software ToR, and knows headers and selects only, which is all that EZPath's parser has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_Json = dict[str, Any]
_ACCEPT = None


@dataclass(frozen=True, slots=True, order=True)
class Branch:
    """A way out of a parser state: into another one, to the end, or "cut off" where the frame ends too early."""

    state: str
    choice: str


@dataclass(frozen=True, slots=True)
class Walk:
    """``headers``: name, first byte and length, as far as the frame had them."""

    branches: tuple[Branch, ...]
    headers: tuple[tuple[str, int, int], ...]


class Parser:
    """The parser of one program."""

    def __init__(self, config: bytes) -> None:
        program: _Json = json.loads(config)
        (parser,) = program["parsers"]
        self._start: str = parser["init_state"]
        self._states: Mapping[str, _Json] = {state["name"]: state for state in parser["parse_states"]}
        types = {kind["name"]: kind["fields"] for kind in program["header_types"]}
        self._fields: Mapping[str, list[Any]] = {one["name"]: types[one["header_type"]] for one in program["headers"]}

    def branches(self) -> Iterator[Branch]:
        """All there are."""
        for name, state in self._states.items():
            if state["parser_ops"]:
                yield Branch(name, "cut off")
            for transition in state["transitions"]:
                yield Branch(name, _choice(transition))

    def walk(self, frame: bytes) -> Walk:
        """The way of one frame."""
        branches: list[Branch] = []
        headers: list[tuple[str, int, int]] = []
        values: dict[tuple[str, str], tuple[int, int]] = {}
        at = 0
        name: str | None = self._start
        while name is not _ACCEPT:
            state = self._states[name]
            for operation in state["parser_ops"]:
                assert operation["op"] == "extract", f"parser operation {operation['op']} is not known here"
                header: str = operation["parameters"][0]["value"]
                octets = sum(width for _, width, *_ in self._fields[header]) // 8
                if at + octets > len(frame):
                    return Walk((*branches, Branch(name, "cut off")), tuple(headers))
                values |= self._read(header, frame[at : at + octets])
                headers.append((header, at, octets))
                at += octets
            transition = _select(state, values)
            branches.append(Branch(name, _choice(transition)))
            name = transition["next_state"]
        return Walk(tuple(branches), tuple(headers))

    def _read(self, header: str, data: bytes) -> dict[tuple[str, str], tuple[int, int]]:
        """Value and width of each field."""
        number = int.from_bytes(data, "big")
        left = 8 * len(data)
        found = {}
        for field, width, *_ in self._fields[header]:
            left -= width
            found[header, field] = (number >> left & (1 << width) - 1, width)
        return found


def _select(state: _Json, values: Mapping[tuple[str, str], tuple[int, int]]) -> _Json:
    """The first transition that matches. A key of several fields has each in whole bytes, as p4c writes it."""
    key = 0
    for part in state["transition_key"]:
        value, width = values[tuple(part["value"])]
        key = key << (width + 7) // 8 * 8 | value
    transitions: Sequence[_Json] = state["transitions"]
    for transition in transitions:
        if transition["type"] == "default":
            return transition
        mask = int(transition["mask"], 16) if transition["mask"] else -1
        if key & mask == int(transition["value"], 16) & mask:
            return transition
    raise AssertionError(f"state {state['name']} has no default")


def _choice(transition: _Json) -> str:
    return f"{transition['value'] or 'default'} to {transition['next_state'] or 'the end'}"
