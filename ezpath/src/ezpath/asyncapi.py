"""The event catalogue as an AsyncAPI 3 document, made from the event types. Pure.

`make events-doc` writes docs/asyncapi.yaml from it; a test holds them in step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter

from ezpath.catalogue import CHANNELS, KINDS, SAMPLE_KIND, Channel, Event
from ezpath.events import VERSION, FlowSample, JsonEvent

Document = dict[str, Any]

KEPT = {
    "stream": "JetStream, stream `EZPATH`: a day, 256 MiB",
    "why": "JetStream, stream `EZPATH_WHY`: the last few of each flow",
    "nothing": "core NATS: not kept",
}
_PARAMETERS = {
    "tenant": "Name of the tenant.",
    "a": "The endpoint of the pair whose name comes first.",
    "b": "The pair's other endpoint.",
    "switch": "Name of the ToR.",
    "host": "Name of the host.",
    "service": "Name of the service.",
}
_HEADERS: Document = {
    "type": "object",
    "properties": {
        "Nats-Msg-Id": {"type": "string", "description": "The same id within two minutes is stored once."},
        "Ezpath-Correlation": {"type": "string", "description": "The saga."},
        "Ezpath-Events": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "So many events are in the message, one a line. One where it is missing.",
        },
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}
_COLUMN = "Packed little-endian unsigned 64-bit integers, one a flow."
_SAMPLE: Document = {
    "type": "object",
    "description": "",
    "properties": {
        "switch": {"type": "string"},
        "sequence": {"type": "integer"},
        "monotonic_ns": {
            "type": "integer",
            "description": "The collector's monotonic clock in the middle of the read.",
        },
        "wall_ns": {"type": "integer", "description": "Unix time, nanoseconds, at the same moment."},
        "interval_s": {
            "type": "number",
            "minimum": 0,
            "description": "Since the collector's previous poll; 0: the first.",
        },
        "vni": {"type": "string", "format": "binary", "description": _COLUMN},
        "src": {"type": "string", "format": "binary", "description": f"Inner source MAC. {_COLUMN}"},
        "dst": {"type": "string", "format": "binary", "description": f"Inner destination MAC. {_COLUMN}"},
        "packets": {"type": "string", "format": "binary", "description": f"So far. {_COLUMN}"},
        "bytes": {"type": "string", "format": "binary", "description": f"So far. {_COLUMN}"},
        "collector": {"type": "string", "default": ""},
        "drops": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "Frames dropped by the switch so far, by the reason's number.",
        },
        "part": {"type": "integer", "default": 0},
        "parts": {"type": "integer", "default": 1, "description": "A poll too large for one message comes in parts."},
        "term": {
            "type": "integer",
            "default": 0,
            "minimum": 0,
            "description": "Of the collector's lease of the switch: the later one is right.",
        },
    },
    "required": [
        "switch",
        "sequence",
        "monotonic_ns",
        "wall_ns",
        "interval_s",
        "vni",
        "src",
        "dst",
        "packets",
        "bytes",
    ],
}


def document() -> Document:
    """The whole catalogue."""
    schemas = _schemas()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "EZPath events",
            "version": str(VERSION),
            "description": "What EZPath's services say to each other over NATS. "
            "Fields that a reader does not know are ignored; a field is never taken away within a version.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "nats-server, JetStream on"}},
        "channels": {_name(channel): _channel(channel) for channel in CHANNELS},
        "operations": dict(_operations()),
        "components": {"messages": {kind: _message(kind) for kind in KINDS}, "schemas": schemas},
    }


def as_yaml() -> str:
    """docs/asyncapi.yaml."""
    return "# Made by `make events-doc` from ezpath/src/ezpath/events.py and catalogue.py.\n" + yaml.safe_dump(
        document(), sort_keys=False, width=120, allow_unicode=True
    )


def _name(channel: Channel) -> str:
    """``saga.step``: the address without its first token and its variable ones."""
    return ".".join(token for token in channel.address.split(".")[1:] if not token.startswith("{"))


def _channel(channel: Channel) -> Document:
    made: Document = {
        "address": channel.address,
        "messages": {channel.kind: {"$ref": f"#/components/messages/{channel.kind}"}},
        "description": KEPT[channel.kept],
    }
    if channel.parameters:
        made["parameters"] = {name: {"description": _PARAMETERS[name]} for name in channel.parameters}
    return made


def _operations() -> Iterator[tuple[str, Document]]:
    for channel in CHANNELS:
        name = _name(channel)
        for action, services in (("send", channel.sent_by), ("receive", channel.read_by)):
            for service in services:
                yield (
                    f"{service}.{action}.{name}",
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{name}"},
                        "messages": [{"$ref": f"#/channels/{name}/messages/{channel.kind}"}],
                        "tags": [{"name": service}],
                    },
                )


def event_of(kind: str) -> type[Event]:
    return next(channel.event for channel in CHANNELS if channel.kind == kind)


def _message(kind: str) -> Document:
    event = event_of(kind)
    kept = any(channel.kept == "stream" for channel in CHANNELS if channel.kind == kind)
    return {
        "name": kind,
        "title": event.__name__,
        "summary": summary(event),
        "contentType": "application/msgpack" if kind == SAMPLE_KIND else "application/json",
        **({"headers": _HEADERS} if kept else {}),
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
    }


def summary(event: type[Event]) -> str:
    return _one_line((event.__doc__ or "").split("\n\n")[0])


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _schemas() -> Document:
    """A schema for every event and for what is in them, with ``v`` first."""
    adapter: TypeAdapter[JsonEvent] = TypeAdapter(
        Annotated[JsonEvent, Field(discriminator="type")], config=ConfigDict(use_attribute_docstrings=True)
    )
    found = adapter.json_schema(ref_template="#/components/schemas/{model}")["$defs"]
    schemas = {name: _plain(schema) for name, schema in found.items()}
    schemas["FlowSample"] = {**_SAMPLE, "description": summary(FlowSample)}
    schemas["FlowSample"]["properties"] = {
        "type": {"const": SAMPLE_KIND, "type": "string"},
        **_SAMPLE["properties"],
    }
    for kind in KINDS:
        schema = schemas[event_of(kind).__name__]
        schema["properties"] = {"v": {"const": VERSION, "type": "integer"}, **schema["properties"]}
        schema["required"] = ["v", "type", *schema.get("required", ())]
    return dict(sorted(schemas.items()))


def _plain(schema: Any) -> Any:
    """As AsyncAPI's Schema Object has it: a discriminator is a name, titles that repeat the field are left out."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _plain(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)}
    if isinstance(made.get("discriminator"), Mapping):
        made["discriminator"] = made["discriminator"]["propertyName"]
    if isinstance(made.get("description"), str):
        made["description"] = _one_line(made["description"])
    return made
