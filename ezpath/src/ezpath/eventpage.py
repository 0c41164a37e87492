"""The event catalogue as a page, docs/EVENTS.md: what asyncapi.yaml says, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ezpath.asyncapi import KEPT, Document, document, event_of, summary
from ezpath.catalogue import CHANNELS, KINDS

_ABOVE = """\
# Events

What EZPath's services say to each other. Made from the event types by `make events-doc`, together with
[asyncapi.yaml](asyncapi.yaml) (AsyncAPI 3); a test holds both in step, and another reads every event as earlier
programs wrote it (`tests/recorded/events`). `ezpath tail` shows them as they come.
"""
_BELOW = """
Every JSON event is one object with `v`, `type` and the fields below. What is said on JetStream at one time on one
subject may share a message, one event a line: the header `Ezpath-Events` says how many. Fields that a reader does
not know are ignored. Questions and answers (`ezpath.ask.*`) are in `ezpath/src/ezpath/answers.py`."""


def page() -> str:
    """docs/EVENTS.md."""
    return "\n".join(_page(document())) + "\n"


def _page(made: Document) -> Iterator[str]:
    yield _ABOVE
    yield "| subject | event | kept | sent by | read by |"
    yield "|---|---|---|---|---|"
    for channel in CHANNELS:
        address = channel.address.replace("{", "<").replace("}", ">")
        yield (
            f"| `{address}` | [{channel.kind}](#{channel.kind}) | {KEPT[channel.kept].split(':')[0]} "
            f"| {', '.join(channel.sent_by)} | {', '.join(channel.read_by) or 'whoever looks on'} |"
        )
    yield _BELOW
    schemas = made["components"]["schemas"]
    for kind in KINDS:
        event = event_of(kind)
        yield from ("", f"## {kind}", "", summary(event), "")
        yield from _table(schemas[event.__name__])
    used = {event_of(kind).__name__ for kind in KINDS}
    yield from ("", "# What is in them")
    for name, schema in schemas.items():
        if name not in used and "properties" in schema:
            yield from ("", f"## {name}", "", schema.get("description", ""), "")
            yield from _table(schema)


def _table(schema: Document) -> Iterator[str]:
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        default = f"`{field['default']!r}`" if name not in required and "default" in field else ""
        yield f"| `{name}` | {_type(field)} | {default} | {field.get('description', '')} |"


def _type(field: Document) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for either in ("anyOf", "oneOf"):
        if either in field:
            return " \\| ".join(_type(each) for each in field[either])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    if "additionalProperties" in field and field.get("type") == "object":
        return f"map to {_type(field['additionalProperties'])}"
    return str(field.get("format") or field.get("type", "any"))
