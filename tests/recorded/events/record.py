"""Adds to the committed examples whatever today's program writes and no example has yet. Never changes one.

    PYTHONPATH=tests .venv/bin/python tests/recorded/events/record.py

``least``: what an event had to have when the example was made. ``most``: all that it could have. ``values``: an event's
type, one of its fields, and what that could be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ezpath.asyncapi import document
from ezpath.events import decode_sample, encode, encode_sample
from fuzz_events import EVENTS, SAMPLE

FILE = Path(__file__).with_name("examples.jsonl")


def fields_of(value: Any, path: str = "") -> set[str]:
    """Names of all fields, ``flows[].pair`` for one that is in a list."""
    found: set[str] = set()
    if isinstance(value, dict):
        for name, content in value.items():
            found |= {f"{path}{name}"} | fields_of(content, f"{path}{name}.")
    elif isinstance(value, list):
        for each in value:
            found |= fields_of(each, f"{path.rstrip('.')}[].")
    return found


def written_today() -> list[dict[str, Any]]:
    """Two examples of each event, as documents."""
    schemas = document()["components"]["schemas"]
    made: list[dict[str, Any]] = []
    for event in EVENTS:
        most = json.loads(encode(event))
        required = {*schemas[type(event).__name__]["required"], "v", "type"}
        made += [{"least": {name: value for name, value in most.items() if name in required}}, {"most": most}]
    assert decode_sample(encode_sample(SAMPLE)).sequence == SAMPLE.sequence
    return [*made, {"msgpack": encode_sample(SAMPLE).hex()}]


def values_today() -> list[list[str]]:
    """Of each event, each field that may be one of several words."""
    schemas = document()["components"]["schemas"]
    found: list[list[str]] = []
    for event in EVENTS:
        for name, schema in schemas[type(event).__name__]["properties"].items():
            if len(schema.get("enum", ())) > 1:
                found.append([event.type, name, *schema["enum"]])
    return found


def committed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []


def main() -> None:
    known = committed()
    types = {event["type"] for each in known for event in each.values() if isinstance(event, dict)}
    with FILE.open("a") as file:
        for each in written_today():
            if "msgpack" in each:
                if not any("msgpack" in old for old in known):
                    file.write(json.dumps(each) + "\n")
                continue
            ((_, event),) = each.items()
            had = set().union(
                *(
                    fields_of(old)
                    for line in known
                    for old in line.values()
                    if isinstance(old, dict) and old["type"] == event["type"]
                )
            )
            if event["type"] not in types or ("most" in each and not fields_of(event) <= had):
                file.write(json.dumps(each) + "\n")
        for kind, name, *words in values_today():
            old = {word for line in known for word in line.get("values", [])[2:] if line["values"][:2] == [kind, name]}
            if new := [word for word in words if word not in old]:
                file.write(json.dumps({"values": [kind, name, *new]}) + "\n")


if __name__ == "__main__":
    main()
