"""Headers, registers, counters, calculations and checksums: what a program declares outside its control flow."""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.bmv2.document import Element, unique
from ezpath_tor.bmv2.language import Const, Field, FieldRef, Header, Source
from ezpath_tor.bmv2.model import STANDARD_METADATA, Calculation, Checksum, Counter, Register
from ezpath_tor.bmv2.read_expr import Names, Scope, read_expr
from ezpath_tor.bmv2.source import Places
from ezpath_tor.plane import Unsupported

HASHES = frozenset(["crc32", "crc16", "csum16", "xor16", "identity"])
MAX_FIELD_BITS = 2048


def read_headers(document: Element, places: Places) -> dict[str, Header]:
    """All headers and structs of metadata, by name."""
    types = {header_type["name"].text: header_type for header_type in unique(document["header_types"].elements, "name")}
    headers: dict[str, Header] = {}
    for element in unique(document["headers"].elements, "name"):
        name, type_name = element["name"].text, element["header_type"].one_of(types.__contains__, "header type")
        source = places.of(types[type_name], uses_of=name, name=f"header {name}")
        fields = _fields(types[type_name], source)
        header = Header(name, type_name, fields, element["metadata"].flag)
        if not header.metadata and header.bits % 8:
            raise Unsupported(f"header {name} of {header.bits} bits, not whole bytes,", str(source))
        headers[name] = header
    if STANDARD_METADATA not in headers:
        raise document["headers"].malformed(f"there is no {STANDARD_METADATA}; compile for v1model")
    _check_standard_metadata(headers[STANDARD_METADATA], document["headers"])
    return headers


def _fields(header_type: Element, source: Source) -> tuple[Field, ...]:
    fields: list[Field] = []
    for element in header_type["fields"]:
        name, width, *rest = element.elements if len(element.elements) > 1 else element.exactly(2)
        full = f"{header_type['name'].text}.{name.text}"
        if width.is_text and width.text == "*":
            raise Unsupported(f"varbit field {full}", str(source))
        if rest and rest[0].flag:
            raise Unsupported(f"signed field {full} (int<{width.number}>)", str(source))
        if width.number > MAX_FIELD_BITS:
            raise Unsupported(f"field {full} of {width.number} bits, more than {MAX_FIELD_BITS},", str(source))
        if not width.number:
            raise width.malformed("a field has at least one bit")
        if any(field.name == name.text for field in fields):
            raise name.malformed(f"{full} is there twice")
        fields.append(Field(name.text, width.number))
    return tuple(fields)


def read_stacks(document: Element, headers: Mapping[str, Header]) -> dict[str, tuple[str, ...]]:
    """Each header stack's elements."""
    ids = {header["id"].number: header["name"].text for header in document["headers"]}
    stacks = {}
    for stack in unique(document.each("header_stacks"), "name"):
        members = stack["header_ids"].exactly(stack["size"].number)
        for member in members:
            if member.number not in ids:
                raise member.malformed(f"there is no header with id {member.number}")
        elements = tuple(ids[member.number] for member in members)
        if not elements or len({headers[element].type_name for element in elements}) != 1:
            raise stack.malformed("its headers are not of one type")
        stacks[stack["name"].text] = elements
    return stacks


_USED_BY_SWITCH = {
    "ingress_port": 9,
    "egress_spec": 9,
    "egress_port": 9,
    "packet_length": 32,
    "ingress_global_timestamp": 48,
    "egress_global_timestamp": 48,
    "checksum_error": 1,
    "parser_error": 32,
}
"""Fields of standard_metadata that the switch itself reads and writes, and their widths."""


def _check_standard_metadata(header: Header, headers: Element) -> None:
    widths = {field.name: field.width for field in header.fields}
    for name, width in _USED_BY_SWITCH.items():
        if widths.get(name) != width:
            raise headers.malformed(f"{STANDARD_METADATA}.{name} is not a field of {width} bits; compile for v1model")


def read_aliases(document: Element) -> dict[tuple[str, str], tuple[str, str]]:
    """Other names of fields."""
    aliases = {}
    for alias in document.each("field_aliases"):
        name, target = alias.exactly(2)
        header, dot, field = name.text.partition(".")
        if not dot:
            raise name.malformed(f"{name.text} is no name of a field")
        first, second = target.exactly(2)
        aliases[header, field] = (first.text, second.text)
    return aliases


def read_register(register: Element, places: Places) -> Register:
    name, width = register["name"].text, register["bitwidth"].number
    source = places.of(register, name=f"register {name}")
    if not 0 < width <= MAX_FIELD_BITS:
        raise Unsupported(f"register {name} of {width} bits, not 1 to {MAX_FIELD_BITS},", str(source))
    return Register(name, _size(register), width, source)


def read_counter(counter: Element, places: Places) -> Counter | None:
    """An indirect counter; None for a direct one, which belongs to its table."""
    if counter["is_direct"].flag:
        return None
    name = counter["name"].text
    return Counter(name, _size(counter), places.of(counter, name=f"counter {name}"))


def _size(array: Element) -> int:
    if not array["size"].number:
        raise array["size"].malformed("an array has at least one cell")
    return array["size"].number


def read_hit_counters(document: Element) -> Mapping[str, str]:
    """Table to its direct counter."""
    return {
        counter["binding"].text: counter["name"].text
        for counter in document["counter_arrays"]
        if counter["is_direct"].flag
    }


def read_calculation(calculation: Element, names: Names, places: Places) -> Calculation:
    name, algorithm = calculation["name"].text, calculation["algo"].text
    source = places.of(calculation, uses_of=name, name=f"calculation {name}")
    scope = Scope(names, source)
    if algorithm not in HASHES:
        raise scope.refuse(f"hash algorithm {algorithm}")
    inputs = tuple(_input(element, algorithm, scope) for element in calculation["input"])
    return Calculation(
        name, algorithm, tuple(value for value, _ in inputs), tuple(width for _, width in inputs), source
    )


def _input(element: Element, algorithm: str, scope: Scope) -> tuple[FieldRef | Const, int]:
    """One input and its width."""
    kind = element["type"].text
    if kind == "hexstr":
        width = element["bitwidth"].number
        if not 0 < width <= MAX_FIELD_BITS:
            raise element["bitwidth"].malformed(f"a constant of {width} bits")
        return Const(element["value"].hexadecimal & ((1 << width) - 1)), width
    if kind != "field":
        what = "the payload" if kind == "payload" else f"a {kind}"
        raise scope.refuse(f"{what} as input of a {algorithm} calculation")
    ref = scope.data_field(element["value"])
    return ref, ref.width


def read_checksum(checksum: Element, scope: Scope) -> Checksum:
    if checksum["type"].text != "generic":
        raise scope.refuse(f"checksum of type {checksum['type'].text}")
    condition = checksum.get("if_cond")
    return Checksum(
        target=scope.data_field(checksum["target"]),
        calculation=checksum["calculation"].one_of(scope.names.arrays["calculation"].__contains__, "calculation"),
        condition=read_expr(condition, scope) if condition is not None else None,
        verify=checksum["verify"].flag,
        update=checksum["update"].flag,
        source=scope.source,
    )
