"""BMv2 JSON that is none any more."""

from __future__ import annotations

import json
from random import Random
from typing import Any

NEEDED = (
    *("header_types", "headers", "parsers", "deparsers", "actions", "pipelines", "register_arrays", "counter_arrays"),
    *("header_types.*.name", "header_types.*.fields", "headers.*.name", "headers.*.header_type"),
    *("parsers.*.init_state", "parsers.*.parse_states", "parsers.*.parse_states.*.name"),
    *("parsers.*.parse_states.*.transitions", "parsers.*.parse_states.*.parser_ops", "deparsers.*.order"),
    *("actions.*.name", "actions.*.id", "actions.*.runtime_data", "actions.*.primitives"),
    *("pipelines.*.name", "pipelines.*.tables", "pipelines.*.conditionals"),
    *("pipelines.*.tables.*.name", "pipelines.*.tables.*.key", "pipelines.*.tables.*.action_ids"),
    *("pipelines.*.tables.*.next_tables", "pipelines.*.tables.*.type"),
    *("register_arrays.*.name", "register_arrays.*.size", "register_arrays.*.bitwidth"),
    *("counter_arrays.*.name", "counter_arrays.*.size"),
)
"""Places without which there is no program; ``*`` is any element."""

_NO_PROGRAMS = (b"", b"[]", b"5", b'"x"', b"null", b"[" * 100_000, b"\xff\xfe", b'{"pipelines": {}}', b"{}")
_KINDS = (5.5, "nonsense", [], {}, True, None)


def damaged(config: bytes, source: Random) -> tuple[str, bytes]:
    """What was done, and what came of it."""
    draw = source.random()
    if draw < 0.2:
        return "JSON cut off", config[: source.randrange(len(config.rstrip()) - 1)]
    if draw < 0.3:
        other = source.choice(_NO_PROGRAMS)
        return f"{other[:20]!r} for a program", other
    program = json.loads(config)
    holder, path = _somewhere(program, source.choice(NEEDED), source)
    *_, last = path
    if source.random() < 0.5:
        del holder[last]
        return f"{path} is missing", json.dumps(program).encode()
    holder[last] = source.choice([kind for kind in _KINDS if type(kind) is not type(holder[last])])
    return f"{path} is {holder[last]!r}", json.dumps(program).encode()


def _somewhere(program: Any, pattern: str, source: Random) -> tuple[Any, list[str | int]]:
    """What holds a place of that pattern, and the way to the place."""
    holder, path = program, list[str | int]()
    *way, last = pattern.split(".")
    for step in way:
        while not (isinstance(holder, dict) or holder):  # a pipeline without tables: any other will do
            return _somewhere(program, pattern, source)
        path.append(source.randrange(len(holder)) if step == "*" else step)
        holder = holder[path[-1]]
    return holder, [*path, last]
